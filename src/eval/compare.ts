/**
 * Several models on the same rows: base against adapter, or any others. Each answers as `predict` does; what is compared are the rows, in pairs, so that an
 * interval says of the difference itself whether it may be chance.
 */
import { join } from 'node:path';
import { ConfigError, DataError, RunError, UnsupportedError } from '../errors.ts';
import { readTextRecords, writeFileAtomically, writeJsonFile } from '../formats/index.ts';
import { acquireRunLock } from '../run/index.ts';
import { type AskEvent, askRows, type AskSettings } from './ask-rows.ts';
import { comparisonPage } from './compare-page.ts';
import { bootstrapMean, type Interval } from './intervals.ts';
import { predictResults } from './predict.ts';
import { mean } from './python-text.ts';
import type { ScoredAnswer } from './row-metrics.ts';
import { scoreAnswers, type Scores, type ScoreSettings } from './scores.ts';

/** A model to compare, or a file of its answers; what is left out is that of the configuration. */
export interface ComparedSystem {
  readonly model_name_or_path?: string | undefined;
  readonly adapter_name_or_path?: readonly string[] | undefined;
  readonly template?: string | undefined;
  /** `generated_predictions.jsonl` of an earlier prediction of the same rows. */
  readonly answers?: string | undefined;
}

/** The settings of a comparison, under their names in the config: a whole config fits. */
export interface CompareSettings extends AskSettings, ScoreSettings {
  readonly output_dir?: string | undefined;
  /** Left out: the model without its adapters, and with them. */
  readonly systems?: Readonly<Record<string, ComparedSystem>> | undefined;
}

/** A system with its answers and their numbers. */
export interface AnsweredSystem {
  readonly name: string;
  /** Model and adapters, or the file. */
  readonly source: string;
  readonly answers: readonly ScoredAnswer[];
  readonly scores: Scores;
}

/** How a metric of a system differs from that of the first one, row by row. */
export interface MetricDifference {
  readonly system: string;
  readonly metric: string;
  /** Mean over the rows of what the system has more than the first one. */
  readonly difference: number;
  readonly ci: Interval;
  /** Rows that are better, worse and the same. */
  readonly better: number;
  readonly worse: number;
  readonly same: number;
  /** What the interval allows to say: it does not hold 0, or it does. */
  readonly verdict: 'better' | 'worse' | 'not told apart';
}

/** What a comparison comes to. */
export interface Comparison {
  readonly systems: readonly AnsweredSystem[];
  readonly differences: readonly MetricDifference[];
}

export type CompareEvent = AskEvent | { readonly type: 'system'; readonly name: string; readonly source: string };

/** How a comparison ended. */
export interface CompareEnd {
  readonly state: 'done' | 'stopped';
  readonly comparison?: Comparison;
  /** The object of `comparison.json`. */
  readonly results?: Readonly<Record<string, unknown>>;
  readonly files: readonly string[];
}

/** Names that must not be taken for folders. */
const fileName = (name: string): string => name.replace(/[^\p{L}\p{N}._-]/gu, '_');

/** The systems of a configuration, by name. @throws ConfigError `compare-systems` where there is only one */
function systemsOf(settings: CompareSettings): readonly (readonly [string, ComparedSystem])[] {
  if (settings.systems !== undefined) return Object.entries(settings.systems);
  if (settings.adapter_name_or_path.length === 0) throw new ConfigError('compare-systems', {});
  return [
    ['base', { adapter_name_or_path: [] }],
    ['adapter', {}],
  ];
}

async function readAnswers(file: string): Promise<ScoredAnswer[]> {
  const answers: ScoredAnswer[] = [];
  for await (const records of readTextRecords(file, 'jsonl')) {
    for (const { line, value } of records) {
      const row = (value ?? {}) as Record<string, unknown>;
      const { prompt = '', predict, label } = row;
      if (typeof prompt !== 'string' || typeof predict !== 'string' || typeof label !== 'string') {
        throw new DataError('compare-answers', { where: `${file}:${line}` });
      }
      answers.push({ prompt, predict, label });
    }
  }
  return answers;
}

/** Values of each row by metric: the row metrics, and whether the label is right. */
function rowValues({ scores }: AnsweredSystem): ReadonlyMap<string, readonly (number | undefined)[]> {
  const values = new Map<string, readonly (number | undefined)[]>(
    Object.keys(scores.means).map((name) => [name, scores.rows.map((row) => row[name])]),
  );
  const { labels } = scores;
  if (labels !== undefined) {
    values.set(
      'accuracy',
      labels.predicted.map((predicted, row) =>
        predicted === undefined ? undefined : Number(predicted === labels.references[row]),
      ),
    );
  }
  return values;
}

