/** What all forms of a comparison share: what they are given, and what they give back. */
import type { JudgePrompts } from './judge-prompts.ts';
import type { Participant, Told } from './participant.ts';
import type { Question } from './rows.ts';
import type { Outcome } from './comparison.ts';

/** The answers of one system by question: its turns. */
export type Answers = ReadonlyMap<string, readonly string[]>;

/** What a form is given. */
export interface JudgeTask {
  readonly questions: readonly Question[];
  /** Answers by system, in the order of the systems. */
  readonly systems: ReadonlyMap<string, Answers>;
  readonly judge: Participant;
  readonly prompts: JudgePrompts;
  /** Longest judgment, in tokens. */
  readonly maxTokens: number;
  readonly signal?: AbortSignal | undefined;
  onProgress(done: number, total: number): void;
}

/** One answer of the judge, as it is kept. */
export interface Judgment {
  readonly key: string;
  readonly text: string;
  readonly finish_reason: string | null;
}

/** Keeps what a judge told. */
export function judgmentOf({ key, text, finishReason }: Told): Judgment {
  return { key, text, finish_reason: finishReason };
}

/** Asks the judge at temperature 0. */
export async function askJudge(task: JudgeTask, system: string, user: string): Promise<Judgment> {
  const messages = [
    ...(system === '' ? [] : [{ role: 'system' as const, content: system }]),
    { role: 'user' as const, content: user },
  ];
  return judgmentOf(await task.judge.tell({ messages, maxTokens: task.maxTokens, temperature: 0 }, task.signal));
}

/** Two systems of a comparison. */
export interface Pair {
  readonly a: string;
  readonly b: string;
}

/** Every two systems, the earlier one first. */
export function pairsOf(names: readonly string[]): readonly Pair[] {
  return names.flatMap((a, i) => names.slice(i + 1).map((b) => ({ a, b })));
}

/** How one piece of a question ended for `a`; a turn of an answer, or a paper. */
export interface Decision extends Pair {
  readonly question: string;
  readonly outcome: Outcome | 'unreadable';
  /** What the chart groups by: category, or turn. */
  readonly category?: string | undefined;
  readonly turn: number;
  /** Characters of both answers. */
  readonly lengths: readonly [number, number];
}

/** Counts calls of the judge, so that each tells how far the work is. */
export function progressOf(task: JudgeTask, total: number): () => void {
  let done = 0;
  task.onProgress(0, total);
  return () => task.onProgress(++done, total);
}
