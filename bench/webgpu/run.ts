/**
 * The training step on WebGPU against the CPU, on a tiny recorded model: loss and LoRA gradients of both plans.
 *
 *   npx tsx bench/webgpu/run.ts [CASE]
 *
 * Without a GPU a software driver will do, for example the one in Debian's chromium package:
 *   LD_LIBRARY_PATH=/usr/lib/chromium VK_ICD_FILENAMES=/usr/lib/chromium/vk_swiftshader_icd.json XDG_RUNTIME_DIR=$(mktemp -d)
 */
import type { Device } from '../../src/runtime/index.ts';
import { createGraphEngine } from '../../src/train/graph-engine.ts';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import {
  adapterValues,
  meanGradients,
  openTinyModel,
  recordedLora,
  removeTinyModel,
  toSequences,
} from '../../test/support/parity-model.ts';

const golden = readParityGolden(process.argv[2] ?? 'llama');
const folder = await openTinyModel(golden, golden.config);
const method = recordedLora(folder, golden);
const values = adapterValues(method, golden.weights.seed);
const batch = toSequences(golden.rows);

async function gradientsOn(device: Device, segmented: boolean): Promise<{ loss: number; gradients: Float32Array[] }> {
  const engine = await createGraphEngine(folder, method, {
    device,
    threads: 1,
    seed: 1,
    values,
    plan: segmented ? { kind: 'segmented', layersPerSegment: 1 } : { kind: 'whole' },
  });
  try {
    const { loss } = await meanGradients(engine, batch);
    return { loss, gradients: engine.parameters.map(({ gradient }) => gradient.slice()) };
  } finally {
    await engine.release();
  }
}

function relativeDifference(a: Float32Array, b: Float32Array): number {
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < a.length; i++) {
    difference += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return Math.sqrt(difference / norm);
}

try {
  for (const segmented of [false, true]) {
    const cpu = await gradientsOn('cpu', segmented);
    const webgpu = await gradientsOn('webgpu', segmented);
    const worst = Math.max(...webgpu.gradients.map((gradient, i) => relativeDifference(gradient, cpu.gradients[i]!)));
    const line = { plan: segmented ? 'segmented' : 'whole', lossCpu: cpu.loss, lossWebgpu: webgpu.loss, worst };
    process.stdout.write(`${JSON.stringify(line)}\n`);
    if (!(worst < 1e-5)) process.exitCode = 1;
  }
} finally {
  await removeTinyModel(folder);
}
