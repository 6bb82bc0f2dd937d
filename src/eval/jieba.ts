/**
 * Chinese text into words, exactly as Python's jieba 0.42.1 `cut` does (precise mode, with its hidden Markov model for words
 * that the dictionary lacks). The dictionary and the probabilities are jieba's own (MIT, `assets/jieba`).
 */
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { pythonSpace } from './python-text.ts';

/** Cuts a text into words; joined they are the text. */
export type WordCutter = (text: string) => string[];

/** Characters of words, in any mixture; what stands between them is cut into single characters. */
const wordRun = /([\u4E00-\u9FD5a-zA-Z0-9+#&._%-]+)/;
const space = new RegExp(`(\\r\\n|[${pythonSpace}])`);
const hanRun = /([\u4E00-\u9FD5]+)/;
const numberRun = /([a-zA-Z0-9]+(?:\.[0-9]+)?%?)/;

/** Log-probability of what the model has never seen. */
const never = -3.14e100;

type State = 'B' | 'E' | 'M' | 'S';
/** Beginning, middle, end of a word, and a word of one character; each with those that may stand before it. */
const before: Readonly<Record<State, readonly State[]>> = {
  B: ['E', 'S'],
  M: ['M', 'B'],
  S: ['S', 'E'],
  E: ['B', 'M'],
};
const states = Object.keys(before) as readonly State[];

/** Probabilities of the hidden Markov model, as natural logarithms. */
interface WordModel {
  readonly start: Readonly<Record<State, number>>;
  readonly transition: Readonly<Record<State, Readonly<Partial<Record<State, number>>>>>;
  readonly emission: Readonly<Record<State, ReadonlyMap<string, number>>>;
}

/** How `assets/jieba/model.json.br` is written: emissions as characters and, in the same order, their values. */
interface StoredModel extends Omit<WordModel, 'emission'> {
  readonly emission: Readonly<Record<State, { readonly characters: string; readonly values: readonly number[] }>>;
}

interface Dictionary {
  /** Count of each word; 0 for what only begins words. */
  readonly counts: ReadonlyMap<string, number>;
  /** Logarithm of the sum of all counts. */
  readonly logTotal: number;
}

/** Highest of several (log-probability, key) pairs, the larger key where they are equal, as Python compares tuples. */
function bestState(candidates: readonly (readonly [number, State])[]): readonly [number, State] {
  return candidates.reduce((best, next) =>
    next[0] > best[0] || (next[0] === best[0] && next[1] > best[1]) ? next : best,
  );
}

/** Words of a run of Chinese characters by the hidden Markov model alone (Viterbi's algorithm). */
function* cutByModel(run: string, model: WordModel): Generator<string> {
  const emit = (state: State, character: string): number => model.emission[state].get(character) ?? never;
  let scores = Object.fromEntries(states.map((state) => [state, model.start[state] + emit(state, run[0]!)])) as Record<
    State,
    number
  >;
  const came: Record<State, State>[] = [];
  for (let at = 1; at < run.length; at++) {
    const best = states.map((state) => {
      const emitted = emit(state, run[at]!);
      return bestState(
        before[state].map((from) => [scores[from] + (model.transition[from][state] ?? never) + emitted, from] as const),
      );
    });
    scores = Object.fromEntries(states.map((state, i) => [state, best[i]![0]])) as Record<State, number>;
    came.push(Object.fromEntries(states.map((state, i) => [state, best[i]![1]])) as Record<State, State>);
  }
  const path: State[] = [bestState([[scores.E, 'E'] as const, [scores.S, 'S'] as const])[1]];
  for (const step of came.toReversed()) path.push(step[path.at(-1)!]);
  path.reverse();
  let begin = 0;
  for (let at = 0; at < run.length; at++) {
    if (path[at] === 'E' || path[at] === 'S') {
      yield run.slice(begin, at + 1);
      begin = at + 1;
    }
  }
  if (begin < run.length) yield run.slice(begin);
}

/** Words of characters that the dictionary left single. */
function* cutUnknown(text: string, model: WordModel): Generator<string> {
  for (const [i, block] of text.split(hanRun).entries()) {
    if (i % 2 === 1) yield* cutByModel(block, model);
    else for (const piece of block.split(numberRun)) if (piece !== '') yield piece;
  }
}

/** The most probable division into words of the dictionary: for each place the end of the word that begins there. */
function bestEnds(text: string, { counts, logTotal }: Dictionary): Int32Array {
  const ends = new Int32Array(text.length);
  const scores = new Float64Array(text.length + 1);
  for (let at = text.length - 1; at >= 0; at--) {
    let best = Number.NEGATIVE_INFINITY;
    let found = false;
    for (let end = at + 1; end <= text.length; end++) {
      const count = counts.get(text.slice(at, end));
      if (count === undefined) break;
      if (count === 0) continue;
      found = true;
      const score = Math.log(count) - logTotal + scores[end]!;
      if (score >= best) {
        best = score;
        ends[at] = end;
      }
    }
    if (!found) {
      // jieba counts an unknown character once, and what only begins words too.
      best = 0 - logTotal + scores[at + 1]!;
      ends[at] = at + 1;
    }
    scores[at] = best;
  }
  return ends;
}

/** Words of one run without spaces and signs. */
function* cutRun(text: string, dictionary: Dictionary, model: WordModel): Generator<string> {
  const ends = bestEnds(text, dictionary);
  let single = '';
  function* rest(): Generator<string> {
    if (single.length === 1) yield single;
    else if ((dictionary.counts.get(single) ?? 0) > 0) yield* single;
    else if (single !== '') yield* cutUnknown(single, model);
    single = '';
  }
  for (let at = 0; at < text.length; at = ends[at]!) {
    const word = text.slice(at, ends[at]);
    if (word.length === 1) {
      single += word;
      continue;
    }
    yield* rest();
    yield word;
  }
  yield* rest();
}

async function readAsset(name: string): Promise<string> {
  const bytes = await readFile(new URL(`../../assets/jieba/${name}`, import.meta.url));
  return (await promisify(brotliDecompress)(bytes)).toString('utf8');
}

/** Words in order, each line the length of the beginning shared with the one above (as a character from `0` on), the rest, and the count unless it is 3. */
function parseDictionary(text: string): Dictionary {
  const counts = new Map<string, number>();
  const [total, ...lines] = text.split('\n');
  let word = '';
  for (const line of lines) {
    if (line === '') continue;
    const space = line.lastIndexOf(' ');
    word = word.slice(0, line.charCodeAt(0) - 48) + (space < 0 ? line.slice(1) : line.slice(1, space));
    for (let end = 1; end < word.length; end++) {
      const start = word.slice(0, end);
      if (!counts.has(start)) counts.set(start, 0);
    }
    counts.set(word, space < 0 ? 3 : Number(line.slice(space + 1)));
  }
  return { counts, logTotal: Math.log(Number(total)) };
}

function readModel(text: string): WordModel {
  const { start, transition, emission } = JSON.parse(text) as StoredModel;
  const maps = Object.entries(emission).map(([state, { characters, values }]) => [
    state,
    new Map(Array.from(characters, (character, i) => [character, values[i]!])),
  ]);
  return { start, transition, emission: Object.fromEntries(maps) as WordModel['emission'] };
}

async function loadCutter(): Promise<WordCutter> {
  const [words, probabilities] = await Promise.all([readAsset('words.txt.br'), readAsset('model.json.br')]);
  const dictionary = parseDictionary(words);
  const model = readModel(probabilities);
  return (text) =>
    text.split(wordRun).flatMap((block, i) => {
      if (i % 2 === 1) return [...cutRun(block, dictionary, model)];
      return block.split(space).flatMap((piece, j) => (j % 2 === 1 ? [piece] : Array.from(piece)));
    });
}

let cutter: Promise<WordCutter> | undefined;

/** The word cutter; the first call reads the dictionary (about half a second, 100 MB of memory), later ones share it. */
export function loadWordCutter(): Promise<WordCutter> {
  cutter ??= loadCutter();
  return cutter;
}
