import { describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { SequenceStoreBuilder } from './sequence-store.ts';
import type { Sequence } from './sequence.ts';

function randomTokens(random: RandomStream): { inputIds: Int32Array; labels: Int32Array } {
  const inputIds = Int32Array.from({ length: 1 + random.nextInt(300) }, () => random.nextInt(150_000));
  return { inputIds, labels: inputIds.map((id) => (random.nextInt(2) ? id : -100)) };
}

describe('SequenceStore', () => {
  it.each([
    ['in memory', undefined],
    ['in the file, but for the last block', 0],
  ])('gives back what was added, %s', async (_, memoryTokens) => {
    const random = new RandomStream(5);
    const sequences = Array.from({ length: 400 }, (_, row): Sequence => {
      const { inputIds, labels } = randomTokens(random);
      const weights = row % 3 === 0 ? Float32Array.from(labels, (label) => (label === -100 ? 0 : 0.5)) : undefined;
      return weights ? { inputIds, labels, weights, row: row * 2 } : { inputIds, labels, row: row * 2 };
    });
    const builder = new SequenceStoreBuilder(memoryTokens, 1000);
    for (const sequence of sequences) await builder.add(sequence);
    const store = await builder.finish();
    expect(store.size).toBe(400);
    expect(store.tokens).toBe(sequences.reduce((sum, { inputIds }) => sum + inputIds.length, 0));
    for (const index of [0, 3, 4, 100, 399, 17, 255, 398, 1]) {
      const { inputIds, labels, weights, row } = store.sequence(index);
      const expected = sequences[index]!;
      expect(Buffer.compare(Buffer.from(inputIds.buffer), Buffer.from(expected.inputIds.buffer))).toBe(0);
      expect(Buffer.compare(Buffer.from(labels.buffer), Buffer.from(expected.labels.buffer))).toBe(0);
      expect(row).toBe(expected.row);
      if (expected.weights) expect(weights).toEqual(expected.weights);
      const [from, to] = [1, Math.min(50, inputIds.length)];
      expect(store.countTrained(index, from, to)).toBe(labels.slice(from, to).filter((label) => label !== -100).length);
    }
    let trained = 0;
    for (let index = 0; index < store.size; index++) trained += store.countTrained(index, 0, store.lengths[index]!);
    expect(trained).toBe(store.trainedTokens);
  });
});
