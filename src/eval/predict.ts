/**
 * Predictions over a data set: `generated_predictions.jsonl` and `predict_results.json` as LLaMA-Factory names them, with intervals, signatures,
 * and for label tasks the labels' report and its picture. A run that was ended goes on with the rows that are missing; answers of other settings are not replaced unasked.
 */
import { join } from 'node:path';
import { type JsonObject, readJsonObject, writeFileAtomically, writeJsonFile } from '../formats/index.ts';
import { acquireRunLock, runPaths } from '../run/index.ts';
import { type AskEvent, askRows, type AskSettings } from './ask-rows.ts';
import { writeConfusion } from './confusion-chart.ts';
import type { ScoredAnswer } from './row-metrics.ts';
import { scoreAnswers, type Score, type Scores, type ScoreSettings } from './scores.ts';
import { evalTexts } from '../messages/eval.ts';
import { RunError } from '../errors.ts';

/** The settings of predictions, under their names in the config: a whole config fits. */
export interface PredictSettings extends AskSettings, ScoreSettings {
  readonly output_dir?: string | undefined;
}

/** The object of `predict_results.json`; further metrics stand in it under `predict_NAME`. */
export type PredictResults = Readonly<Record<string, unknown>>;

/** How predictions ended. */
export interface PredictEnd {
  readonly state: 'done' | 'stopped';
  readonly done: number;
  readonly total: number;
  readonly results?: PredictResults;
  readonly scores?: Scores;
  /** What was written, in the order of writing. */
  readonly files: readonly string[];
}

/** Names of the files of predictions inside `output_dir`. */
export const predictFileNames = {
  predictions: 'generated_predictions.jsonl',
  results: 'predict_results.json',
  journal: 'predictions.journal.jsonl',
} as const;

function labelFields({ labels }: Scores): Record<string, unknown> {
  if (labels === undefined) return {};
  const columns = [...labels.labels, evalTexts.unmapped];
  return {
    accuracy: labels.accuracy,
    accuracy_ci: labels.accuracyInterval,
    macro_f1: labels.macroF1,
    unmapped: labels.unmapped,
    references_unmapped: labels.referencesUnmapped,
    per_class: labels.perClass,
    // confusion[right label][predicted label]
    confusion: Object.fromEntries(
      labels.labels.map((label, row) => [
        label,
        Object.fromEntries(columns.map((column, i) => [column, labels.confusion[row]![i]!])),
      ]),
    ),
    label_mapping: labels.mapping,
  };
}

/** What answering took, as results of before tell; undefined where they do not. */
async function answeringTime(file: string): Promise<{ seconds: number; answered: number } | undefined> {
  const { predict_runtime: seconds, predict_samples_per_second: speed }: JsonObject = await readJsonObject(file).catch(
    () => ({}),
  );
  if (typeof seconds !== 'number' || typeof speed !== 'number') return undefined;
  return { seconds, answered: Math.round(seconds * speed) };
}

/** The object of `predict_results.json`. */
export function predictResults(
  scores: Scores,
  time?: { readonly seconds: number; readonly answered: number },
): PredictResults {
  const all: Readonly<Record<string, Score>> = { ...scores.means, sacrebleu: scores.bleu, chrf: scores.chrf };
  const named = Object.entries(all);
  return {
    ...Object.fromEntries(named.map(([name, { value }]) => [`predict_${name}`, value])),
    predict_samples: scores.n,
    ...(time === undefined
      ? {}
      : {
          predict_runtime: time.seconds,
          predict_samples_per_second: time.seconds > 0 ? time.answered / time.seconds : 0,
        }),
    ...labelFields(scores),
    intervals: Object.fromEntries(named.map(([name, { ci }]) => [name, ci])),
    signatures: Object.fromEntries(
      named.flatMap(([name, { signature }]) => (signature === undefined ? [] : [[name, signature]])),
    ),
  };
}

/** A prediction as its file has it. */
function predictionLine({ prompt, predict, label }: ScoredAnswer): string {
  return `${JSON.stringify({ prompt, predict, label })}\n`;
}

/**
 * Answers the questions of the data set and writes everything into `output_dir`.
 * @throws RunError `run-folder-missing`, `run-locked`, and where `output_dir` holds answers of something else; what reading rows and opening the model throws.
 */
export async function predict(
  settings: PredictSettings,
  options: { readonly onEvent?: (event: AskEvent) => void; readonly signal?: AbortSignal } = {},
): Promise<PredictEnd> {
  const folder = settings.output_dir;
  if (folder === undefined) throw new RunError('run-folder-missing', { key: 'output_dir' });
  const lock = await acquireRunLock(folder);
  try {
    const journal = join(folder, predictFileNames.journal);
    const files = [join(folder, predictFileNames.predictions), join(folder, predictFileNames.results)];
    const asked = await askRows(settings, { ...options, journal, outcome: files });
    const { done, total } = asked;
    if (asked.answers === undefined) return { state: 'stopped', done, total, files: [journal] };
    const scores = await scoreAnswers(asked.answers, settings);
    // Scored again without asking: what answering took stands in the results of before.
    const time = asked.answered === 0 ? await answeringTime(files[1]!) : asked;
    const results = predictResults(scores, time);
    await writeFileAtomically(files[0]!, asked.answers.map(predictionLine).join(''));
    await writeJsonFile(files[1]!, results);
    const { allResults } = runPaths(folder);
    const before = await readJsonObject(allResults).catch(() => ({}));
    await writeJsonFile(allResults, { ...before, ...results });
    if (scores.labels !== undefined)
      files.push(
        ...(await writeConfusion(
          folder,
          scores.labels,
          settings.adapter_name_or_path.at(-1) ?? settings.model_name_or_path ?? '',
        )),
      );
    return { state: 'done', done, total, results, scores, files };
  } finally {
    await lock.release();
  }
}
