/** Attention in blocks and in rows gives what the square gives, and the same gradients: every rule, every way of cutting. */
import { describe, expect, it } from 'vitest';
import { gradients } from '../autodiff/index.ts';
import * as g from '../graph/index.ts';
import {
  alibiSlopes,
  attention,
  blockLayoutInputs,
  blockLayoutValues,
  rowLayoutInputs,
  squareAttention,
} from '../nn/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32, int64, type TensorValue } from './index.ts';

const size = 4;
const options = { device: 'cpu', threads: 1 } as const;
/** Blocks of at most 3 queries, and one key head at a time where a block has more than 6 keys. */
const smallSizes = { rows: 3, maxScoreBytes: 3 * 6 * 2 * 4 };

const rules: Record<string, g.ScoreRule> = {
  causal: { scale: 0.5 },
  'a window': { scale: 0.5, window: 4 },
  'a window below a block': { scale: 0.5, window: 2 },
  'a soft cap': { scale: 0.7, softCap: 1.5 },
  alibi: { scale: 0.5, alibi: { slopes: alibiSlopes(6) } },
  'rounded alibi, window, cap': {
    scale: 0.5,
    window: 6,
    softCap: 2,
    alibi: { slopes: alibiSlopes(6), roundedScale: 0.5 },
  },
};
const batches: Record<string, readonly number[]> = {
  'four tokens': [4],
  'one sequence': [11],
  'packed segments': [1, 7, 2, 1, 5, 10],
};
const groupCounts = [6, 3, 1];

function random(name: string, shape: readonly number[]): TensorValue {
  const stream = new RandomStream(hashKey('block-attention', name));
  return float32(
    Float32Array.from({ length: g.elementCount(shape) }, () => 4 * stream.next() - 2),
    shape,
  );
}

function rowFeeds(lengths: readonly number[]): Record<string, TensorValue> {
  const longest = Math.max(...lengths);
  const tokens = lengths.reduce((sum, length) => sum + length, 0);
  const slots = Array.from({ length: lengths.length * longest }, () => tokens);
  const places = lengths.flatMap((length, row) => Array.from({ length }, (_, t) => row * longest + t));
  places.forEach((slot, token) => (slots[slot] = token));
  return {
    slot_token: int64(slots),
    token_slot: int64(places),
    steps: int64(Array.from({ length: longest }, (_, t) => t)),
  };
}

function blockFeeds(
  lengths: readonly number[],
  counts: g.HeadCounts,
  sizes: g.BlockSizes,
): Record<string, TensorValue> {
  return Object.fromEntries(
    blockLayoutValues(lengths, counts, sizes).map(({ name, shape, values }) => [
      name,
      values instanceof Float32Array ? float32(values, shape) : int64(values, shape),
    ]),
  );
}

async function outputs(
  attend: (q: g.Node, k: g.Node, v: g.Node) => g.Node,
  groups: number,
  feeds: Record<string, TensorValue>,
): Promise<Record<string, Float32Array>> {
  const q = g.input('q', 'float32', ['N', 6, size]);
  const k = g.input('k', 'float32', ['N', groups, size]);
  const v = g.input('v', 'float32', ['N', groups, size]);
  const y = attend(q, k, v);
  const [dq, dk, dv] = gradients([{ output: y, seed: g.input('dy', 'float32', y.shape) }], [q, k, v]);
  const nodes = { y, dq: dq!, dk: dk!, dv: dv! };
  g.verify(Object.values(nodes));
  const program = await compile(nodes, () => new Uint8Array(), options);
  const results = await program.run(feeds);
  await program.release();
  return Object.fromEntries(Object.entries(results).map(([name, { data }]) => [name, data as Float32Array]));
}

describe.each(Object.entries(rules))('%s', (_rule, rule) => {
  describe.each(Object.entries(batches))('%s', (_batch, lengths) => {
    it.each(groupCounts)('%i key heads', async (groups) => {
      const tokens = lengths.reduce((sum, length) => sum + length, 0);
      const feeds = {
        q: random('q', [tokens, 6, size]),
        k: random('k', [tokens, groups, size]),
        v: random('v', [tokens, groups, size]),
        dy: random('dy', [tokens, 6 * size]),
      };
      const inRows = { ...feeds, ...rowFeeds(lengths) };
      const inBlocks = { ...feeds, ...blockFeeds(lengths, { heads: 6, groups }, smallSizes) };
      const square = await outputs((q, k, v) => squareAttention(q, k, v, rowLayoutInputs(), rule), groups, inRows);
      const rows = await outputs((q, k, v) => attention(q, k, v, rowLayoutInputs(), rule), groups, inRows);
      const blocks = await outputs((q, k, v) => attention(q, k, v, blockLayoutInputs(), rule), groups, inBlocks);
      for (const [name, expected] of Object.entries(square)) {
        const scale = Math.max(1e-3, ...expected.map(Math.abs));
        for (const [form, found] of Object.entries({ rows, blocks })) {
          const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - found[name]![i]!)), 0);
          expect(found[name]!.length, name).toBe(expected.length);
          expect(worst / scale, `${form}: ${name}`).toBeLessThan(3e-6);
        }
      }
    });
  });
});
