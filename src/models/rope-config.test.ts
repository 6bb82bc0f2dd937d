/** Scalings of rotary positions as configs spell them; their numbers are held against transformers in test/parity.test.ts. */
import { describe, expect, it } from 'vitest';
import { frequencyLength, inverseFrequencies, ropeTables } from '../nn/index.ts';
import { ConfigReader } from './config-reader.ts';
import { readRope } from './rope-config.ts';

const read = (json: object, longropeNames?: readonly string[]) =>
  readRope(new ConfigReader('config.json', json), 16, 10_000, {
    defaultShare: 1,
    ...(longropeNames ? { longropeNames } : {}),
  });

describe('yarn', () => {
  it('says how much larger cosines become, or it follows from the factor', () => {
    const of = (more: object) =>
      read({ rope_scaling: { type: 'yarn', factor: 4, original_max_position_embeddings: 32, ...more } }).scaling;
    expect(of({})).toMatchObject({ attentionFactor: 0.1 * Math.log(4) + 1, betaFast: 32, betaSlow: 1, truncate: true });
    expect(of({ attention_factor: 0.7 })).toMatchObject({ attentionFactor: 0.7 });
    expect(of({ mscale: 2, mscale_all_dim: 1 })).toMatchObject({
      attentionFactor: (0.2 * Math.log(4) + 1) / (0.1 * Math.log(4) + 1),
    });
    expect(of({ beta_fast: null, beta_slow: 2, truncate: false })).toMatchObject({
      betaFast: 32,
      betaSlow: 2,
      truncate: false,
    });
  });

  it('leaves fast pairs as they are and slows slow ones down by the factor', () => {
    const rope = read({
      rope_parameters: { rope_type: 'yarn', rope_theta: 100, factor: 4, original_max_position_embeddings: 512 },
    });
    const plain = inverseFrequencies({ ...rope, scaling: { type: 'default' } }, 1);
    const scaled = inverseFrequencies(rope, 1);
    expect(scaled[0]).toBe(plain[0]);
    const { cos } = ropeTables(rope, [2]);
    expect(cos[0]).toBeCloseTo(0.1 * Math.log(4) + 1, 6);
    const slow = read({
      rope_parameters: { rope_type: 'yarn', rope_theta: 1e6, factor: 4, original_max_position_embeddings: 512 },
    });
    const last = inverseFrequencies(slow, 1).at(-1)!;
    expect(last).toBeCloseTo(inverseFrequencies({ ...slow, scaling: { type: 'default' } }, 1).at(-1)! / 4, 10);
  });
});

describe('longrope', () => {
  const short = [1, 1, 1, 1, 1, 1, 1, 1];
  const long = [2, 2, 2, 2, 2, 2, 2, 2];
  const json = {
    original_max_position_embeddings: 16,
    max_position_embeddings: 64,
    rope_scaling: { type: 'longrope', short_factor: short, long_factor: long },
  };

  it('turns sequences beyond the original length by the long factors, others by the short ones', () => {
    const rope = read(json);
    expect(rope.scaling).toMatchObject({ originalLength: 16, attentionFactor: Math.sqrt(1.5) });
    expect(inverseFrequencies(rope, 17)[3]! * 2).toBeCloseTo(inverseFrequencies(rope, 16)[3]!, 9);
    expect([frequencyLength(rope, 16), frequencyLength(rope, 17), frequencyLength(rope, 40)]).toEqual([0, 17, 17]);
    // a piece of a long prompt turns as the whole prompt does
    expect(ropeTables(rope, [4], [0], [20]).sin).toEqual(ropeTables(rope, [20]).sin.slice(0, 32));
    expect(ropeTables(rope, [4]).sin).not.toEqual(ropeTables(rope, [20]).sin.slice(0, 32));
  });

  it('is what older Phi-3 files call su or yarn', () => {
    const older = { ...json, rope_scaling: { ...json.rope_scaling, type: 'su' } };
    expect(read(older, ['su', 'yarn']).scaling.type).toBe('longrope');
    expect(() => read(older)).toThrow(/rope_type.*"su"/);
  });

  it('refuses lists of another length', () => {
    const wrong = { ...json, rope_scaling: { ...json.rope_scaling, long_factor: [1, 2] } };
    expect(() => read(wrong)).toThrow(/long_factor.*8 positive numbers/);
  });
});

it('dynamic frequencies depend on every length beyond the original', () => {
  const rope = read({ max_position_embeddings: 32, rope_scaling: { type: 'dynamic', factor: 2 } });
  expect([frequencyLength(rope, 32), frequencyLength(rope, 33), frequencyLength(rope, 34)]).toEqual([0, 33, 34]);
});
