/**
 * Perplexity of any text by a sliding window: the window moves by `stride` tokens, and those are counted that it sees for the first time, with what
 * stands before them in the window as context. A stride of the whole window is lm-eval's way (disjoint windows, one token of context).
 */
import { type Generator, scoreTokens } from '../../generate/index.ts';
import { bootstrapInterval } from '../intervals.ts';
import { splitOnSpace } from '../python-text.ts';
import { prefixId } from './loglikelihood.ts';
import type { TaskProgress, TaskResult } from './task-result.ts';
import { readTexts } from './texts.ts';

/** What is measured, and how. */
export interface PerplexitySettings {
  readonly task_dir: string;
  readonly cutoff_len: number;
  readonly perplexity_window?: number | undefined;
  readonly perplexity_stride?: number | undefined;
  readonly max_samples?: number | undefined;
  readonly seed: number;
}

/** A stretch of tokens of which the last ones are counted. */
export interface ScoredWindow {
  /** First id that the model sees, and the one behind its last. */
  readonly begin: number;
  readonly end: number;
  /** First id that is counted. */
  readonly from: number;
}

/** Windows over `count` ids, the first of which is context only. Every other id is counted once. */
export function slidingWindows(count: number, window: number, stride: number): readonly ScoredWindow[] {
  const windows: ScoredWindow[] = [];
  let from = 1;
  while (from < count) {
    const step = from === 1 ? window : stride;
    const end = Math.min(count, from + step);
    windows.push({ begin: Math.max(0, end - window - 1), end, from });
    from = end;
  }
  return windows;
}

/** Windows that are scored at once. */
const windowsAtOnce = 16;

/** Measures the texts of a file or folder. */
export async function runPerplexity(
  generator: Generator,
  settings: PerplexitySettings,
  onProgress: TaskProgress = () => undefined,
): Promise<TaskResult> {
  const { tokenizer } = generator.text;
  // The last id of a window is predicted but never seen: one place less than the model has.
  const most = generator.model.maxPositions - 1;
  const window = Math.min(settings.perplexity_window ?? settings.cutoff_len, most);
  const stride = Math.min(settings.perplexity_stride ?? Math.max(1, Math.floor(window / 2)), window);
  const texts = await readTexts(settings.task_dir, 'perplexity', settings.max_samples);
  const prefix = prefixId(generator);
  const encoded = texts.map(({ text }) => {
    const ids = tokenizer.encode(text);
    return prefix === undefined ? ids : Int32Array.from([prefix, ...ids]);
  });
  const windows = encoded.flatMap((ids) => slidingWindows(ids.length, window, stride).map((at) => ({ ids, at })));
  /** Of each window: the sum of -ln p, and its tokens. */
  const losses: number[] = [];
  const counts: number[] = [];
  for (let first = 0; first < windows.length; first += windowsAtOnce) {
    const group = windows.slice(first, first + windowsAtOnce);
    const scored = await scoreTokens(
      generator.engine,
      group.map(({ ids, at }) => ({ ids: ids.subarray(at.begin, at.end), from: at.from - at.begin })),
    );
    for (const { logprobs } of scored) {
      losses.push(-logprobs.reduce((sum, value) => sum + value, 0));
      counts.push(logprobs.length);
    }
    onProgress(losses.length, windows.length);
  }
  const loss = losses.reduce((sum, value) => sum + value, 0);
  const tokens = counts.reduce((sum, value) => sum + value, 0);
  const bytes = texts.reduce((sum, { text }) => sum + new TextEncoder().encode(text).length, 0);
  const words = texts.reduce((sum, { text }) => sum + splitOnSpace(text).length, 0);
  const ci = bootstrapInterval(
    losses.length,
    (rows) => {
      let [some, of] = [0, 0];
      for (const row of rows) {
        some += losses[row]!;
        of += counts[row]!;
      }
      return Math.exp(some / of);
    },
    { seed: settings.seed },
  );
  const per = (metric: string, value: number, n: number): TaskResult => ({
    task: 'perplexity',
    metric,
    value,
    ci: null,
    n,
  });
  return {
    ...per('perplexity', Math.exp(loss / tokens), tokens),
    ci: losses.length === 0 ? null : ci,
    parts: [
      per('loss', loss / tokens, tokens),
      per('bits_per_byte', loss / bytes / Math.LN2, bytes),
      per('byte_perplexity', Math.exp(loss / bytes), bytes),
      per('word_perplexity', Math.exp(loss / words), words),
    ],
    settings: { window, stride, texts: texts.length, windows: windows.length },
  };
}
