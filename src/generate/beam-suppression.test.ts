/** Beam search with suppressed texts against the definition, enumerated: with beams for all answers it must find every score. */
import { describe, expect, it } from 'vitest';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from '../../test/support/parity-model.ts';
import { frozenMethod } from '../tuning/index.ts';
import { generate, type Generation } from './answers.ts';
import { SuppressedBeams } from './beam-suppression.ts';
import { type BeamAnswer, type BeamSettings, BeamStrategy } from './beams.ts';
import { Decoder } from './decoder.ts';
import { DecodingEngine } from './engine.ts';
import { greedySampling, type SamplingSettings } from './sampling.ts';
import { scoreTokens } from './score.ts';
import type { Suppression } from './suppressed-text.ts';
import { randomModel, sequences, stop, textOf, type TinyRun, vocabularyOf } from './tiny-language.fixture.ts';

interface Options {
  readonly beams: number;
  readonly suppressions?: readonly Suppression[];
  readonly sampling?: Partial<SamplingSettings>;
  readonly settings?: Partial<BeamSettings>;
  readonly topLogprobs?: number;
}

/** Runs a search as the engine does. */
function search(
  run: TinyRun,
  { beams, suppressions, sampling, settings, topLogprobs }: Options,
): readonly BeamAnswer[] {
  const request = {
    promptIds: [0],
    maxNewTokens: run.maxNewTokens,
    stopIds: new Set([run.pieces.indexOf(stop)]),
    sampling: { ...greedySampling, ...sampling },
    ...(topLogprobs === undefined ? {} : { topLogprobs }),
  };
  const suppressed =
    suppressions && new SuppressedBeams({ suppressions, vocabulary: vocabularyOf(run.pieces) }, beams, request);
  const strategy = new BeamStrategy(
    request,
    { beams, lengthPenalty: 0, earlyStopping: 'never', ...settings },
    () => false,
    suppressed,
  );
  let rows: number[][] = [[]];
  for (let steps = 0; ; steps++) {
    if (steps > 1000) throw new Error('no end');
    const moves = strategy.advance(rows.map((ids) => run.model(ids)));
    if (moves.length === 0) return strategy.answers;
    expect(moves.length).toBeLessThanOrEqual(2 * beams);
    rows = moves.map(({ from, keep, token }) => {
      expect(keep).toBeLessThanOrEqual(rows[from]!.length);
      return [...rows[from]!.slice(0, keep), token];
    });
  }
}

/** The tokens before a place that is decided by, as the definition has it: those before which no token reaches across it. */
function rootOf({ pieces }: TinyRun, ids: readonly number[], text: string, at: number, longest: number): number {
  const starts: number[] = [];
  ids.reduce((length, id) => (starts.push(length), length + textOf({ pieces }, [id]).length), 0);
  const whole = textOf({ pieces }, ids);
  const covering = ids.findIndex((id, i) => starts[i]! + textOf({ pieces }, [id]).length > at);
  const before = covering < 0 ? ids.length : covering;
  const reaching = starts.findIndex(
    (start, i) =>
      i < before &&
      at - start < longest &&
      pieces.some((piece) => piece !== stop && piece.startsWith(whole.slice(start, at) + text[0]!)),
  );
  return reaching < 0 ? before : reaching;
}

/** The probability of every answer under the changed distribution, from the definition. */
function changed(run: TinyRun, { text, coefficient, scope, maxCount = Infinity }: Suppression): Map<string, number> {
  const all = [...sequences(run, { temperature: 1, topK: 0, topP: 1, minP: 0 })].map(({ ids, probability }) => ({
    ids,
    probability,
    reads: textOf(run, ids),
  }));
  const longest = Math.max(...run.pieces.map(({ length }) => length));
  const result = new Map<string, number>();
  for (const { ids, probability, reads } of all) {
    let fired = 0;
    let weight = probability;
    for (let at = 0; at <= reads.length; at++) {
      if (scope !== 'answer' && !new RegExp(`\\${scope.begin}[^${scope.end}]*$`).test(reads.slice(0, at))) continue;
      const root = ids.slice(0, rootOf(run, ids, text, at, longest));
      const alike = all.filter(
        (other) => root.every((id, i) => other.ids[i] === id) && other.reads.startsWith(reads.slice(0, at)),
      );
      const sum = (list: typeof all): number => list.reduce((total, each) => total + each.probability, 0);
      const p = sum(alike.filter((other) => other.reads.startsWith(text, at))) / sum(alike);
      const c = fired < maxCount ? coefficient : 0;
      const spells = reads.startsWith(text, at);
      weight *= spells ? c : (1 - c * p) / (1 - p);
      if (spells) fired++;
    }
    if (weight > 0) result.set(ids.join(' '), weight);
  }
  return result;
}

