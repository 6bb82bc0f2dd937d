/**
 * The memory plan against the measured peak (VmHWM after three steps) on a range of configurations, each in a process of its
 * own as a trainer is started; one line for each as soon as it is done.
 *
 *   npx tsx bench/plan/run.ts [--only TEXT]... [--steps N] [--cache FOLDER] [--output FILE.json]
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
    only: { type: 'string', multiple: true, default: [''] },
    steps: { type: 'string', default: '3' },
    cache: { type: 'string', default: defaultCacheFolder },
    output: { type: 'string' },
  },
});

/** How far the plan may be from what was measured. */
const tolerance = 0.1;
/** No configuration needs more, even beside other work; one that hangs must not hold up the others. */
const timeoutMs = 900_000;

const nf4: Quantization = { bits: 4, type: 'nf4', doubleQuantization: true };
const int8: Quantization = { ...nf4, bits: 8 };
const whole: PlanForm = { kind: 'whole' };
const layers: PlanForm = { kind: 'segmented', layersPerSegment: 1 };
const stretches: PlanForm = { ...layers, headBytes: 64e6 };
const fine: PlanForm = { ...stretches, tokensAtOnce: 512 };

/** A model of a case; made when the first case asks for it. */
const models = {
  small: () => benchModel('135m', 'F32', options.cache),
  halves: () => benchModel('135m', 'BF16', options.cache),
  long: () => benchModel('1b-2-layers', 'BF16', options.cache),
  experts: () => benchModel('experts', 'BF16', options.cache),
  demo: () => Promise.resolve(fileURLToPath(new URL('../../assets/demo/model', import.meta.url))),
  wide: () =>
    fourBitModel(
      { ...llama8b(4), hidden_size: 2048, intermediate_size: 5632, vocab_size: 32_000, num_key_value_heads: 4 },
      join(options.cache, 'wide-nf4-4'),
    ),
  widest: () => fourBitModel(llama8b(4), join(options.cache, 'llama-8b-nf4-4')),
  deep: () => fourBitModel(llama8b(32), join(options.cache, 'llama-8b-nf4-32')),
} as const;

type Case = Omit<PlanCase, 'model' | 'steps' | 'tuning'> & {
  readonly name: string;
  readonly model: keyof typeof models;
  readonly tuning?: PlanCase['tuning'];
};

const step = (rows: number, length: number, labelled: number) => ({ rows, length, labelled });

