import { describe, expect, it } from 'vitest';
import { plainChooser, type TokenChooser } from './answers.ts';
import { drawNumber, greedySampling, type SamplingSettings } from './sampling.ts';
import type { Suppression } from './suppressed-text.ts';
import { SuppressingChooser } from './suppression.ts';
import { TokenHistory } from './token-history.ts';
import {
  randomModel,
  sequences,
  stop,
  textOf,
  type TinyModel,
  type TinyRun,
  vocabularyOf,
} from './tiny-language.fixture.ts';

interface Run extends TinyRun {
  readonly settings?: Partial<SamplingSettings>;
}

const settingsOf = ({ settings }: Run): SamplingSettings => ({
  ...greedySampling,
  doSample: true,
  seed: 5,
  ...settings,
});

/** Runs one answer as the engine does; gives its text, and what was told at each step. */
function answer(run: Run, chooser: TokenChooser, draw: number): { ids: number[]; text: string; told: string[] } {
  const history = new TokenHistory([]);
  const stopIds = new Set([run.pieces.indexOf(stop)]);
  const settings = settingsOf(run);
  const told: string[] = [];
  for (let steps = 0; ; steps++) {
    if (steps > 10_000) throw new Error('no end');
    const choice = chooser.choose({
      logits: run.model(history.ids),
      history,
      settings,
      stopIds,
      maxNewTokens: run.maxNewTokens,
      random: (position, attempt) => drawNumber({ seed: settings.seed, request: draw, answer: 0, position }, attempt),
    });
    history.truncate(choice.keep ?? history.ids.length);
    history.push(choice.token);
    const ended = stopIds.has(choice.token) || history.ids.length >= run.maxNewTokens;
    told.push(textOf(run, history.ids.slice(0, ended ? undefined : (choice.certain ?? history.ids.length))));
    if (ended) return { ids: [...history.ids], text: textOf(run, history.ids), told };
  }
}

function textProbabilities(run: Run): Map<string, number> {
  const texts = new Map<string, number>();
  for (const { ids, probability } of sequences(run, settingsOf(run))) {
    const text = textOf(run, ids);
    texts.set(text, (texts.get(text) ?? 0) + probability);
  }
  return texts;
}