function expectAllScores(run: TinyRun, suppression: Suppression): void {
  const expected = changed(run, suppression);
  const found = search(run, { beams: 500, suppressions: [suppression] });
  expect(found.length).toBe(expected.size);
  for (const { ids, score } of found)
    expect(score, textOf(run, ids)).toBeCloseTo(Math.log(expected.get(ids.join(' '))!), 4);
}

const letters = ['a', 'b', 'ab', 'c', stop];
const reaching = ['[', '[n', 'n', 'o', 'ox', 'x', stop];
const anywhere = (text: string, coefficient: number): Suppression => ({ text, coefficient, scope: 'answer' });

describe('every answer has the score of the definition', () => {
  it.each([0.5, 0.05, 0])('for a text with several tokenisations, with the coefficient %d', (c) => {
    for (const seed of [1, 2, 3]) {
      expectAllScores({ pieces: letters, model: randomModel(letters, seed), maxNewTokens: 4 }, anywhere('abc', c));
    }
  });

  it('where tokens begin before the text and reach beyond it, in a scope', () => {
    const run = { pieces: reaching, model: randomModel(reaching, 3), maxNewTokens: 3 };
    for (const c of [0.3, 0]) {
      expectAllScores(run, { text: 'no', coefficient: c, scope: { begin: '[', end: 'x' } });
      expectAllScores(run, anywhere('no', c));
    }
  });

  it('at most max_count times', () => {
    const run = { pieces: ['a', 'b', stop], model: randomModel(['a', 'b', stop], 5), maxNewTokens: 5 };
    expectAllScores(run, { text: 'a', coefficient: 0.6, scope: 'answer', maxCount: 1 });
  });
});

describe('with few beams', () => {
  const run: TinyRun = { pieces: letters, model: randomModel(letters, 7), maxNewTokens: 10 };

  it('the coefficient 0 never yields the texts, the answers are as many as beams', () => {
    for (let seed = 0; seed < 60; seed++) {
      for (const doSample of [false, true]) {
        const found = search(
          { ...run, model: randomModel(letters, seed) },
          {
            beams: 3,
            suppressions: [anywhere('ab', 0), anywhere('bb', 0), anywhere('cc', 0)],
            sampling: { doSample, seed },
          },
        );
        expect(found).toHaveLength(3);
        for (const { ids } of found) expect(textOf(run, ids)).not.toMatch(/ab|bb|cc/);
      }
    }
  });

  it('the best answer is the best of the definition, whose text is not the one without suppression', () => {
    // `<n` has 0.81; at 0.05 of it `y` is the best, at 0.2 `<y` (see the greedy search)
    const pieces = ['<', 'n', '>', 'y', stop];
    const model = (ids: readonly number[]): Float32Array => {
      const path = textOf({ pieces }, ids);
      const log = Math.log;
      if (path === '') return Float32Array.of(log(0.9), -50, -50, log(0.1), -50);
      if (path === '<') return Float32Array.of(-50, log(0.9), -50, log(0.1), -50);
      return Float32Array.of(-50, -50, -50, -50, 0);
    };
    const best = (c: number): string =>
      textOf(
        { pieces },
        search({ pieces, model, maxNewTokens: 3 }, { beams: 2, suppressions: [anywhere('<n', c)] })[0]!.ids,
      );
    expect(best(0.9)).toBe('<n');
    // `<n` 0.5 * 0.81, `y` 0.1 * 0.595 / 0.19
    expect(best(0.5)).toBe('<n');
    expect(best(0.05)).toBe('y');
  });

  it('beams that will spell the text do not push the others out', () => {
    const pieces = ['a', 'b', 'ab', 'c', 'x', 'y', 'z', stop];
    const model = (ids: readonly number[]): Float32Array => {
      const reads = textOf({ pieces }, ids);
      const weights: Readonly<Record<string, readonly number[]>> = {
        '': [0.44, 0, 0.46, 0, 0.04, 0.03, 0.03, 0],
        a: [0, 0.98, 0, 0, 0.02, 0, 0, 0],
        ab: [0, 0, 0, 0.98, 0.02, 0, 0, 0],
      };
      return Float32Array.from(weights[reads] ?? [0, 0, 0, 0, 0, 0, 0, 1], (weight) =>
        Math.log(Math.max(weight, 1e-9)),
      );
    };
    const run: TinyRun = { pieces, model, maxNewTokens: 4 };
    for (const [c, expected] of [
      [0, 'x'],
      [0.9, 'abc'],
    ] as const) {
      const suppression = anywhere('abc', c);
      const [[best] = []] = [...changed(run, suppression)].sort((a, b) => b[1] - a[1]);
      const [found] = search(run, { beams: 2, suppressions: [suppression] });
      expect(found!.ids.join(' ')).toBe(best);
      expect(textOf(run, found!.ids)).toBe(expected);
    }
  });

  it('the report counts what was spelled and what was more probable than not', () => {
    let avoided = 0;
    for (let seed = 0; seed < 40; seed++) {
      const each = { ...run, model: randomModel(letters, seed) };
      const [found] = search(each, { beams: 2, suppressions: [anywhere('ab', 0.3)] });
      const [report] = found!.suppressed;
      expect(report).toMatchObject({ text: 'ab', fired: textOf(run, found!.ids).split('ab').length - 1 });
      expect(report!.possible).toBeGreaterThanOrEqual(report!.fired + report!.avoided);
      avoided += report!.avoided;
    }
    expect(avoided).toBeGreaterThan(0);
  });

  it('a model that knows nothing but the text still gives another answer', () => {
    const only: TinyRun = { pieces: ['a', 'b', stop], model: () => Float32Array.of(9, 5, 1), maxNewTokens: 3 };
    for (const sampling of [
      { doSample: true, topK: 1 },
      {
        tokenBias: new Map([
          [1, -Infinity],
          [2, -Infinity],
        ]),
      },
    ]) {
      const [found] = search(only, { beams: 2, suppressions: [anywhere('a', 0)], sampling });
      expect(textOf(only, found!.ids)).not.toContain('a');
    }
  });
});

