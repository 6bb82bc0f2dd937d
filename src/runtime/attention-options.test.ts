/** Attention over a cache gives what attention over the whole row gives, with windows, caps and biases. */
import { describe, expect, it } from 'vitest';
import * as g from '../graph/index.ts';
import {
  alibiSlopes,
  attention,
  type AttentionOptions,
  cachedAttention,
  layerCacheInputs,
  rowLayoutInputs,
} from '../nn/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { compile, float32, int64, type TensorValue } from './index.ts';

const heads = 6;
const groups = 3;
const size = 4;
const tokens = 9;
const cached = 5;
const room = 7;

const cases: Record<string, AttentionOptions> = {
  plain: { scale: 0.5 },
  'a window': { scale: 0.5, window: 3 },
  'a soft cap': { scale: 0.7, softCap: 1.5 },
  alibi: { scale: 0.5, alibi: { slopes: alibiSlopes(heads) } },
  'rounded alibi, window, cap': {
    scale: 0.5,
    window: 6,
    softCap: 2,
    alibi: { slopes: alibiSlopes(heads), roundedScale: 0.5 },
  },
};

function random(name: string, count: number): Float32Array {
  const stream = new RandomStream(hashKey('attention-options', name));
  return Float32Array.from({ length: count }, () => 4 * stream.next() - 2);
}

/** softmax of scores over earlier tokens, written out. */
function reference(q: Float32Array, k: Float32Array, v: Float32Array, options: AttentionOptions): Float32Array {
  const result = new Float32Array(tokens * heads * size);
  const bfloat16 = (x: number): number => {
    const bits = new Uint32Array(Float32Array.of(x).buffer);
    bits[0] = (bits[0]! + 0x7fff + ((bits[0]! >>> 16) & 1)) & 0xffff0000;
    return new Float32Array(bits.buffer)[0]!;
  };
  for (let h = 0; h < heads; h++) {
    const group = Math.floor(h / (heads / groups));
    for (let t = 0; t < tokens; t++) {
      const weights: number[] = [];
      for (let s = 0; s <= t; s++) {
        let score = 0;
        for (let e = 0; e < size; e++) {
          score += q[(t * heads + h) * size + e]! * k[(s * groups + group) * size + e]! * options.scale;
        }
        const { softCap, alibi, window } = options;
        if (softCap !== undefined) score = softCap * Math.tanh(score / softCap);
        const slope = alibi?.slopes[h] ?? 0;
        if (alibi?.roundedScale === undefined) score += slope * (s - t);
        else score += bfloat16(bfloat16(slope) * s) * alibi.roundedScale;
        weights.push(window !== undefined && t - s >= window ? 0 : Math.exp(score));
      }
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let e = 0; e < size; e++) {
        result[(t * heads + h) * size + e] = weights.reduce(
          (sum, weight, s) => sum + (weight / total) * v[(s * groups + group) * size + e]!,
          0,
        );
      }
    }
  }
  return result;
}

describe.each(Object.entries(cases))('%s', (_name, options) => {
  const q = random('q', tokens * heads * size);
  const k = random('k', tokens * groups * size);
  const v = random('v', tokens * groups * size);
  const expected = reference(q, k, v, options);
  const nodes = {
    q: g.input('q', 'float32', ['N', heads, size]),
    k: g.input('k', 'float32', ['N', groups, size]),
    v: g.input('v', 'float32', ['N', groups, size]),
  };
  const run = async (y: g.Node, feeds: Record<string, TensorValue>): Promise<Float32Array> => {
    const program = await compile({ y }, () => new Uint8Array(), { device: 'cpu', threads: 1 });
    const results = await program.run(feeds);
    await program.release();
    return results['y']!.data as Float32Array;
  };
  const rowFeeds = (first: number): Record<string, TensorValue> => {
    const count = tokens - first;
    const steps = int64(Array.from({ length: count }, (_, i) => i));
    return {
      q: float32(q.slice(first * heads * size), [count, heads, size]),
      k: float32(k.slice(first * groups * size), [count, groups, size]),
      v: float32(v.slice(first * groups * size), [count, groups, size]),
      slot_token: steps,
      token_slot: steps,
      steps,
    };
  };

  it('over a whole row', async () => {
    const y = await run(attention(nodes.q, nodes.k, nodes.v, rowLayoutInputs(), options), rowFeeds(0));
    expected.forEach((value, i) => expect(Math.abs(y[i]! - value)).toBeLessThan(1e-5));
  });

  it('over a cache', async () => {
    const cacheRows = (x: Float32Array): TensorValue => {
      const data = new Float32Array(groups * room * size);
      for (let group = 0; group < groups; group++) {
        for (let s = 0; s < cached; s++) {
          const from = (s * groups + group) * size;
          data.set(x.subarray(from, from + size), (group * room + s) * size);
        }
      }
      return float32(data, [1, groups, room, size]);
    };
    const layout = {
      ...rowLayoutInputs(),
      lengths: g.input('lengths', 'int64', ['B']),
      cacheSteps: g.input('cache_steps', 'int64', ['C']),
    };
    const cache = layerCacheInputs(0, groups, size);
    const { mixed } = cachedAttention(nodes.q, nodes.k, nodes.v, cache, layout, options, new Map());
    const y = await run(mixed, {
      ...rowFeeds(cached),
      lengths: int64([cached]),
      cache_steps: int64(Array.from({ length: room }, (_, i) => i)),
      cache_keys_0: cacheRows(k),
      cache_values_0: cacheRows(v),
    });
    expected.slice(cached * heads * size).forEach((value, i) => expect(Math.abs(y[i]! - value)).toBeLessThan(1e-5));
  });
});