const cases: readonly Case[] = [
  { name: '135M f32, whole, 4 x 256', model: 'small', ...step(4, 256, 128), form: whole },
  { name: '135M f32, whole, 1 x 64', model: 'small', ...step(1, 64, 32), form: whole },
  { name: '135M f32, segments, 4 x 256', model: 'small', ...step(4, 256, 128), form: layers },
  {
    name: '135M f32, segments with a tail of 8, 4 x 256',
    model: 'small',
    ...step(4, 256, 128),
    form: { ...layers, tailLayers: 8 },
  },
  { name: '135M f32, segments, 1 x 2048', model: 'small', ...step(1, 2048, 1024), form: layers },
  {
    name: '135M f32, fine on disk, 1 x 1024',
    model: 'small',
    ...step(1, 1024, 1023),
    form: { ...fine, keptIn: 'disk' },
  },
  { name: '135M bf16, whole, 2 x 256', model: 'halves', ...step(2, 256, 128), form: whole },
  { name: '135M bf16, segments, 4 x 256', model: 'halves', ...step(4, 256, 128), form: layers },
  { name: '135M NF4, whole, 2 x 256', model: 'halves', quantization: nf4, ...step(2, 256, 128), form: whole },
  { name: '135M NF4, segments, 2 x 256', model: 'halves', quantization: nf4, ...step(2, 256, 128), form: layers },
  { name: '135M 8 bits, segments, 4 x 256', model: 'small', quantization: int8, ...step(4, 256, 128), form: layers },
  { name: '135M f32, full, whole, 1 x 256', model: 'small', tuning: 'full', ...step(1, 256, 255), form: whole },
  { name: '135M f32, full, segments, 2 x 256', model: 'small', tuning: 'full', ...step(2, 256, 255), form: layers },
  { name: '135M compute int8, whole, 4 x 256', model: 'small', compute: 'int8', ...step(4, 256, 128), form: whole },
  { name: '135M compute int8, whole, 1 x 512', model: 'small', compute: 'int8', ...step(1, 512, 256), form: whole },
  {
    name: '135M compute int8_careful, whole, 4 x 256',
    model: 'small',
    compute: 'int8_careful',
    ...step(4, 256, 128),
    form: whole,
  },
  { name: '135M compute int8, segments, 4 x 256', model: 'small', compute: 'int8', ...step(4, 256, 128), form: layers },
  { name: '2048 wide NF4, segments, 1 x 1024', model: 'wide', ...step(1, 1024, 512), form: layers },
  { name: '2048 wide NF4, fine, 1 x 1024', model: 'wide', ...step(1, 1024, 512), form: fine },
  { name: '8B NF4, 4 of 32 layers, segments, 1 x 512', model: 'widest', ...step(1, 512, 511), form: stretches },
  { name: '8B NF4, segments, 1 x 512', model: 'deep', ...step(1, 512, 511), form: stretches },
  {
    name: '1B bf16, 2 of 16 layers, stretches on disk, 1 x 6144',
    model: 'long',
    ...step(1, 6144, 614),
    form: { ...stretches, tokensAtOnce: 2048, keptIn: 'disk' },
  },
  { name: 'experts bf16, whole, 1 x 512', model: 'experts', ...step(1, 512, 256), form: whole },
  { name: 'experts bf16, segments, 1 x 1024', model: 'experts', ...step(1, 1024, 512), form: layers },
  { name: 'demo, whole, 8 x 64', model: 'demo', ...step(8, 64, 16), form: whole },
  { name: 'demo, segments, 8 x 256', model: 'demo', ...step(8, 256, 64), form: layers },
];

const pathOf = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url));
execFileSync('npx', ['tsc', '-p', pathOf('tsconfig.json')], { stdio: ['ignore', 'ignore', 'inherit'] });
const script = pathOf('../../.cache/bench-build/bench/plan/step.js');

interface Measured {
  readonly planned: MemoryPlan;
  /** VmHWM after each step. */
  readonly peaks: readonly number[];
  readonly seconds: number;
}

const results: { readonly name: string; readonly measured: number; readonly ratio: number }[] = [];
const failed: string[] = [];
for (const { model, ...item } of cases.filter(({ name }) => options.only.some((text) => name.includes(text)))) {
  const asked: PlanCase = { tuning: 'lora', ...item, model: await models[model](), steps: Number(options.steps) };
  try {
    const text = execFileSync(process.execPath, [script, JSON.stringify(asked)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      timeout: timeoutMs,
      env: { ...process.env, ...ourEnvironment },
    });
    const { planned, peaks, seconds } = JSON.parse(text) as Measured;
    const measured = peaks.at(-1)!;
    const ratio = planned.peak / measured;
    const shown = [
      `${(planned.peak / 1e6).toFixed(0)} MB planned`,
      `${peaks.map((peak) => (peak / 1e6).toFixed(0)).join(', ')} MB measured`,
      `ratio ${ratio.toFixed(3)}${Math.abs(ratio - 1) > tolerance ? ' OUTSIDE' : ''}`,
      `${seconds.toFixed(1)} s a step`,
    ];
    process.stdout.write(`${item.name}: ${shown.join('; ')}\n`);
    results.push({ name: item.name, ...(JSON.parse(text) as Measured), measured, ratio });
  } catch (error) {
    failed.push(item.name);
    process.stdout.write(`${item.name}: failed: ${(error as Error).message.split('\n')[0]}\n`);
  }
}
const outside = results.filter(({ ratio }) => Math.abs(ratio - 1) > tolerance).map(({ name }) => name);
process.stdout.write(
  `${results.length - outside.length} of ${results.length} within ${tolerance * 100} %${
    outside.length > 0 ? `; outside: ${outside.join('; ')}` : ''
  }\n`,
);
if (options.output !== undefined) writeFileSync(options.output, `${JSON.stringify(results, null, 2)}\n`);
if (outside.length + failed.length > 0) process.exitCode = 1;