/** Differences of each later system from the first. */
export function differencesOf(systems: readonly AnsweredSystem[], seed: number): MetricDifference[] {
  const [first, ...others] = systems;
  const before = rowValues(first!);
  return others.flatMap((system) => {
    const after = rowValues(system);
    return [...before].flatMap(([metric, old]) => {
      const now = after.get(metric);
      if (now === undefined) return [];
      const pairs = old.flatMap((value, row) => {
        const other = now[row];
        return value === undefined || other === undefined ? [] : [other - value];
      });
      const ci = bootstrapMean(pairs, { seed });
      const verdict = ci[0] > 0 ? 'better' : ci[1] < 0 ? 'worse' : 'not told apart';
      const count = (test: (difference: number) => boolean): number => pairs.filter(test).length;
      return [
        {
          system: system.name,
          metric,
          difference: mean(pairs),
          ci,
          better: count((value) => value > 0),
          worse: count((value) => value < 0),
          same: count((value) => value === 0),
          verdict,
        } as const,
      ];
    });
  });
}

/** The object of `comparison.json`. */
function comparisonResults({ systems, differences }: Comparison): Readonly<Record<string, unknown>> {
  return {
    systems: systems.map(({ name, source, scores }) => ({ name, source, ...predictResults(scores) })),
    differences,
  };
}

/** A row as `comparison.jsonl` has it. */
function comparisonLine(systems: readonly AnsweredSystem[], row: number): string {
  const { prompt, label } = systems[0]!.answers[row]!;
  const answers = Object.fromEntries(
    systems.map(({ name, answers: own, scores }) => {
      const predicted = scores.labels?.predicted[row];
      const given = predicted === undefined ? {} : { predicted_label: predicted };
      return [name, { predict: own[row]!.predict, ...given, ...scores.rows[row] }];
    }),
  );
  return `${JSON.stringify({ row, prompt, label, answers })}\n`;
}

/**
 * Lets every system answer and writes `comparison.json`, `comparison.jsonl` and `comparison.html` into `output_dir`. A comparison that was ended goes on.
 * @throws RunError `run-folder-missing`; ConfigError `compare-systems`; DataError `compare-rows`, `compare-answers`; UnsupportedError `compare-kind`; what asking throws.
 */
export async function compare(
  settings: CompareSettings,
  options: { readonly onEvent?: (event: CompareEvent) => void; readonly signal?: AbortSignal } = {},
): Promise<CompareEnd> {
  const folder = settings.output_dir;
  if (folder === undefined) throw new RunError('run-folder-missing', { key: 'output_dir' });
  const wanted = systemsOf(settings);
  const lock = await acquireRunLock(folder);
  try {
    const systems: AnsweredSystem[] = [];
    const files = ['comparison.json', 'comparison.jsonl', 'comparison.html'].map((name) => join(folder, name));
    for (const [name, system] of wanted) {
      const { model_name_or_path = settings.model_name_or_path, adapter_name_or_path } = system;
      const adapters =
        adapter_name_or_path ?? (system.model_name_or_path === undefined ? settings.adapter_name_or_path : []);
      const source = system.answers ?? [model_name_or_path, ...adapters].join(' + ');
      options.onEvent?.({ type: 'system', name, source });
      if (system.answers === undefined && 'base_url' in system && system.base_url !== undefined) {
        throw new UnsupportedError('compare-kind', { system: name });
      }
      let answers: readonly ScoredAnswer[];
      if (system.answers !== undefined) {
        answers = await readAnswers(system.answers);
      } else {
        const journal = join(folder, `${fileName(name)}.journal.jsonl`);
        const own = { ...settings, model_name_or_path, adapter_name_or_path: adapters };
        const { template = settings.template } = system;
        const asked = await askRows({ ...own, template }, { ...options, journal, outcome: files });
        if (asked.answers === undefined) return { state: 'stopped', files: [journal] };
        ({ answers } = asked);
      }
      const first = systems[0]?.answers;
      const other = first === undefined ? -1 : answers.findIndex(({ label }, row) => label !== first[row]?.label);
      if (first !== undefined && (first.length !== answers.length || other >= 0)) {
        throw new DataError('compare-rows', {
          first: systems[0]!.name,
          rows: first.length,
          system: name,
          found: answers.length,
          row: Math.max(0, other),
        });
      }
      systems.push({ name, source, answers, scores: await scoreAnswers(answers, settings) });
    }
    const comparison = { systems, differences: differencesOf(systems, settings.seed) };
    const results = comparisonResults(comparison);
    await writeJsonFile(files[0]!, results);
    await writeFileAtomically(files[1]!, systems[0]!.answers.map((_, row) => comparisonLine(systems, row)).join(''));
    await writeFileAtomically(files[2]!, await comparisonPage(comparison));
    return { state: 'done', comparison, results, files };
  } finally {
    await lock.release();
  }
}
