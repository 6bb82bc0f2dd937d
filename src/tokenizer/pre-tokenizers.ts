/**
 * Splitting of normalised text into words before the model sees it (Hugging Face tokenizers, `pre_tokenizer` of
 * tokenizer.json). Words are ranges of one string; only steps that rewrite characters make a new string.
 */
import {
  asArray,
  asNumber,
  asObject,
  asString,
  at,
  invalid,
  maxNesting,
  maxSteps,
  optionalBoolean,
  optionalString,
  type Place,
  unsupported,
} from './checked-json.ts';
import { byteCharacters, utf8LengthAt } from './byte-characters.ts';
import { readPattern } from './normalizers.ts';
import { translateRegex, whiteSpaceSet } from './regex.ts';

/** A text and its words, as pairs of start and end in `bounds`. `starts` maps units to the original text. */
export interface Words {
  text: string;
  starts: Uint32Array | undefined;
  bounds: number[];
  /** Whether the text begins where the whole input begins, and what may be put before it. */
  readonly isBeginning: boolean;
  /** Whether a blank may be put before a beginning (not where text continues other text). */
  readonly allowPrefix: boolean;
  readonly wantsStarts: boolean;
}

export type PreTokenizer = (words: Words) => void;

/** What a pre-tokenizer list came to. `endsInBytes`: the words are raw text and the model maps them to bytes itself. */
export interface PreTokenizers {
  readonly steps: readonly PreTokenizer[];
  readonly endsInBytes: boolean;
  /** Further steps whose result depends on each word alone, so that it can be remembered with the word's tokens. */
  readonly wordwise: readonly PreTokenizer[];
}

type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';
const behaviors: readonly Behavior[] = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

/** GPT-2's pattern (openai/gpt-2, src/encoder.py). */
const gpt2Pattern = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** Splits one piece of text, giving alternating segments (start, end, isMatch) to `emit`. */
function eachSegment(
  pattern: RegExp,
  text: string,
  emit: (start: number, end: number, isMatch: boolean) => void,
): void {
  let from = 0;
  pattern.lastIndex = 0;
  for (;;) {
    const match = pattern.exec(text);
    if (match === null) break;
    const end = pattern.lastIndex;
    if (end === match.index) {
      pattern.lastIndex += utf8LengthAt(text, end) === 4 ? 2 : 1;
      continue;
    }
    if (match.index > from) emit(from, match.index, false);
    emit(match.index, end, true);
    from = end;
  }
  if (from < text.length) emit(from, text.length, false);
}

/** A step that cuts every word at the matches of a pattern. */
function splitStep(pattern: RegExp, behavior: Behavior, invert: boolean): PreTokenizer {
  return (words) => {
    const { text } = words;
    const result: number[] = [];
    for (let w = 0; w < words.bounds.length; w += 2) {
      const from = words.bounds[w]!;
      const to = words.bounds[w + 1]!;
      // Look-ahead must not see past the word, so a part of the text is cut out.
      const piece = from === 0 && to === text.length ? text : text.slice(from, to);
      if (behavior === 'Isolated') {
        eachSegment(pattern, piece, (start, end) => void result.push(from + start, from + end));
        continue;
      }
      const first = result.length;
      let previousMatch = false;
      let pendingNext = -1;
      eachSegment(pattern, piece, (start, end, matched) => {
        const isMatch = matched !== invert;
        if (behavior === 'Removed') {
          if (!isMatch) result.push(from + start, from + end);
        } else if (behavior === 'Contiguous') {
          if (result.length > first && isMatch === previousMatch) result[result.length - 1] = from + end;
          else result.push(from + start, from + end);
        } else if (behavior === 'MergedWithPrevious') {
          if (isMatch && !previousMatch && result.length > first) result[result.length - 1] = from + end;
          else result.push(from + start, from + end);
        } else {
          // MergedWithNext, read from the left: of a run of matches only the last joins what follows.
          if (isMatch) {
            if (pendingNext >= 0) result.push(pendingNext, from + start);
            pendingNext = from + start;
          } else {
            result.push(pendingNext >= 0 ? pendingNext : from + start, from + end);
            pendingNext = -1;
          }
        }
        previousMatch = isMatch;
      });
      if (pendingNext >= 0) result.push(pendingNext, to);
    }
    words.bounds = result;
  };
}

