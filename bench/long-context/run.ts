/**
 * One training step over one long row: time and peak memory at several lengths.
 *
 *   npx tsx bench/long-context/run.ts [--shape 1b|1b-2-layers] [--lengths 3072,6144,12288] [--memory-limit 4e9]
 *     [--same-form] [--cache FOLDER] [--output FILE.json]
 *
 * The shape is Llama 3.2's smaller one (16 layers of 2048, 32 / 8 heads of 64, ffn 8192, vocabulary 128,256, tied), random
 * weights in bf16; LoRA of rank 16 on all linear layers; the last tenth of the row is trained. The step takes the form that
 * the memory plan chooses under the limit; with --same-form every length takes that of the longest. Every length runs in a
 * process of its own, whose VmHWM is the peak: mapped weights count as far as they are touched. A step of sixteen layers
 * and 12,288 tokens takes minutes: `1b-2-layers` gives times on a quiet machine.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { hashKey, mix32 } from '../../src/util/index.ts';
import { benchModel, type BenchShape, benchShapes, defaultCacheFolder } from '../support/bench-models.ts';
import { describeMachine } from '../support/machine.ts';
import { buildOurStep, ourCommand, ourEnvironment } from '../support/sides.ts';
import { type Batch, StepProcess } from '../support/step-process.ts';

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', default: '1b' },
    lengths: { type: 'string', default: '3072,6144,12288' },
    'memory-limit': { type: 'string', default: '4e9' },
    'same-form': { type: 'boolean', default: false },
    cache: { type: 'string', default: defaultCacheFolder },
    output: { type: 'string' },
  },
});

const shape = options.shape as BenchShape;
const vocabularySize = Number(benchShapes[shape]['vocab_size']);
const model = await benchModel(shape, 'BF16', options.cache);
const script = buildOurStep();
const machine = describeMachine();
interface Result {
  readonly length: number;
  readonly seconds: number;
  readonly loss: number;
  readonly peakGB: number;
  readonly plannedGB: number;
  readonly form: unknown;
}

const lengths = options.lengths.split(',').map(Number);
const labelledOf = (length: number): number => Math.round(length / 10);
const start = (length: number, more: readonly string[]): Promise<StepProcess> => {
  const size = ['--longest', String(length), '--labelled', String(labelledOf(length)), ...more];
  return StepProcess.start(`${length} tokens`, ourCommand(script, model, 'segmented', size), ourEnvironment);
};
/** Random ids, the last `labelled` of them trained. */
function rowOf(length: number, labelled: number): Batch {
  const key = hashKey('long-context', length);
  const ids = Array.from({ length }, (_, t) => mix32(key, t) % vocabularySize);
  return { ids: [ids], labels: [ids.map((id, t) => (t < length - labelled ? -100 : id))] };
}

let formOptions = ['--memory-limit', String(Number(options['memory-limit']))];
if (options['same-form']) {
  const longest = await start(Math.max(...lengths), formOptions);
  formOptions = ['--form', JSON.stringify(longest.ready['form'])];
  await longest.quit();
}

const results: Result[] = [];
for (const length of lengths) {
  const labelled = labelledOf(length);
  const child = await start(length, formOptions);
  try {
    // a short row first: the optimiser's state stands from its first step on
    await child.step(rowOf(16, 1));
    const { seconds, loss, peakBytes } = await child.step(rowOf(length, labelled));
    const { form, plannedPeakBytes } = child.ready;
    const result: Result = {
      length,
      seconds,
      loss,
      peakGB: peakBytes / 1e9,
      plannedGB: Number(plannedPeakBytes) / 1e9,
      form,
    };
    process.stderr.write(`${JSON.stringify(result)}\n`);
    results.push(result);
  } finally {
    await child.quit();
  }
}

const [first] = results;
const rows = results.map((result, i) => [
  String(result.length),
  result.seconds.toFixed(1),
  (result.seconds / first!.seconds).toFixed(2),
  result.peakGB.toFixed(2),
  i === 0 ? '' : (result.peakGB / results[i - 1]!.peakGB).toFixed(2),
  result.plannedGB.toFixed(2),
]);
const head = ['tokens', 's / step', 'time to the first', 'peak GB', 'peak to the row above', 'planned GB'];
const table = [head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
process.stdout.write(
  `${JSON.stringify(machine)}\n${shape}, bf16 weights, LoRA rank 16 on all linear layers\n\n${table}\n`,
);
if (options.output !== undefined) {
  writeFileSync(options.output, `${JSON.stringify({ machine, shape, results }, null, 2)}\n`);
}
