/** A batch of sequences as the tensors that the loss graph takes: tokens one after the other, without padding. */
import type { Sequence } from '../data/index.ts';
import { UnsupportedError } from '../errors.ts';
import type { Model } from '../models/index.ts';
import { blockLayoutValues, positionValues, shortestRow } from '../nn/index.ts';
import { float32, int64, type TensorValue } from '../runtime/index.ts';
import { type DropoutSite, storedTokenIds, tokenRowInputs, type TuningMethod } from '../tuning/index.ts';
import { hashKey, mix32 } from '../util/index.ts';
import type { DropoutKey } from './engine.ts';
import { batchInputs } from './loss-graph.ts';

export interface BatchFeeds {
  readonly feeds: Record<string, TensorValue>;
  /** Tokens of the batch, N. */
  readonly tokens: number;
  /** Trained labels, R; 0 means that there is nothing to compute. */
  readonly labelled: number;
  readonly weightSum: number;
}

/** Lays out a batch. The first token of a sequence is never predicted. */
export function batchFeeds(batch: readonly Sequence[], model: Model, method: TuningMethod): BatchFeeds {
  const lengths = batch.map(({ inputIds }) => inputIds.length);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const longest = Math.max(shortestRow, ...lengths);
  const ids = new Int32Array(tokens);
  const slotToken = new Int32Array(batch.length * longest).fill(tokens);
  const tokenSlot = new Int32Array(tokens);
  const rows: number[] = [];
  const labels: number[] = [];
  const weights: number[] = [];
  let start = 0;
  batch.forEach((sequence, i) => {
    ids.set(sequence.inputIds, start);
    for (let t = 0; t < lengths[i]!; t++) {
      slotToken[i * longest + t] = start + t;
      tokenSlot[start + t] = i * longest + t;
      const label = sequence.labels[t]!;
      const weight = sequence.weights?.[t] ?? 1;
      if (t === 0 || label < 0 || weight === 0) continue;
      rows.push(start + t - 1);
      labels.push(label);
      weights.push(weight);
    }
    start += lengths[i]!;
  });
  const beyond = ids.findIndex((id) => id >= model.vocabularySize);
  if (beyond >= 0) {
    const { vocabularySize } = model;
    throw new UnsupportedError('token-beyond-vocabulary', { id: ids[beyond]!, vocabularySize });
  }
  const feeds: Record<string, TensorValue> = {
    [batchInputs.tokenIds]: int64(storedTokenIds(ids, method.storedRows)),
    slot_token: int64(slotToken),
    token_slot: int64(tokenSlot),
    steps: int64(Array.from({ length: longest }, (_, i) => i)),
    label_rows: int64(rows),
    labels: int64(labels, [labels.length, 1]),
    label_weights: float32(Float32Array.from(weights), [weights.length, 1]),
  };
  const heads = { heads: model.headCount, groups: model.kvHeadCount };
  for (const { name, shape, values } of [
    ...positionValues(model.ropes, lengths),
    ...blockLayoutValues(lengths, heads),
  ]) {
    feeds[name] = values instanceof Float32Array ? float32(values, shape) : int64(values, shape);
  }
  for (const [name, { shape, values }] of Object.entries(
    tokenRowInputs(method.movedTokenIds, ids, method.storedRows),
  )) {
    feeds[name] = int64(values, shape);
  }
  return { feeds, tokens, labelled: rows.length, weightSum: weights.reduce((sum, weight) => sum + weight, 0) };
}

/** A dropout mask uint8[rows, width]: each element a pure function of key, site and place. */
export function dropoutMask(site: DropoutSite, rows: number, key: DropoutKey): TensorValue {
  const siteKey = hashKey(key.seed, 'dropout', key.step, key.microBatch, site.input);
  const count = rows * site.width;
  const mask = new Uint8Array(count);
  // two elements from the halves of one 32-bit word
  const threshold = Math.round(site.probability * 65_536);
  for (let i = 0; i < count; i += 2) {
    const word = mix32(siteKey, i);
    mask[i] = (word & 0xffff) >= threshold ? 1 : 0;
    if (i + 1 < count) mask[i + 1] = word >>> 16 >= threshold ? 1 : 0;
  }
  return { dtype: 'uint8', shape: [rows, site.width], data: mask };
}