/** A step that rewrites each word: `rewrite` gives its text and, per unit, the index in the word it comes from. */
function rewriteStep(
  rewrite: (word: string, index: number, words: Words) => { text: string; origins: number[] },
): PreTokenizer {
  return (words) => {
    const parts: string[] = [];
    const starts: number[] = [];
    const bounds: number[] = [];
    let length = 0;
    for (let w = 0; w < words.bounds.length; w += 2) {
      const from = words.bounds[w]!;
      const { text, origins } = rewrite(words.text.slice(from, words.bounds[w + 1]), w / 2, words);
      parts.push(text);
      bounds.push(length, length + text.length);
      length += text.length;
      if (words.wantsStarts) for (const origin of origins) starts.push(words.starts?.[from + origin] ?? from + origin);
    }
    words.text = parts.join('');
    words.bounds = bounds;
    if (words.wantsStarts) words.starts = Uint32Array.from(starts);
  };
}

/** Puts a text before words that do not begin with it. */
function prefixStep(prefix: string, scheme: 'always' | 'first'): PreTokenizer {
  return (words) => {
    const needs = words.bounds.some((from, i) => {
      if (i % 2 === 1 || words.text.startsWith(prefix, from)) return false;
      return scheme === 'always' ? words.allowPrefix || i > 0 : i === 0 && words.isBeginning && words.allowPrefix;
    });
    if (!needs) return;
    rewriteStep((word, index) => {
      const wanted =
        scheme === 'always' ? words.allowPrefix || index > 0 : index === 0 && words.isBeginning && words.allowPrefix;
      const add = wanted && !word.startsWith(prefix);
      const origins = words.wantsStarts ? Array.from({ length: word.length }, (_, i) => i) : [];
      if (!add) return { text: word, origins };
      return { text: prefix + word, origins: [...Array.from(prefix, () => 0), ...origins] };
    })(words);
  };
}

const byteEncoder = new TextEncoder();

/** Writes every word in byte characters, for steps that stand after ByteLevel. */
const byteStep = rewriteStep((word) => {
  let text = '';
  const origins: number[] = [];
  let index = 0;
  for (const character of word) {
    for (const byte of byteEncoder.encode(character)) {
      text += byteCharacters[byte]!;
      origins.push(index);
    }
    index += character.length;
  }
  return { text, origins };
});

function metaspaceSteps(config: Readonly<Record<string, unknown>>, place: Place): PreTokenizer[] {
  const replacement = optionalString(config['replacement'], at(place, 'replacement')) ?? '\u2581';
  const legacyPrefix = optionalBoolean(config['add_prefix_space'], at(place, 'add_prefix_space'), true);
  const scheme =
    optionalString(config['prepend_scheme'], at(place, 'prepend_scheme')) ?? (legacyPrefix ? 'always' : 'never');
  if (!['always', 'first', 'never'].includes(scheme))
    unsupported(at(place, 'prepend_scheme'), scheme, ['always', 'first', 'never']);
  const steps: PreTokenizer[] = [
    (words) => {
      if (replacement.length === 1) words.text = words.text.replaceAll(' ', replacement);
      else {
        rewriteStep((word) => ({
          text: word.replaceAll(' ', replacement),
          origins: Array.from(word, (unit, i) =>
            unit === ' ' ? Array.from(replacement, () => i) : Array.from(unit, () => i),
          ).flat(),
        }))(words);
      }
    },
  ];
  if (scheme !== 'never') steps.push(prefixStep(replacement, scheme as 'always' | 'first'));
  if (optionalBoolean(config['split'], at(place, 'split'), true)) {
    steps.push(splitStep(readPattern({ String: replacement }, place).pattern, 'MergedWithNext', false));
  }
  return steps;
}