it('on a real engine: what is run ahead changes no score, log-probabilities are those of the answer', async () => {
  const golden = readParityGolden('llama-grouped-tied');
  const folder = await openTinyModel(golden, golden.config);
  const decoder = await Decoder.create(folder, frozenMethod(folder.stored), new Map(), testCompileOptions);
  try {
    const vocabulary = vocabularyOf(Array.from({ length: 96 }, (_, id) => String.fromCodePoint(48 + id)));
    const { prompt } = golden.greedy;
    const ask = async (suppressions: readonly Suppression[], maxRows: number): Promise<Generation[]> =>
      generate(new DecodingEngine(decoder, { maxRows }), {
        promptIds: prompt,
        maxNewTokens: 6,
        stopIds: new Set(),
        sampling: greedySampling,
        topLogprobs: 1,
        beams: { beams: 3, lengthPenalty: 1, earlyStopping: false },
        answers: 2,
        beamSuppression: { suppressions, vocabulary },
      }).done;
    const plain = await ask([], 4);
    const text = plain[0]!.ids
      .slice(1, 3)
      .map((id) => vocabulary.of(id))
      .join('');
    const [found, alone] = [await ask([anywhere(text, 0)], 8), await ask([anywhere(text, 0)], 1)];
    expect(found).toEqual(alone);
    expect(found.map(({ ids }) => ids)).not.toEqual(plain.map(({ ids }) => ids));
    const scored = await scoreTokens(
      new DecodingEngine(decoder, { maxRows: 4 }),
      found.map(({ ids }) => ({ ids: [...prompt, ...ids], from: prompt.length, topLogprobs: 1 })),
    );
    for (const [i, { ids, logprobs, suppressed }] of found.entries()) {
      expect(ids.map((id) => vocabulary.of(id)).join('')).not.toContain(text);
      expect(suppressed![0]!.fired).toBe(0);
      for (const [place, { logprob }] of logprobs.entries())
        expect(logprob).toBeCloseTo(scored[i]!.logprobs[place]!, 4);
    }
  } finally {
    await decoder.release();
    await removeTinyModel(folder);
  }
});

it('beams tell the log-probabilities of their tokens', () => {
  const run: TinyRun = { pieces: letters, model: randomModel(letters, 9), maxNewTokens: 5 };
  const found = search(run, { beams: 3, topLogprobs: 2 });
  for (const { ids, score, logprobs } of found) {
    expect(logprobs).toHaveLength(ids.length);
    expect(logprobs.every(({ top }) => top.length === 2)).toBe(true);
    expect(logprobs.reduce((sum, { logprob }) => sum + logprob, 0)).toBeCloseTo(score, 4);
  }
});