function countTexts(run: Run, suppressions: readonly Suppression[], draws: number): Map<string, number> {
  const vocabulary = vocabularyOf(run.pieces);
  const counts = new Map<string, number>();
  for (let draw = 0; draw < draws; draw++) {
    const { text } = answer(run, new SuppressingChooser(suppressions, vocabulary), draw);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

/** Every text within 4.5 standard deviations of its probability; all that is left together, too. */
function expectFrequencies(
  counts: ReadonlyMap<string, number>,
  expected: ReadonlyMap<string, number>,
  draws: number,
): void {
  let worst = { text: '', deviation: 0 };
  for (const [text, probability] of expected) {
    const deviation = Math.abs((counts.get(text) ?? 0) - draws * probability) / Math.sqrt(draws * probability + 1);
    if (deviation > worst.deviation) worst = { text, deviation };
  }
  for (const text of counts.keys()) expect(expected.get(text) ?? 0, text).toBeGreaterThan(0);
  expect(worst.deviation, worst.text).toBeLessThan(4.5);
}

const letters = ['a', 'b', 'ab', 'aba', 'bab', 'c', stop];
const everywhere = (text: string, coefficient: number): Suppression => ({ text, coefficient, scope: 'answer' });
const draws = 20_000;

/** `[` opens the scope; the text has several tokenisations, tokens reach across its beginning and beyond its end. */
const scopedPieces = ['[', '[n', '[no', 'n', 'o', 'no', 'ox', 'nox', 'x', stop];
const scoped: Run = { pieces: scopedPieces, model: randomModel(scopedPieces, 3), maxNewTokens: 4 };
const inScope = (coefficient: number): Suppression => ({
  text: 'no',
  coefficient,
  scope: { begin: '[', end: 'x' },
});

/**
 * The definition: place by place, what spells the text there times c, all else with the same beginning by the common factor. A text
 * that is spelled from the place before is decided there.
 */
function changed(texts: ReadonlyMap<string, number>, c: number): Map<string, number> {
  const probabilities = new Map(texts);
  const longest = Math.max(...[...texts.keys()].map(({ length }) => length));
  for (let at = 1; at < longest; at++) {
    const groups = new Map<string, { all: number; spelled: number }>();
    const isElsewhere = (text: string): boolean =>
      text.length < at || text.startsWith('no', at - 1) || !/\[[^x]*$/.test(text.slice(0, at));
    for (const [text, probability] of probabilities) {
      if (isElsewhere(text)) continue;
      const before = text.slice(0, at);
      const group = groups.get(before) ?? { all: 0, spelled: 0 };
      group.all += probability;
      if (text.startsWith('no', at)) group.spelled += probability;
      groups.set(before, group);
    }
    for (const [text, probability] of probabilities) {
      const group = groups.get(text.slice(0, at));
      if (isElsewhere(text) || !group || group.spelled === 0) continue;
      const p = group.spelled / group.all;
      probabilities.set(text, probability * (text.startsWith('no', at) ? c : (1 - c * p) / (1 - p)));
    }
  }
  return probabilities;
}

describe('frequencies equal the definition', () => {
  const onlyFirst: TinyModel = (ids) => {
    const logits = scoped.model(ids).slice();
    // `[` and what begins with it comes only first
    for (const id of [0, 1, 2]) logits[id] = ids.length === 0 ? logits[id]! + 1 : -Infinity;
    // the text's length ends it, not the number of tokens: tokenisations of one text go on alike
    if (ids.map((id) => scopedPieces[id]).join('').length >= 4) logits.fill(-Infinity, 0, -1);
    return logits;
  };
  const run: Run = { ...scoped, model: onlyFirst, maxNewTokens: 9 };

  it.each([0.5, 0.05, 0])('of every text, with the coefficient %d', (c) => {
    const base = textProbabilities(run);
    const counts = countTexts(run, [inScope(c)], draws);
    expectFrequencies(counts, new Map([...changed(base, c)].filter(([, probability]) => probability > 0)), draws);
  });

  it('with temperature, top-k and penalties, by the distribution that is drawn from', () => {
    const cut: Run = { ...run, settings: { temperature: 0.7, topK: 6 } };
    const base = textProbabilities(cut);
    expectFrequencies(countTexts(cut, [inScope(0.3)], draws), changed(base, 0.3), draws);
  });
});

it('a text at the beginning of the answer has c times its probability', () => {
  const run: Run = { pieces: letters, model: randomModel(letters, 11), maxNewTokens: 5 };
  let p = 0;
  for (const [text, probability] of textProbabilities(run)) if (text.startsWith('ab')) p += probability;
  const counts = countTexts(run, [everywhere('ab', 0.4)], draws);
  let found = 0;
  for (const [text, count] of counts) if (text.startsWith('ab')) found += count;
  const expected = 0.4 * p * draws;
  expect(Math.abs(found - expected) / Math.sqrt(expected)).toBeLessThan(4);
});

describe('bounds', () => {
  const run: Run = { pieces: letters, model: randomModel(letters, 2), maxNewTokens: 12 };

  it('the coefficient 0 never yields the text, drawn or greedy, overlapping ones too', () => {
    const vocabulary = vocabularyOf(run.pieces);
    const texts = [everywhere('ab', 0), everywhere('bb', 0), everywhere('cc', 0)];
    for (let seed = 0; seed < 300; seed++) {
      const each: Run = { ...run, model: randomModel(letters, seed) };
      for (const doSample of [true, false]) {
        const { text } = answer({ ...each, settings: { doSample } }, new SuppressingChooser(texts, vocabulary), seed);
        expect(text).not.toMatch(/ab|bb|cc/);
      }
    }
  });

  it('the coefficient 1 changes nothing', () => {
    const vocabulary = vocabularyOf(run.pieces);
    for (let draw = 0; draw < 200; draw++) {
      for (const doSample of [true, false]) {
        const each: Run = { ...run, settings: { doSample } };
        const plain = answer(each, plainChooser, draw);
        const suppressed = answer(each, new SuppressingChooser([everywhere('ab', 1)], vocabulary), draw);
        expect(suppressed).toEqual(plain);
      }
    }
  });

  it('at most max_count times; the report counts them', () => {
    const vocabulary = vocabularyOf(run.pieces);
    let total = 0;
    for (let draw = 0; draw < 300; draw++) {
      const chooser = new SuppressingChooser([{ ...everywhere('ab', 1), maxCount: 1 }], vocabulary);
      const { text } = answer(run, chooser, draw);
      const count = text.split('ab').length - 1;
      expect(count).toBeLessThanOrEqual(1);
      const [report] = chooser.reports;
      expect(report).toMatchObject({ text: 'ab', fired: count });
      expect(report!.possible).toBeGreaterThanOrEqual(report!.fired + report!.avoided);
      total += count;
    }
    expect(total).toBeGreaterThan(100);
  });

  it('outside of its scope a text stays as it is', () => {
    const vocabulary = vocabularyOf(scoped.pieces);
    let outside = 0;
    for (let draw = 0; draw < 500; draw++) {
      const run = { ...scoped, maxNewTokens: 8 };
      const { text } = answer(run, new SuppressingChooser([inScope(0)], vocabulary), draw);
      expect(text).not.toMatch(/\[[^x]*no/);
      if (text.includes('no')) outside++;
    }
    expect(outside).toBeGreaterThan(20);
  });

  it('a distribution that knows nothing but the text still gives another answer', () => {
    const only: Run = { pieces: ['a', 'b', stop], model: () => Float32Array.of(9, 5, 1), maxNewTokens: 3 };
    const vocabulary = vocabularyOf(only.pieces);
    for (const settings of [{ topK: 1 }, { doSample: false }]) {
      const { text } = answer({ ...only, settings }, new SuppressingChooser([everywhere('a', 0)], vocabulary), 1);
      expect(text).toBe('bbb');
    }
  });
});

it('what was told is never taken back', () => {
  const run: Run = { pieces: letters, model: randomModel(letters, 4), maxNewTokens: 12 };
  const vocabulary = vocabularyOf(run.pieces);
  for (let draw = 0; draw < 500; draw++) {
    const chooser = new SuppressingChooser([everywhere('abc', 0.2), everywhere('bab', 0.1)], vocabulary);
    const { text, told } = answer(run, chooser, draw);
    for (const part of told) expect(text.startsWith(part)).toBe(true);
  }
});

describe('greedy search', () => {
  // `<` then `n` then `>`: the text; each likely
  const pieces = ['<', 'n', '>', 'y', stop];
  const model =
    (first: number, second: number): TinyModel =>
    (ids) => {
      const path = ids.map((id) => pieces[id]).join('');
      const log = Math.log;
      if (path === '') return Float32Array.of(log(first), -50, -50, log(1 - first), -50);
      if (path === '<') return Float32Array.of(-50, log(second), -50, log(1 - second), -50);
      return Float32Array.of(-50, -50, 0, -50, 0.1);
    };
  const greedy = (first: number, second: number, c: number): string =>
    answer(
      { pieces, model: model(first, second), maxNewTokens: 3, settings: { doSample: false } },
      new SuppressingChooser([everywhere('<n', c)], vocabularyOf(pieces)),
      0,
    ).text;

  it('keeps the text while its changed probability is the best', () => {
    expect(greedy(0.9, 0.9, 1)).toBe('<n');
    // p = 0.81: 0.9 of it is 0.729 against (1 - 0.729) / 0.19 = 1.43 times the others
    expect(greedy(0.9, 0.9, 0.9)).toBe('<n');
    // 0.2 of it is 0.162; the others grow 4.4 times: `<` 0.162 + 0.397, `y` 0.441; then `y` behind `<` 0.397
    expect(greedy(0.9, 0.9, 0.2)).toBe('<y');
    // 0.05: `<` 0.04 + 0.455, `y` 0.505
    expect(greedy(0.9, 0.9, 0.05)).toBe('y');
  });
});
