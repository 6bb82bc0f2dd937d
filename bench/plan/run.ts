/**
 * The memory plan against the measured peak (VmHWM after two steps) on a range of configurations.
 *
 *   npx tsx bench/plan/run.ts [--only TEXT] [--cache FOLDER] [--output FILE.json]
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Quantization } from '../../src/checkpoint/index.ts';
import type { MemoryPlan } from '../../src/train/memory-plan.ts';
import type { PlanForm } from '../../src/train/plan-form.ts';
import { fourBitModel, llama8b } from '../qlora/make-model.ts';
import { benchModel, defaultCacheFolder } from '../support/bench-models.ts';
import { ourEnvironment } from '../support/sides.ts';
import type { PlanCase } from './step.ts';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    cache: { type: 'string', default: defaultCacheFolder },
    output: { type: 'string' },
  },
});

const nf4: Quantization = { bits: 4, type: 'nf4', doubleQuantization: true };
const int8: Quantization = { ...nf4, bits: 8 };
const whole: PlanForm = { kind: 'whole' };
const layers: PlanForm = { kind: 'segmented', layersPerSegment: 1 };
const fine: PlanForm = { ...layers, headBytes: 64e6, tokensAtOnce: 512 };

const small = await benchModel('135m', 'F32', options.cache);
const halves = await benchModel('135m', 'BF16', options.cache);
const wide = await fourBitModel(
  { ...llama8b(4), hidden_size: 2048, intermediate_size: 5632, vocab_size: 32_000, num_key_value_heads: 4 },
  join(options.cache, 'wide-nf4-4'),
);
const lora = { tuning: 'lora', model: small } as const;

const cases: readonly PlanCase[] = [
  { name: '135M f32, LoRA, whole, 4 x 256', ...lora, rows: 4, length: 256, labelled: 128, form: whole },
  { name: '135M f32, LoRA, whole, 1 x 64', ...lora, rows: 1, length: 64, labelled: 32, form: whole },
  { name: '135M f32, LoRA, segments, 4 x 256', ...lora, rows: 4, length: 256, labelled: 128, form: layers },
  { name: '135M f32, LoRA, segments, 1 x 2048', ...lora, rows: 1, length: 2048, labelled: 1024, form: layers },
  {
    name: '135M f32, LoRA, fine on disk, 2 x 1024',
    ...lora,
    rows: 2,
    length: 1024,
    labelled: 1023,
    form: { ...fine, keptIn: 'disk' },
  },
  { name: '135M bf16, LoRA, whole, 2 x 256', ...lora, model: halves, rows: 2, length: 256, labelled: 128, form: whole },
  {
    name: '135M NF4, LoRA, whole, 2 x 256',
    ...lora,
    model: halves,
    quantization: nf4,
    rows: 2,
    length: 256,
    labelled: 128,
    form: whole,
  },
  {
    name: '135M int8, LoRA, segments, 4 x 256',
    ...lora,
    quantization: int8,
    rows: 4,
    length: 256,
    labelled: 128,
    form: layers,
  },
  { name: '135M f32, full, whole, 1 x 256', ...lora, tuning: 'full', rows: 1, length: 256, labelled: 255, form: whole },
  {
    name: '135M f32, full, segments, 2 x 256',
    ...lora,
    tuning: 'full',
    rows: 2,
    length: 256,
    labelled: 255,
    form: layers,
  },
  {
    name: '2048 wide NF4, LoRA, segments, 1 x 1024',
    ...lora,
    model: wide,
    rows: 1,
    length: 1024,
    labelled: 512,
    form: layers,
  },
  {
    name: '2048 wide NF4, LoRA, fine, 1 x 1024',
    ...lora,
    model: wide,
    rows: 1,
    length: 1024,
    labelled: 512,
    form: fine,
  },
];

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
execFileSync('npx', ['tsc', '-p', pathOf('tsconfig.json')], { stdio: ['ignore', 'ignore', 'inherit'] });
const script = pathOf('../../.cache/bench-build/bench/plan/step.js');

const results = cases
  .filter(({ name }) => name.includes(options.only))
  .map((item) => {
    const text = execFileSync(process.execPath, [script, JSON.stringify(item)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...ourEnvironment },
    });
    const result = JSON.parse(text) as { planned: MemoryPlan; measured: number; mapped: number; seconds: number };
    const { planned, measured, seconds } = result;
    const off = planned.peak / measured - 1;
    process.stdout.write(
      `${item.name}: ${(planned.peak / 1e9).toFixed(2)} GB planned, ${(measured / 1e9).toFixed(2)} GB measured, ${(off * 100).toFixed(1)} %, ${seconds.toFixed(1)} s a step\n`,
    );
    return { name: item.name, ...result, off };
  });
const worst = results.reduce((most, { off }) => Math.max(most, Math.abs(off)), 0);
process.stdout.write(`worst: ${(worst * 100).toFixed(1)} %\n`);
if (options.output !== undefined) writeFileSync(options.output, `${JSON.stringify(results, null, 2)}\n`);
