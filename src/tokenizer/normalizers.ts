/**
 * Rewriting of text before it is split and encoded (Hugging Face tokenizers, `normalizer` of tokenizer.json), each
 * step able to say which original character every character of its result comes from.
 */
import {
  asArray,
  asObject,
  asString,
  at,
  invalid,
  type JsonObject,
  maxNesting,
  maxSteps,
  optionalBoolean,
  type Place,
  unsupported,
} from './checked-json.ts';
import { byteCharacters } from './byte-characters.ts';
import { readPrecompiledMap } from './precompiled-map.ts';
import { escapeRegex, translateRegex, whiteSpaceSet } from './regex.ts';

/** A text with the original UTF-16 index of each of its UTF-16 units; without `starts` each unit is its own origin. */
export interface AlignedText {
  readonly text: string;
  readonly starts: Uint32Array | undefined;
}

/** One piece of a rewriting: the original units from `start` on, `length` of them, become `text`. */
export interface Rewrite {
  readonly text: string;
  readonly start: number;
  readonly length: number;
}

/** One step. `rewrites` covers the input in order; what it does not name is removed. */
export interface Normalizer {
  apply(text: string): string;
  rewrites(text: string): Iterable<Rewrite>;
  /** Whether the step only puts something before the text (the blank of SentencePiece). */
  readonly prefix?: string;
}

/** Carries the alignment of a text through one step. */
export function alignThrough(step: Normalizer, input: AlignedText): AlignedText {
  const text = step.apply(input.text);
  if (text === input.text) return input;
  const starts = new Uint32Array(text.length);
  const originOf = (index: number): number => {
    if (input.starts === undefined) return index;
    return input.starts[Math.min(index, input.starts.length - 1)] ?? 0;
  };
  let filled = 0;
  for (const rewrite of step.rewrites(input.text)) {
    const same = rewrite.text.length === rewrite.length;
    for (let i = 0; i < rewrite.text.length && filled < starts.length; i++) {
      starts[filled++] = originOf(same ? rewrite.start + i : rewrite.start);
    }
  }
  return { text, starts };
}

type Form = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';
const nonAscii = /[\u0080-\uffff]/;

/** A character and what may combine with it: marks and Hangul vowels and finals. */
const cluster = /[^][\p{M}\u1160-\u11ff\uff9e\uff9f]*/gu;

function unicodeForm(form: Form): Normalizer {
  return {
    apply: (text) => (nonAscii.test(text) ? text.normalize(form) : text),
    rewrites: (text) => {
      const pieces: Rewrite[] = [];
      let joined = '';
      for (const match of text.matchAll(cluster)) {
        const rewritten = match[0].normalize(form);
        joined += rewritten;
        pieces.push({ text: rewritten, start: match.index, length: match[0].length });
      }
      const whole = text.normalize(form);
      return joined === whole ? pieces : [{ text: whole, start: 0, length: text.length }];
    },
  };
}

/** A step that rewrites each code point by itself. */
function perCodePoint(rewrite: (character: string) => string, changed?: RegExp): Normalizer {
  const rewrites = (text: string): Rewrite[] => {
    const pieces: Rewrite[] = [];
    let start = 0;
    for (const character of text) {
      pieces.push({ text: rewrite(character), start, length: character.length });
      start += character.length;
    }
    return pieces;
  };
  return {
    apply: (text) => {
      if (changed?.test(text) === false) return text;
      let result = '';
      for (const character of text) result += rewrite(character);
      return result;
    },
    rewrites,
  };
}

function replaceStep(pattern: RegExp, content: string, literal: string | undefined): Normalizer {
  return {
    apply: (text) =>
      literal === undefined ? text.replace(pattern, () => content) : text.replaceAll(literal, () => content),
    rewrites: (text) => {
      const pieces: Rewrite[] = [];
      let from = 0;
      for (const match of text.matchAll(pattern)) {
        pieces.push({ text: text.slice(from, match.index), start: from, length: match.index - from });
        pieces.push({ text: content, start: match.index, length: match[0].length });
        from = match.index + match[0].length;
      }
      pieces.push({ text: text.slice(from), start: from, length: text.length - from });
      return pieces;
    },
  };
}

function stripStep(left: boolean, right: boolean): Normalizer {
  const leading = new RegExp(`^[${whiteSpaceSet}]+`, 'u');
  const trailing = new RegExp(`[${whiteSpaceSet}]+$`, 'u');
  const edges = (text: string): [number, number] => {
    const start = left ? (leading.exec(text)?.[0].length ?? 0) : 0;
    const rest = text.slice(start);
    return [start, text.length - (right ? (trailing.exec(rest)?.[0].length ?? 0) : 0)];
  };
  return {
    apply: (text) => text.slice(...edges(text)),
    rewrites: (text) => {
      const [start, end] = edges(text);
      return [{ text: text.slice(start, end), start, length: end - start }];
    },
  };
}

const isControl = /^[\p{Cc}\p{Cf}\p{Cn}\p{Co}]$/u;
const isWhiteSpace = new RegExp(`^[${whiteSpaceSet}]$`, 'u');
const chineseCharacter =
  /^[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]$/u;

function bertCleanCharacter(character: string): string {
  if (character === '\t' || character === '\n' || character === '\r') return ' ';
  if (character === '\0' || character === '\ufffd' || isControl.test(character)) return '';
  return isWhiteSpace.test(character) ? ' ' : character;
}