/** `\w+|[^\w\s]+` of Rust's regex crate, whose words hold the joiners too. */
const rustWord = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}`;
const rustWords = new RegExp(`[${rustWord}]+|[^${rustWord}${whiteSpaceSet}]+`, 'gu');
const punctuation = String.raw`[\p{P}$+<=>^\x60|~]`;
const known = [
  'ByteLevel', 'Split', 'Digits', 'Punctuation', 'Metaspace', 'Whitespace', 'WhitespaceSplit', 'BertPreTokenizer',
  'CharDelimiterSplit', 'FixedLength', 'Sequence',
] as const; // prettier-ignore

interface Stage {
  readonly steps: readonly PreTokenizer[];
  readonly toBytes?: boolean;
  readonly addsPrefix?: boolean;
}

function readBehavior(value: unknown, place: Place): Behavior {
  const text = asString(value, place);
  const found = behaviors.find((behavior) => behavior.toLowerCase() === text.replaceAll('_', '').toLowerCase());
  return found ?? unsupported(place, text, behaviors);
}

function readStages(value: unknown, place: Place, depth: number): Stage[] {
  if (value === null || value === undefined) return [];
  if (depth > maxNesting) invalid(place, `nested at most ${maxNesting} deep`, 'more');
  const config = asObject(value, place);
  const type = config['type'];
  const regex = (source: string): RegExp => translateRegex(source, place);
  switch (type as (typeof known)[number]) {
    case 'ByteLevel': {
      const steps: PreTokenizer[] = [];
      const addsPrefix = optionalBoolean(config['add_prefix_space'], at(place, 'add_prefix_space'), true);
      if (addsPrefix) steps.push(prefixStep(' ', 'always'));
      if (optionalBoolean(config['use_regex'], at(place, 'use_regex'), true))
        steps.push(splitStep(regex(gpt2Pattern), 'Isolated', false));
      return [{ steps, toBytes: true, addsPrefix }];
    }
    case 'Split': {
      const { pattern } = readPattern(config['pattern'], at(place, 'pattern'));
      const behavior = readBehavior(config['behavior'], at(place, 'behavior'));
      return [{ steps: [splitStep(pattern, behavior, optionalBoolean(config['invert'], at(place, 'invert'), false))] }];
    }
    case 'Digits': {
      const individual = optionalBoolean(config['individual_digits'], at(place, 'individual_digits'), false);
      return [{ steps: [splitStep(individual ? /\p{N}/gu : /\p{N}+/gu, 'Isolated', false)] }];
    }
    case 'Punctuation': {
      const behavior =
        config['behavior'] === undefined ? 'Isolated' : readBehavior(config['behavior'], at(place, 'behavior'));
      return [{ steps: [splitStep(new RegExp(punctuation, 'gu'), behavior, false)] }];
    }
    case 'Metaspace':
      return [{ steps: metaspaceSteps(config, place), addsPrefix: true }];
    case 'Whitespace':
      return [{ steps: [splitStep(rustWords, 'Removed', true)] }];
    case 'WhitespaceSplit':
      return [{ steps: [splitStep(new RegExp(`[${whiteSpaceSet}]`, 'gu'), 'Removed', false)] }];
    case 'BertPreTokenizer':
      return [
        {
          steps: [
            splitStep(new RegExp(`[${whiteSpaceSet}]`, 'gu'), 'Removed', false),
            splitStep(new RegExp(punctuation, 'gu'), 'Isolated', false),
          ],
        },
      ];
    case 'CharDelimiterSplit': {
      const delimiter = asString(config['delimiter'], at(place, 'delimiter'));
      return [{ steps: [splitStep(readPattern({ String: delimiter }, place).pattern, 'Removed', false)] }];
    }
    case 'FixedLength': {
      const length = asNumber(config['length'] ?? 5, at(place, 'length'));
      if (!Number.isInteger(length) || length < 1 || length > 65_536)
        invalid(at(place, 'length'), 'a whole number from 1 to 65536', `${length}`);
      return [{ steps: [splitStep(new RegExp(`[^]{1,${length}}`, 'gu'), 'Isolated', false)] }];
    }
    case 'Sequence': {
      const list = asArray(config['pretokenizers'], at(place, 'pretokenizers'), maxSteps);
      return list.flatMap((step, i) => readStages(step, at(at(place, 'pretokenizers'), i), depth + 1));
    }
    default:
      return unsupported(at(place, 'type'), type, known);
  }
}

/**
 * The steps of a `pre_tokenizer` object. Where `ByteLevel` stands last, the mapping to bytes is left to the model.
 * @throws FormatError for wrong types, UnsupportedError for a step that is not known.
 */
export function readPreTokenizers(value: unknown, place: Place): PreTokenizers {
  const stages = readStages(value, place, 0);
  const firstBytes = stages.findIndex((stage) => stage.toBytes === true);
  const endsInBytes = firstBytes === stages.length - 1 && firstBytes >= 0;
  if (firstBytes < 0 || endsInBytes)
    return { steps: stages.flatMap((stage) => stage.steps), endsInBytes, wordwise: [] };
  const expand = (stage: Stage): readonly PreTokenizer[] =>
    stage.toBytes === true ? [...stage.steps, byteStep] : stage.steps;
  const after = stages.slice(firstBytes + 1);
  if (after.some((stage) => stage.addsPrefix === true))
    return { steps: stages.flatMap(expand), endsInBytes, wordwise: [] };
  return {
    steps: stages.slice(0, firstBytes + 1).flatMap((stage) => stage.steps),
    endsInBytes,
    wordwise: [byteStep, ...after.flatMap(expand)],
  };
}
