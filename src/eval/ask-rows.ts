/** A model answers the questions of a data set, several at a time, each answer kept as soon as it is there. */
import { type DataSettings, type Notice, readPromptRows } from '../data/index.ts';
import { type GeneratorSettings, openGenerator } from '../generate/index.ts';
import { openAnswerJournal } from './answer-journal.ts';
import { answerOrigin } from './answer-origin.ts';
import type { ScoredAnswer } from './row-metrics.ts';

/** The settings of asking, under their names in the config: a whole config fits. */
export interface AskSettings extends GeneratorSettings, DataSettings {
  readonly stage: DataSettings['stage'];
  /** Answers at a time. */
  readonly per_device_eval_batch_size: number;
  /** Answers of something else may be replaced. */
  readonly overwrite_output_dir?: boolean | undefined;
}

/** What is said while a model answers. */
export type AskEvent =
  | { readonly type: 'notice'; readonly text: string }
  /** Answers of an earlier start that are used. */
  | { readonly type: 'resuming'; readonly done: number; readonly total: number }
  | {
      readonly type: 'progress';
      readonly done: number;
      readonly total: number;
      readonly tokensPerSecond: number;
      readonly secondsLeft: number;
    };

export interface AskOptions {
  readonly onEvent?: ((event: AskEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** File in which answers are kept. */
  readonly journal: string;
  /** Files that are made of all answers: they go where answers of something else are replaced. */
  readonly outcome: readonly string[];
}

/** The answers, in the order of the rows. */
export interface AskResult {
  /** Undefined where it was stopped before all were there. */
  readonly answers?: readonly ScoredAnswer[];
  readonly done: number;
  readonly total: number;
  /** Seconds of this start. */
  readonly seconds: number;
  /** Answers of this start. */
  readonly answered: number;
}

/** Does `work` for each item, at most `limit` at a time; the first error ends it. */
async function forEachAtMost<T>(items: readonly T[], limit: number, work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) await work(items[next++]!);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}

/**
 * Answers all questions. Answers that an earlier start left in the journal are used where model, settings and questions are the same.
 * @throws RunError as {@link openAnswerJournal} says; what opening the model and reading the rows throws.
 */
export async function askRows(settings: AskSettings, options: AskOptions): Promise<AskResult> {
  const { onEvent, signal } = options;
  const generator = await openGenerator(settings);
  try {
    const notices: Notice[] = [];
    // No prompt may be longer than the model.
    const cutoff_len = Math.min(settings.cutoff_len, generator.model.maxPositions);
    const rows = await readPromptRows({ ...settings, cutoff_len }, generator.text, notices);
    for (const { text } of notices) onEvent?.({ type: 'notice', text });
    const journal = await openAnswerJournal(
      { ...options, overwrite: settings.overwrite_output_dir ?? false },
      await answerOrigin(settings, generator, rows),
    );
    const known = new Map(journal.known);
    const before = known.size;
    if (before > 0) onEvent?.({ type: 'resuming', done: before, total: rows.length });
    const started = performance.now();
    const seconds = (): number => (performance.now() - started) / 1000;
    let tokens = 0;
    const stop = new AbortController();
    const abort = (): void => stop.abort();
    signal?.addEventListener('abort', abort, { once: true });
    if (signal?.aborted === true) abort();
    try {
      const open = [...rows.keys()].filter((row) => !known.has(row));
      await forEachAtMost(open, settings.per_device_eval_batch_size, async (row) => {
        if (stop.signal.aborted) return;
        // The number of the draw is that of the row: neighbours and restarts change no answer.
        const answer = await generator.answer(rows[row]!.promptIds, { draw: row, signal: stop.signal });
        if (answer.finish_reason === 'aborted') return;
        const line = { row, predict: answer.text, tokens: answer.ids.length };
        journal.append(line);
        known.set(row, line);
        tokens += line.tokens;
        const answered = known.size - before;
        onEvent?.({
          type: 'progress',
          done: known.size,
          total: rows.length,
          tokensPerSecond: tokens / seconds(),
          secondsLeft: (seconds() / answered) * (rows.length - known.size),
        });
      }).catch((error: unknown) => {
        // The others end too, before the model is given back.
        abort();
        throw error;
      });
    } finally {
      signal?.removeEventListener('abort', abort);
      journal.close();
    }
    const { tokenizer } = generator.text;
    const result = { done: known.size, total: rows.length, seconds: seconds(), answered: known.size - before };
    if (known.size < rows.length) return result;
    const answers = rows.map(({ promptIds, label }, row) => ({
      prompt: tokenizer.decode(promptIds),
      predict: known.get(row)!.predict,
      label,
    }));
    return { ...result, answers };
  } finally {
    await generator.release();
  }
}
