/**
 * LLaMA-Factory's way of shortening a conversation (`infer_seqlen`, `data/processor/supervised.py`), for
 * `overlong: llamafactory` only: it may cut the header of an answer, or its end token. Knows no `node:` module.
 */
import { ignoredLabel } from './sequence.ts';

/** How many source and target tokens of one turn are kept. All are token counts. */
export function inferSeqlen(
  sourceLength: number,
  targetLength: number,
  cutoffLength: number,
): [source: number, target: number] {
  let maxTarget: number;
  if (targetLength * 2 < cutoffLength) maxTarget = cutoffLength;
  else if (sourceLength * 2 < cutoffLength) maxTarget = cutoffLength - sourceLength;
  else maxTarget = Math.floor(cutoffLength * (targetLength / (sourceLength + targetLength)));
  const target = Math.min(maxTarget, targetLength);
  const source = Math.min(Math.max(cutoffLength - target, 0), sourceLength);
  return [source, target];
}

/** Runs of trained tokens, [begin, end). */
export function trainedRuns(labels: Int32Array): [number, number][] {
  const runs: [number, number][] = [];
  for (let at = 0; at < labels.length;) {
    const begin = at;
    while (at < labels.length && labels[at] !== ignoredLabel) at++;
    if (at > begin) runs.push([begin, at]);
    else at++;
  }
  return runs;
}

/** What `cutLikeLlamaFactory` cuts. */
export interface CuttableSequence {
  readonly inputIds: Int32Array;
  readonly labels: Int32Array;
  readonly weights?: Float32Array;
  /** [begin, end) in tokens of each answer; left out means the runs of labels. */
  readonly answers?: readonly (readonly [number, number])[];
}

/**
 * Cuts a sequence to `cutoffLength` tokens turn by turn. With `lastTurnFirst` (LLaMA-Factory's `mask_history`) the last
 * turn gets its tokens before the others do.
 */
export function cutLikeLlamaFactory(
  sequence: CuttableSequence,
  cutoffLength: number,
  lastTurnFirst: boolean,
): CuttableSequence {
  // A turn is what stands between two answers, and the answer that follows; what follows the last one is left out.
  const answers = sequence.answers ?? trainedRuns(sequence.labels);
  const turns = answers.map(([targetStart, end], turn) => ({ start: answers[turn - 1]?.[1] ?? 0, targetStart, end }));
  const kept: [number, number][][] = [];
  let total = 0;
  for (const { start, targetStart, end } of lastTurnFirst ? turns.reverse() : turns) {
    if (total >= cutoffLength) break;
    const [source, target] = inferSeqlen(targetStart - start, end - targetStart, cutoffLength - total);
    kept.push([
      [start, start + source],
      [targetStart, targetStart + target],
    ]);
    total += source + target;
  }
  if (lastTurnFirst) kept.reverse();
  const ranges = kept.flat();
  const inputIds = new Int32Array(total);
  const labels = new Int32Array(total);
  const weights = sequence.weights && new Float32Array(total);
  let at = 0;
  for (const [from, to] of ranges) {
    inputIds.set(sequence.inputIds.subarray(from, to), at);
    labels.set(sequence.labels.subarray(from, to), at);
    weights?.set(sequence.weights!.subarray(from, to), at);
    at += to - from;
  }
  return weights ? { inputIds, labels, weights } : { inputIds, labels };
}
