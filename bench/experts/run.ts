/**
 * How long sessions of layers with many routed experts take to make: a whole step (forward and backward, adapters of rank 8 on
 * all linear layers) of a random Qwen 3 with experts, its weights in bf16, 8 and 4 bits; and two steps in segments.
 *
 *   npx tsx bench/experts/run.ts [--layers 2] [--experts 32] [--tokens 256] [--cache FOLDER]
 *
 * Processor seconds, since other work on the machine makes wall time say little.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openModelFolder, openWeights, type Quantization } from '../../src/checkpoint/index.ts';
import { readModel } from '../../src/models/index.ts';
import { lowerGraph } from '../../src/onnx/index.ts';
import { compileLowered } from '../../src/runtime/index.ts';
import { writeTinyModel } from '../../src/testing/index.ts';
import { createGraphEngine } from '../../src/train/graph-engine.ts';
import { lossForm } from '../../src/train/loss-graph.ts';
import { wholeOutputs } from '../../src/train/whole-plan.ts';
import { loraMethod, targetModules } from '../../src/tuning/index.ts';
import { hashKey, mix32 } from '../../src/util/index.ts';
import { defaultCacheFolder } from '../support/bench-models.ts';

const { values: options } = parseArgs({
  options: {
    layers: { type: 'string', default: '2' },
    experts: { type: 'string', default: '32' },
    tokens: { type: 'string', default: '256' },
    cache: { type: 'string', default: defaultCacheFolder },
  },
});
const [layers, experts, tokens] = [Number(options.layers), Number(options.experts), Number(options.tokens)];

const config = {
  architectures: ['Qwen3MoeForCausalLM'],
  model_type: 'qwen3_moe',
  hidden_size: 512,
  intermediate_size: 1024,
  moe_intermediate_size: 512,
  num_experts: experts,
  num_experts_per_tok: 4,
  norm_topk_prob: true,
  num_hidden_layers: layers,
  num_attention_heads: 8,
  num_key_value_heads: 4,
  head_dim: 64,
  vocab_size: 4096,
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-6,
  rope_theta: 10_000,
  hidden_act: 'silu',
  tie_word_embeddings: false,
  torch_dtype: 'bfloat16',
};
const folder = join(options.cache, `experts-${layers}x${experts}`);
if (!existsSync(join(folder, 'model.safetensors'))) {
  const shapes = new Map(readModel('config.json', config).parameters.map(({ name, shape }) => [name, shape]));
  await writeTinyModel(folder, { config, shapes, seed: 1 });
}

const processorSeconds = (since?: NodeJS.CpuUsage): number => {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1e6;
};
const device = { device: 'cpu', threads: 2 } as const;
const nf4: Quantization = { bits: 4, type: 'nf4', doubleQuantization: true };
for (const [name, quantization] of [
  ['bf16', undefined],
  ['8 bits', { ...nf4, bits: 8 }],
  ['4 bits', nf4],
] as const) {
  const opened = await openModelFolder(folder, quantization);
  const { model, stored } = opened;
  const method = loraMethod(model, stored, {
    dropout: 0,
    modules: targetModules(model, ['all']).map((module) => ({ ...module, rank: 8, scale: 2 })),
    savedModules: [],
  });
  const lowered = lowerGraph(wholeOutputs(model, method, lossForm(model, 'cpu', tokens)), 'cpu');
  const locate = await openWeights(opened);
  const start = process.cpuUsage();
  const program = await compileLowered(lowered, locate, device);
  const seconds = processorSeconds(start);
  await program.release();
  const engine = await createGraphEngine(opened, method, {
    ...device,
    plan: { kind: 'segmented', layersPerSegment: 1 },
    seed: 1,
    longest: tokens,
  });
  const steps: number[] = [];
  for (let step = 0; step < 2; step++) {
    const inputIds = Int32Array.from({ length: tokens }, (_, t) => mix32(hashKey('ids', step), t) % config.vocab_size);
    const before = process.cpuUsage();
    await engine.accumulate([{ inputIds, labels: inputIds, row: 0 }], { seed: 1, step, microBatch: 0 });
    steps.push(processorSeconds(before));
  }
  await engine.release();
  const [first, second] = steps.map((step) => step.toFixed(1));
  process.stdout.write(
    `${name}: ${lowered.nodeCount} nodes, ${seconds.toFixed(2)} s to make the session; in segments the first step ${first} s, the second ${second} s\n`,
  );
}
