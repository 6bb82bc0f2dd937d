/**
 * Parity with PyTorch, transformers and PEFT, both sides computed now and compared tensor by tensor.
 *
 *   npx tsx bench/parity/run.ts --python PYTHON [--only CASE] [--output FILE.json]
 *
 * For every tiny model of cases.py: logits, LoRA and full gradients, the losses of fifty steps of AdamW and the final
 * adapters; then the adapter as Fettle writes it is loaded by PEFT and merged, and compared with what `fettle export`
 * merged (check_adapter.py). test/parity.test.ts checks the same against recorded goldens without Python.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exportModel } from '../../src/export/index.ts';
import { newPeftConfig, openSafetensors, readTensor, writePeftAdapter } from '../../src/formats/index.ts';
import { decaysInFullTuning } from '../../src/optim/index.ts';
import { largestDifference, relativeDifference } from '../../src/testing/index.ts';
import { createGraphEngine } from '../../src/train/graph-engine.ts';
import { frozenMethod, fullMethod, shortNames, type TuningMethod } from '../../src/tuning/index.ts';
import { batchLogits } from '../../test/support/logits.ts';
import type { ParityGolden } from '../../test/support/parity-golden.ts';
import {
  adapterValues,
  meanGradients,
  openTinyModel,
  recordedLora,
  removeTinyModel,
  testCompileOptions,
  toSequences,
  trainAsRecorded,
} from '../../test/support/parity-model.ts';

const { values: options } = parseArgs({
  options: { python: { type: 'string', default: 'python3' }, only: { type: 'string' }, output: { type: 'string' } },
});

const scripts = fileURLToPath(new URL('.', import.meta.url));
const limits = { logits: 1e-4, gradients: 1e-5, losses: 1e-4, final: 1e-4, merged: 1e-4 };

/** The worst difference of each kind, of one way of tuning one model. */
interface Row {
  readonly case: string;
  readonly tuning: string;
  readonly logits: number;
  readonly gradients: number;
  readonly losses?: number;
  readonly final?: number;
  readonly merged?: number;
}

type Expected = ReadonlyMap<string, Float32Array>;

async function readExpected(file: string): Promise<Expected> {
  const { tensors } = await openSafetensors(file);
  const expected = new Map<string, Float32Array>();
  for (const [name, entry] of tensors) expected.set(name, await readTensor(entry));
  return expected;
}

/**
 * Adapters that PEFT 0.21 on transformers 5 cannot take: of families that transformers has no class for, of Qwen 2's experts
 * (their names are not converted), and of layers without experts beside layers with (their modules are taken for experts).
 * transformers 5 does not load the tiny Gemma 2 that we write: it wants 3.0 in its config where JavaScript writes 3.
 */
function unknownToPeft({ case: name, legacyConfig }: ParityGolden): boolean {
  const types = ['internlm2', 'baichuan', 'chatglm', 'qwen2_moe', 'gemma2'];
  return types.includes(String(legacyConfig['model_type'])) || name === 'qwen3-moe-sparse';
}

/** Greatest relative difference over the tensors that stand under `prefix`. */
function worst(expected: Expected, prefix: string, actual: ReadonlyMap<string, Float32Array>): number {
  const names = [...expected.keys()].filter((name) => name.startsWith(prefix));
  if (names.length !== actual.size) return Infinity;
  return Math.max(
    ...names.map((name) =>
      relativeDifference(actual.get(name.slice(prefix.length)) ?? new Float32Array(), expected.get(name)!),
    ),
  );
}

