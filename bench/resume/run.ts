/**
 * Exact resume: one uninterrupted run, and runs that are killed with SIGKILL at random moments and started again until they
 * end, dropout on. All must end with the same bytes of weights and the same log.
 *
 *   npx tsx bench/resume/run.ts [--runs 20] [--kills 3] [--seed 1] [--model ../shared/data/model/stories260K]
 *     [--rows ../shared/data/sft/llama-factory/alpaca_en_demo.json] [--plan whole|segmented] [--output FILE.json]
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { configFromOptions, type FettleConfig } from '../../src/config/index.ts';
import { convertLlama2c } from '../../src/export/index.ts';
import { readJsonLines } from '../../src/run/index.ts';
import { train } from '../../src/train/index.ts';
import { RandomStream } from '../../src/util/index.ts';
import { describeMachine } from '../support/machine.ts';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '20' },
    kills: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    model: { type: 'string', default: '../shared/data/model/stories260K' },
    rows: { type: 'string', default: '../shared/data/sft/llama-factory/alpaca_en_demo.json' },
    plan: { type: 'string', default: 'whole' },
    output: { type: 'string' },
  },
});

const root = mkdtempSync(join(tmpdir(), 'fettle-resume-'));
const model = join(root, 'model');
await convertLlama2c({
  checkpoint: join(options.model, 'stories260K.bin'),
  tokenizer: join(options.model, 'tok512.bin'),
  output: model,
});

function configFor(outputDir: string): FettleConfig {
  return configFromOptions({
    modelNameOrPath: model,
    dataset: [resolve(options.rows)],
    template: 'alpaca',
    cutoffLen: 256,
    overlong: 'keep-response',
    maxSamples: 200,
    valSize: 8,
    evalStrategy: 'steps',
    evalSteps: 5,
    finetuningType: 'lora',
    loraDropout: 0.2,
    perDeviceTrainBatchSize: 4,
    gradientAccumulationSteps: 2,
    numTrainEpochs: 2,
    learningRate: 1e-3,
    lrSchedulerType: 'cosine',
    warmupSteps: 3,
    loggingSteps: 1,
    saveSteps: 3,
    saveTotalLimit: 2,
    gradientCheckpointing: options.plan === 'segmented',
    plotLoss: false,
    outputDir,
  }).config;
}

const sha256 = (folder: string) =>
  createHash('sha256')
    .update(readFileSync(join(folder, 'adapter_model.safetensors')))
    .digest('hex');

/** The log without times and memory, which differ from run to run. */
async function logOf(folder: string): Promise<string> {
  const lines = await readJsonLines(join(folder, 'trainer_log.jsonl'));
  return JSON.stringify(
    lines.map(({ current_steps, loss, eval_loss, lr, grad_norm, epoch, total_tokens }) => [
      current_steps,
      loss,
      eval_loss,
      lr,
      grad_norm,
      epoch,
      total_tokens,
    ]),
  );
}

const wholeFolder = join(root, 'whole');
const started = performance.now();
const first = train(configFor(wholeFolder));
await first.begun;
const begun = performance.now();
const { totalSteps } = await first.done;
const trainingMs = performance.now() - begun;
const expected = { sha256: sha256(wholeFolder), log: await logOf(wholeFolder) };
process.stderr.write(
  `uninterrupted: ${totalSteps} steps in ${(trainingMs / 1000).toFixed(1)} s after ${((begun - started) / 1000).toFixed(1)} s, sha256 ${expected.sha256}\n`,
);

const random = new RandomStream(Number(options.seed));
const results: { run: number; killedAtMs: number[]; resumedAt: number[]; sha256: string; sameLog: boolean }[] = [];
for (let run = 0; run < Number(options.runs); run++) {
  const folder = join(root, `run-${run}`);
  const killedAtMs: number[] = [];
  const resumedAt: number[] = [];
  for (let start = 0; ; start++) {
    const trained = train(configFor(folder));
    const startedAt = performance.now();
    const isKilled = start < Number(options.kills);
    // A fifth of the kills hit the start of the process, the others a step, what follows it, or the end of the run.
    const inStart = random.next() < 0.2;
    const target = 1 + random.nextInt(totalSteps);
    const wait = random.next() * (inStart ? begun - started : (1.5 * trainingMs) / totalSteps);
    const kill = async () => {
      await sleep(wait);
      await trained.kill();
      killedAtMs.push(Math.round(performance.now() - startedAt));
    };
    let killing = isKilled && inStart ? kill() : undefined;
    for await (const event of trained.events) {
      if (event.type === 'resuming') resumedAt.push(event.step);
      const reached = event.type === 'log' && event.line.current_steps >= target;
      if (isKilled && reached) killing ??= kill();
    }
    const { state } = await trained.done;
    await killing;
    // A kill that came after the end hit nothing.
    if (state === 'done' && killing !== undefined) killedAtMs.pop();
    if (state === 'done') break;
  }
  const result = {
    run,
    killedAtMs,
    resumedAt,
    sha256: sha256(folder),
    sameLog: (await logOf(folder)) === expected.log,
  };
  results.push(result);
  process.stderr.write(`${JSON.stringify(result)}\n`);
  rmSync(folder, { recursive: true, force: true });
}

const equal = results.filter((result) => result.sha256 === expected.sha256 && result.sameLog).length;
const report = {
  machine: describeMachine(),
  plan: options.plan,
  totalSteps,
  kills: results.reduce((sum, { killedAtMs }) => sum + killedAtMs.length, 0),
  runs: results.length,
  equal,
  sha256: expected.sha256,
};
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
if (options.output !== undefined) writeFileSync(options.output, `${JSON.stringify({ ...report, results }, null, 2)}\n`);
rmSync(root, { recursive: true, force: true });
process.exit(equal === results.length ? 0 : 1);