/** The characters that SentencePiece's nmt rules drop or make blanks (tokenizers, normalizers/unicode.rs). */
function nmtCharacter(character: string): string {
  const code = character.codePointAt(0)!;
  const dropped =
    (code >= 0x01 && code <= 0x08) ||
    code === 0x0b ||
    (code >= 0x0e && code <= 0x1f) ||
    code === 0x7f ||
    code === 0x8f ||
    code === 0x9f;
  if (dropped) return '';
  const blank =
    [0x09, 0x0a, 0x0c, 0x0d, 0x1680, 0x2028, 0x2029, 0x2581, 0xfeff, 0xfffd].includes(code) ||
    (code >= 0x200b && code <= 0x200f);
  return blank ? ' ' : character;
}

function bertSteps(config: JsonObject, place: Place): Normalizer[] {
  const lowercase = optionalBoolean(config['lowercase'], at(place, 'lowercase'), true);
  const steps: Normalizer[] = [];
  if (optionalBoolean(config['clean_text'], at(place, 'clean_text'), true))
    steps.push(perCodePoint(bertCleanCharacter));
  if (optionalBoolean(config['handle_chinese_chars'], at(place, 'handle_chinese_chars'), true)) {
    steps.push(perCodePoint((character) => (chineseCharacter.test(character) ? ` ${character} ` : character)));
  }
  if (optionalBoolean(config['strip_accents'], at(place, 'strip_accents'), lowercase)) {
    steps.push(
      unicodeForm('NFD'),
      perCodePoint((character) => (/^\p{Mn}$/u.test(character) ? '' : character)),
    );
  }
  if (lowercase) steps.push(lowercaseStep());
  return steps;
}

function lowercaseStep(): Normalizer {
  return perCodePoint((character) => character.toLowerCase(), /[A-Z\u0080-\uffff]/);
}

const byteEncoder = new TextEncoder();

function byteLevelStep(): Normalizer {
  return perCodePoint((character) => {
    let result = '';
    for (const byte of byteEncoder.encode(character)) result += byteCharacters[byte]!;
    return result;
  });
}

const known = [
  'NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'Strip', 'StripAccents', 'Replace', 'Prepend', 'Precompiled',
  'BertNormalizer', 'Nmt', 'ByteLevel', 'Sequence',
] as const; // prettier-ignore

/** Reads a pattern `{"String": ...}` or `{"Regex": ...}`; the literal text is given where it is one. */
export function readPattern(value: unknown, place: Place): { pattern: RegExp; literal: string | undefined } {
  if (typeof value === 'string') return { pattern: new RegExp(escapeRegex(value), 'gu'), literal: value };
  const object = asObject(value, place);
  if (object['String'] !== undefined) {
    const literal = asString(object['String'], at(place, 'String'));
    return { pattern: new RegExp(escapeRegex(literal), 'gu'), literal };
  }
  const source = asString(object['Regex'], at(place, 'Regex'));
  return { pattern: translateRegex(source, at(place, 'Regex')), literal: undefined };
}

/**
 * The steps of a `normalizer` object, sequences laid flat.
 * @throws FormatError for wrong types, UnsupportedError for a step that is not known.
 */
export function readNormalizers(value: unknown, place: Place, depth = 0): Normalizer[] {
  if (value === null || value === undefined) return [];
  if (depth > maxNesting) invalid(place, `nested at most ${maxNesting} deep`, 'more');
  const config = asObject(value, place);
  const type = config['type'];
  switch (type as (typeof known)[number]) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return [unicodeForm(type as Form)];
    case 'Lowercase':
      return [lowercaseStep()];
    case 'Strip': {
      const left = optionalBoolean(config['strip_left'], at(place, 'strip_left'), true);
      return [stripStep(left, optionalBoolean(config['strip_right'], at(place, 'strip_right'), true))];
    }
    case 'StripAccents':
      return [perCodePoint((character) => (/^\p{M}$/u.test(character) ? '' : character))];
    case 'Replace': {
      const { pattern, literal } = readPattern(config['pattern'], at(place, 'pattern'));
      return [replaceStep(pattern, asString(config['content'], at(place, 'content')), literal)];
    }
    case 'Prepend': {
      const prefix = asString(config['prepend'], at(place, 'prepend'));
      return [
        {
          prefix,
          apply: (text) => (text === '' ? text : prefix + text),
          rewrites: (text) => [
            { text: prefix, start: 0, length: 0 },
            { text, start: 0, length: text.length },
          ],
        },
      ];
    }
    case 'Precompiled': {
      const rewrite = readPrecompiledMap(
        asString(config['precompiled_charsmap'], at(place, 'precompiled_charsmap')),
        place,
      );
      return [{ apply: (text) => [...rewrite(text)].map((piece) => piece.text).join(''), rewrites: rewrite }];
    }
    case 'BertNormalizer':
      return bertSteps(config, place);
    case 'Nmt':
      return [perCodePoint(nmtCharacter)];
    case 'ByteLevel':
      return [byteLevelStep()];
    case 'Sequence': {
      const list = asArray(config['normalizers'], at(place, 'normalizers'), maxSteps);
      return list.flatMap((step, i) => readNormalizers(step, at(at(place, 'normalizers'), i), depth + 1));
    }
    default:
      return unsupported(at(place, 'type'), type, known);
  }
}
