/**
 * `compute`: what arithmetic in integers does to a whole training. Two small models that were trained on real text (stories260K on
 * tinyshakespeare, the demo's base on its reviews) are tuned in f32, int8_careful and int8, and in f32 with another seed, whose
 * distance tells what such a difference is worth. Held-out losses are those of the adapter on the model in f32, as it will be used.
 * Then the same model with one outlier channel, a thing that large models have and small ones lack.
 *
 *   npx tsx bench/int8/run.ts [--data ../shared/data] [--output FOLDER] [--only stories260K|demo|outliers]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { configFromOptions, type FettleOptions } from '../../src/config/index.ts';
import { convertLlama2c } from '../../src/export/index.ts';
import { openCheckpoint, readTensor, tensorFromValues, writeCheckpoint } from '../../src/formats/index.ts';
import { readJsonLines } from '../../src/run/index.ts';
import { train } from '../../src/train/index.ts';
import { describeMachine } from '../support/machine.ts';
import { drawRuns, type Run } from './picture.ts';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    output: { type: 'string', default: join(tmpdir(), 'fettle-int8') },
    only: { type: 'string' },
  },
});
const demo = fileURLToPath(new URL('../../assets/demo', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'fettle-int8-'));
mkdirSync(options.output, { recursive: true });

const forms = ['float32', 'int8_careful', 'int8'] as const;
type Form = (typeof forms)[number];

interface Case {
  readonly name: string;
  readonly title: string;
  readonly settings: FettleOptions;
}

const common: FettleOptions = {
  threads: 2,
  loraRank: 8,
  loraTarget: ['all'],
  lrSchedulerType: 'cosine',
  warmupRatio: 0.05,
  evalStrategy: 'steps',
  saveStrategy: 'no',
  plotLoss: false,
  overwriteOutputDir: true,
};

let count = 0;
/** Trains, and gives the folder and the numbers that the start told. */
async function trainIn(
  settings: FettleOptions,
): Promise<{ folder: string; plan: ReadonlyMap<string, number | string> }> {
  const folder = join(work, `run-${count++}`);
  const run = train(configFromOptions({ ...settings, outputDir: folder }).config);
  const plan = new Map<string, number | string>();
  for await (const event of run.events) {
    if (event.type === 'plan') for (const { name, value } of event.entries) plan.set(name, value);
  }
  await run.done;
  return { folder, plan };
}

function errorIn(plan: ReadonlyMap<string, number | string>): Run['error'] {
  const [loss, cosine] = [plan.get('compute_loss_error_share'), plan.get('compute_gradient_cosine')];
  return loss === undefined ? undefined : { loss: loss as number, cosine: cosine as number };
}

/** The error of a form where the model stands, without moving it. */
async function errorOf(settings: FettleOptions, compute: Form): Promise<Run['error']> {
  const still: FettleOptions = {
    ...settings,
    compute,
    maxSteps: 1,
    learningRate: 0,
    evalStrategy: 'no',
    valSize: 0,
    evalDataset: [],
  };
  return errorIn((await trainIn(still)).plan);
}

async function runOf(label: string, compute: Form, settings: FettleOptions): Promise<Run> {
  process.stderr.write(`  ${label}\n`);
  const { folder, plan } = await trainIn({ ...settings, compute });
  const log = await readJsonLines(join(folder, 'trainer_log.jsonl'));
  const trained = log.filter((line) => line['loss'] !== undefined);
  const evaluated = log.filter((line) => line['eval_loss'] !== undefined);
  const numbers = (lines: typeof log, key: string) => lines.map((line) => line[key] as number);
  const continued: FettleOptions = { ...settings, adapterNameOrPath: [folder] };
  const evaluation = join(work, `run-${count++}`);
  const inFloats = { ...continued, outputDir: evaluation, doTrain: false, doEval: true, evalStrategy: 'no' } as const;
  await train(configFromOptions(inFloats).config).done;
  const results = JSON.parse(readFileSync(join(evaluation, 'eval_results.json'), 'utf8')) as { eval_loss: number };
  return {
    label,
    steps: numbers(trained, 'current_steps'),
    losses: numbers(trained, 'loss'),
    evalSteps: numbers(evaluated, 'current_steps'),
    evalLosses: numbers(evaluated, 'eval_loss'),
    heldOut: results.eval_loss,
    error: errorIn(plan),
    errorAfter: compute === 'float32' ? undefined : await errorOf(continued, compute),
  };
}

const percent = (value: number | undefined) => (value === undefined ? '' : `${(value * 100).toPrecision(2)} %`);

