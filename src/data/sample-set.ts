/** Samples of a training or evaluation set: which sequences, or which parts of them, each is made of. Knows no `node:` module. */
import { GrowingArray } from './growing-array.ts';
import type { Packs } from './packing.ts';
import type { SequenceStore } from './sequence-store.ts';
import type { Sample, Sequence } from './sequence.ts';

/** Samples that can be read any number of times, in any order. */
export interface SampleSet {
  /** Number of samples. */
  readonly size: number;
  /** Tokens of each sample, u32[size]. */
  readonly lengths: Uint32Array;
  /** Tokens of all samples, those of repeated rows each time. */
  readonly tokens: number;
  /** Tokens with a label. */
  readonly trainedTokens: number;
  /** A fresh copy of one sample. */
  sample(index: number): Sample;
}

/** Pieces of sequences, grouped by sample. */
interface Pieces {
  readonly sequence: Uint32Array;
  readonly from: Uint32Array;
  readonly to: Uint32Array;
  /** u32[samples + 1]. */
  readonly starts: Uint32Array;
}

function cut(sequence: Sequence, from: number, to: number): Sequence {
  if (from === 0 && to === sequence.inputIds.length) return sequence;
  const { inputIds, labels, weights, row } = sequence;
  const part = { inputIds: inputIds.slice(from, to), labels: labels.slice(from, to), row };
  return weights ? { ...part, weights: weights.slice(from, to) } : part;
}

function fromPieces(store: SequenceStore, pieces: Pieces): SampleSet {
  const size = pieces.starts.length - 1;
  const lengths = new Uint32Array(size);
  let tokens = 0;
  let trainedTokens = 0;
  for (let sample = 0; sample < size; sample++) {
    for (let piece = pieces.starts[sample]!; piece < pieces.starts[sample + 1]!; piece++) {
      lengths[sample]! += pieces.to[piece]! - pieces.from[piece]!;
    }
    tokens += lengths[sample]!;
  }
  const read = (piece: number): Sequence =>
    cut(store.sequence(pieces.sequence[piece]!), pieces.from[piece]!, pieces.to[piece]!);
  for (const [piece, sequence] of pieces.sequence.entries()) {
    trainedTokens += store.countTrained(sequence, pieces.from[piece]!, pieces.to[piece]!);
  }
  return {
    size,
    lengths,
    tokens,
    trainedTokens,
    sample: (index) =>
      Array.from({ length: pieces.starts[index + 1]! - pieces.starts[index]! }, (_, piece) =>
        read(pieces.starts[index]! + piece),
      ),
  };
}

/** One sample for each sequence of `order`. */
export function singleSamples(store: SequenceStore, order: Uint32Array): SampleSet {
  return fromPieces(store, {
    sequence: order,
    from: new Uint32Array(order.length),
    to: order.map((sequence) => store.lengths[sequence]!),
    starts: Uint32Array.from({ length: order.length + 1 }, (_, index) => index),
  });
}

/** The samples of a packing of the sequences of `order`. */
export function packedSamples(store: SequenceStore, order: Uint32Array, packs: Packs): SampleSet {
  const sequence = packs.members.map((member) => order[member]!);
  return fromPieces(store, {
    sequence,
    from: new Uint32Array(sequence.length),
    to: sequence.map((index) => store.lengths[index]!),
    starts: packs.starts,
  });
}

/** The sequences of `order` as one stream, cut into samples of `maxTokens`; the last one is as long as what is left. */
export function streamSamples(store: SequenceStore, order: Uint32Array, maxTokens: number): SampleSet {
  const sequence = new GrowingArray();
  const from = new GrowingArray();
  const to = new GrowingArray();
  const starts = new GrowingArray();
  starts.push(0);
  let room = maxTokens;
  for (const index of order) {
    const length = store.lengths[index]!;
    for (let at = 0; at < length;) {
      const end = Math.min(length, at + room);
      sequence.push(index);
      from.push(at);
      to.push(end);
      room -= end - at;
      at = end;
      if (room === 0) {
        starts.push(sequence.length);
        room = maxTokens;
      }
    }
  }
  if (room < maxTokens) starts.push(sequence.length);
  return fromPieces(store, {
    sequence: sequence.toArray(),
    from: from.toArray(),
    to: to.toArray(),
    starts: starts.toArray(),
  });
}