async function compareCase(golden: ParityGolden, expected: Expected, work: string): Promise<Row[]> {
  const opened = await openTinyModel(golden, golden.legacyConfig);
  const rows = toSequences(golden.rows);
  try {
    const logits = await batchLogits(opened, frozenMethod(opened.stored), rows, {}, testCompileOptions);
    const expectedLogits = golden.rows.flatMap((_, i) => [...expected.get(`logits.${i}`)!]);
    const logitsDifference = largestDifference(logits, expectedLogits);

    const tune = async (
      tuning: string,
      key: string,
      method: TuningMethod,
      training: { readonly losses: readonly number[] } | undefined,
      adapter: { readonly modulesToSave?: readonly string[]; readonly tokens?: readonly number[] } | undefined,
    ): Promise<Row> => {
      const engine = await createGraphEngine(opened, method, {
        ...testCompileOptions,
        plan: { kind: 'whole' },
        seed: 1,
        values: adapterValues(method, golden.weights.seed),
      });
      const tensors = (field: 'data' | 'gradient') =>
        new Map(engine.parameters.map((parameter) => [parameter.name, parameter[field]]));
      try {
        await meanGradients(engine, rows);
        const row: Row = {
          case: golden.case,
          tuning,
          logits: logitsDifference,
          gradients: worst(expected, `${key}.gradient.`, tensors('gradient')),
        };
        let trained = row;
        if (training) {
          const { losses } = await trainAsRecorded(engine, golden, adapter ? undefined : decaysInFullTuning);
          trained = {
            ...row,
            losses: largestDifference(losses, training.losses),
            final: worst(expected, `${key}.final.`, tensors('data')),
          };
        }
        if (!adapter || unknownToPeft(golden)) return trained;
        const folder = join(work, `${golden.case}-${key}`);
        const { r, lora_alpha, use_rslora } = golden.lora;
        const adapted = method.trainables.filter(({ name }) => name.endsWith('.lora_A.weight'));
        const modules = adapted.map(({ name }) => ({
          name: name.replace('.lora_A.weight', ''),
          inputs: 0,
          outputs: 0,
        }));
        await writePeftAdapter(
          folder,
          newPeftConfig({
            rank: r,
            alpha: lora_alpha,
            dropout: 0,
            targetModules: shortNames(modules),
            useRslora: use_rslora ?? false,
            fanInFanOut: golden.lora.fan_in_fan_out ?? false,
            baseModel: opened.folder,
            modulesToSave: adapter.modulesToSave ?? [],
            trainableTokens: adapter.tokens ? { embed_tokens: adapter.tokens } : {},
          }),
          engine.parameters.map(({ name, shape, data }) => ({ name, shape, values: data })),
        );
        const merged = `${folder}-merged`;
        await exportModel({ model: opened.folder, adapters: [folder], exportDir: merged, dtype: 'F32' });
        return { ...trained, merged: checkAdapter(opened.folder, folder, merged) };
      } finally {
        await engine.release();
      }
    };

    const lora = await tune('LoRA', 'lora', recordedLora(opened, golden), golden.training, {});
    const full = await tune('full', 'full', fullMethod(opened.model, opened.stored), undefined, undefined);
    const result = [lora, full];
    const { fullTraining, modulesToSave, trainableTokens } = golden;
    if (fullTraining) {
      const method = fullMethod(opened.model, opened.stored);
      result.push(await tune('full, trained', 'fullTraining', method, fullTraining, undefined));
    }
    if (modulesToSave) {
      const method = recordedLora(opened, golden, { savedModules: ['model.embed_tokens', 'lm_head'] });
      const adapter = { modulesToSave: modulesToSave.modules };
      result.push(await tune('LoRA, modules_to_save', 'modulesToSave', method, modulesToSave, adapter));
    }
    if (trainableTokens) {
      const method = recordedLora(opened, golden, {
        tokenRows: { embedding: trainableTokens.indices, output: [], newIds: [] },
      });
      const adapter = { tokens: trainableTokens.indices };
      result.push(await tune('LoRA, token rows', 'trainableTokens', method, trainableTokens, adapter));
    }
    return result;
  } finally {
    await removeTinyModel(opened);
  }
}

/** PEFT loads the adapter and merges it; the largest difference of logits to the exported model. */
function checkAdapter(base: string, adapter: string, merged: string): number {
  const args = ['-W', 'ignore', join(scripts, 'check_adapter.py'), '--base', base, '--adapter', adapter];
  const output = execFileSync(options.python, [...args, '--merged', merged], { encoding: 'utf8' });
  const result = JSON.parse(output.trim().split('\n').at(-1)!) as { exportedAgainstPeftMerge: number };
  return result.exportedAgainstPeftMerge;
}

const work = mkdtempSync(join(tmpdir(), 'fettle-parity-run-'));
try {
  const recorded = join(work, 'recorded');
  const only = options.only === undefined ? [] : ['--only', options.only];
  execFileSync(
    options.python,
    ['-W', 'ignore', join(scripts, 'record.py'), '--output', recorded, '--full', join(work, 'full'), ...only],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const rows: Row[] = [];
  for (const file of readdirSync(recorded)) {
    const golden = JSON.parse(readFileSync(join(recorded, file), 'utf8')) as ParityGolden;
    const expected = await readExpected(join(work, 'full', `${basename(file, '.json')}.safetensors`));
    rows.push(...(await compareCase(golden, expected, work)));
  }
  const cell = (value: number | undefined) => (value === undefined ? '' : value.toExponential(1));
  const head = [
    'case',
    'tuning',
    'logits',
    'gradients',
    'losses of 50 steps',
    'final tensors',
    'export against PEFT merge',
  ];
  const lines = rows.map((row) => [
    row.case,
    row.tuning,
    ...[row.logits, row.gradients, row.losses, row.final, row.merged].map(cell),
  ]);
  process.stdout.write(
    `${[head, head.map(() => '---'), ...lines].map((line) => `| ${line.join(' | ')} |`).join('\n')}\n`,
  );
  if (options.output !== undefined) writeFileSync(options.output, `${JSON.stringify({ limits, rows }, null, 2)}\n`);
  const failed = rows.filter((row) =>
    (Object.keys(limits) as (keyof typeof limits)[]).some(
      (key) => row[key] !== undefined && !(row[key] <= limits[key]),
    ),
  );
  process.stdout.write(failed.length === 0 ? 'all within the limits\n' : `${failed.length} rows beyond the limits\n`);
  process.exitCode = failed.length === 0 ? 0 : 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}