function table(runs: readonly Run[]): string {
  const head = [
    'form',
    'held-out loss',
    'against f32',
    'first batch: loss off by',
    'gradient cosine',
    'after the run: loss off by',
    'gradient cosine',
  ];
  const rows = runs.map(({ label, heldOut, error, errorAfter }) => [
    label,
    heldOut.toFixed(4),
    percent(heldOut / runs[0]!.heldOut - 1),
    percent(error?.loss),
    error?.cosine.toFixed(4) ?? '',
    percent(errorAfter?.loss),
    errorAfter?.cosine.toFixed(4) ?? '',
  ]);
  return [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

const stories = join(work, 'stories260K');
await convertLlama2c({
  checkpoint: join(options.data, 'model/stories260K/stories260K.bin'),
  tokenizer: join(options.data, 'model/stories260K/tok512.bin'),
  output: stories,
});
const storiesSettings: FettleOptions = {
  ...common,
  modelNameOrPath: stories,
  stage: 'pt',
  dataset: [resolve(options.data, 'pretrain/tinyshakespeare.txt')],
  cutoffLen: 256,
  valSize: 0.05,
  evalSteps: 50,
  loggingSteps: 5,
  perDeviceTrainBatchSize: 8,
  maxSteps: 400,
  learningRate: 3e-3,
};
const cases: readonly Case[] = [
  { name: 'stories260K', title: 'stories260K on tinyshakespeare, LoRA rank 8', settings: storiesSettings },
  {
    name: 'demo',
    title: "The demo's base on reviews, LoRA rank 8",
    settings: {
      ...common,
      modelNameOrPath: join(demo, 'model'),
      datasetDir: join(demo, 'data'),
      dataset: ['sentiment_train'],
      evalDataset: ['sentiment_test'],
      cutoffLen: 256,
      evalSteps: 20,
      loggingSteps: 2,
      perDeviceTrainBatchSize: 16,
      numTrainEpochs: 3,
      learningRate: 1e-3,
    },
  },
];

/**
 * The same function with an outlier: one channel of what every layer's products read is `factor` times as large, and the weights'
 * columns that meet it are as much smaller.
 */
async function withOutlier(factor: number): Promise<string> {
  const folder = join(work, `outlier-${factor}`);
  mkdirSync(folder, { recursive: true });
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    writeFileSync(join(folder, name), readFileSync(join(stories, name)));
  }
  const channel = 7;
  const { tensors } = await openCheckpoint(stories);
  const scaled = [];
  for (const entry of tensors.values()) {
    const values = await readTensor(entry);
    const width = entry.shape.at(-1)!;
    if (entry.name.endsWith('layernorm.weight')) values[channel]! *= factor;
    if (/(q|k|v|gate|up)_proj\.weight$/.test(entry.name)) {
      for (let i = channel; i < values.length; i += width) values[i]! /= factor;
    }
    scaled.push(tensorFromValues(entry.name, entry.shape, values));
  }
  await writeCheckpoint(folder, scaled);
  return folder;
}

process.stdout.write(`${JSON.stringify(describeMachine())}\n`);
const report: Record<string, unknown> = {};
try {
  for (const { name, title, settings } of cases) {
    if (options.only !== undefined && options.only !== name) continue;
    process.stderr.write(`${title}\n`);
    const runs: Run[] = [];
    for (const form of forms) runs.push(await runOf(form, form, settings));
    runs.push(await runOf('float32, another seed', 'float32', { ...settings, seed: 7, dataSeed: 7 }));
    process.stdout.write(`${await drawRuns(join(options.output, `int8-${name}`), title, runs)}
`);
    process.stdout.write(`\n${title}: ${runs[0]!.steps.at(-1)} steps\n\n${table(runs)}\n\n`);
    report[name] = runs;
  }
  if (options.only === undefined || options.only === 'outliers') {
    const rows: string[] = [];
    for (const factor of [1, 10, 30, 100]) {
      const settings = { ...storiesSettings, modelNameOrPath: await withOutlier(factor) };
      for (const form of ['int8_careful', 'int8'] as const) {
        const error = await errorOf(settings, form);
        rows.push(`| ${factor} | ${form} | ${percent(error!.loss)} | ${error!.cosine.toFixed(4)} |`);
      }
    }
    process.stdout.write(
      `stories260K with one channel of 64 so many times as large, the same function: first batch\n\n| factor | form | loss off by | gradient cosine |\n| --- | --- | --- | --- |\n${rows.join('\n')}\n`,
    );
    report['outliers'] = rows;
  }
  writeFileSync(join(options.output, 'int8.json'), `${JSON.stringify(report, null, 2)}\n`);
} finally {
  rmSync(work, { recursive: true, force: true });
}
