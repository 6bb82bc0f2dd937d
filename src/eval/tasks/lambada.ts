/** LAMBADA (Paperno et al. 2016): is the last word of a passage the one that greedy decoding writes, and how probable is it. */
import type { Generator } from '../../generate/index.ts';
import { bootstrapInterval } from '../intervals.ts';
import { mean } from '../python-text.ts';
import { encodePair, scorePairs } from './loglikelihood.ts';
import { accuracyOf, type TaskProgress, type TaskResult } from './task-result.ts';
import { readTexts } from './texts.ts';

/** Where the passages stand. */
export interface LambadaSettings {
  readonly task_dir: string;
  readonly max_samples?: number | undefined;
  readonly seed: number;
}

/** Passages that are scored at once. */
const passagesAtOnce = 16;

/** A passage without its last word, and that word with its blank, as lm-eval divides them. */
export function lambadaParts(text: string): { readonly context: string; readonly continuation: string } {
  const words = text.split(' ');
  return { context: words.slice(0, -1).join(' '), continuation: ` ${words.at(-1)!}` };
}

/** Scores all passages. */
export async function runLambada(
  generator: Generator,
  { task_dir, max_samples, seed }: LambadaSettings,
  onProgress: TaskProgress = () => undefined,
): Promise<TaskResult> {
  const texts = await readTexts(task_dir, 'lambada', max_samples);
  const logprobs: number[] = [];
  const right: boolean[] = [];
  for (let from = 0; from < texts.length; from += passagesAtOnce) {
    const pairs = texts.slice(from, from + passagesAtOnce).map(({ text }) => encodePair(generator, lambadaParts(text)));
    for (const { logprob, isGreedy } of await scorePairs(generator, pairs)) {
      logprobs.push(logprob);
      right.push(isGreedy);
    }
    onProgress(logprobs.length, texts.length);
  }
  const ci = bootstrapInterval(
    logprobs.length,
    (rows) => Math.exp(-rows.reduce((sum, row) => sum + logprobs[row]!, 0) / rows.length),
    { seed },
  );
  const perplexity = { task: 'lambada', metric: 'perplexity', value: Math.exp(-mean(logprobs)), ci, n: texts.length };
  return { ...accuracyOf('lambada', right, seed), parts: [perplexity] };
}
