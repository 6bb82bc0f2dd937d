/** Vocabularies of a few pieces and models by chance, small enough that every answer can be enumerated. */
import { hashKey, RandomStream } from '../util/index.ts';
import { distributionOf, type DistributionSettings } from './distribution.ts';
import { VocabularyIndex } from './vocabulary-index.ts';

/** The piece that ends an answer and is not shown. */
export const stop = '$';

export type TinyModel = (ids: readonly number[]) => Float32Array;

/** A vocabulary of given pieces. */
export function vocabularyOf(pieces: readonly string[]): VocabularyIndex {
  return new VocabularyIndex(
    {
      vocabularySize: pieces.length,
      specialIds: new Set([pieces.indexOf(stop)]),
      tokenBytes: (id) => Buffer.from(pieces[id]!),
    },
    true,
  );
}

/** Logits that depend on the text before, by chance but always the same; two tokenisations of one text go on alike. */
export function randomModel(pieces: readonly string[], seed: number): TinyModel {
  const known = new Map<string, Float32Array>();
  return (ids) => {
    const text = ids.map((id) => pieces[id]).join('');
    let logits = known.get(text);
    if (!logits) {
      const random = new RandomStream(hashKey(seed, text));
      known.set(text, (logits = Float32Array.from(pieces, () => 3 * random.next())));
    }
    return logits;
  };
}

/** What is enumerated. */
export interface TinyRun {
  readonly pieces: readonly string[];
  readonly model: TinyModel;
  readonly maxNewTokens: number;
}

/** The probability of every whole answer. */
export function* sequences(
  run: TinyRun,
  settings: DistributionSettings,
  ids: number[] = [],
  probability = 1,
): Generator<{ ids: number[]; probability: number }> {
  if (ids.length === run.maxNewTokens || (ids.length > 0 && run.pieces[ids.at(-1)!] === stop)) {
    yield { ids, probability };
    return;
  }
  const distribution = distributionOf(run.model(ids), settings);
  for (const [i, id] of distribution.ids.entries()) {
    const next = probability * distribution.probabilities[i]!;
    if (next > 0) yield* sequences(run, settings, [...ids, id], next);
  }
}

/** What an answer reads. */
export function textOf({ pieces }: Pick<TinyRun, 'pieces'>, ids: readonly number[]): string {
  return ids.map((id) => (pieces[id] === stop ? '' : pieces[id]!)).join('');
}
