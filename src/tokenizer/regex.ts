/**
 * Regular expressions as tokenizer files have them (Oniguruma, Rust) made into JavaScript ones: `\s`, `\d` and `\w`
 * mean their Unicode sets, `(?i:...)` is spelled out, `\A`, `\z` and possessive quantifiers are rewritten.
 */
import { invalid, maxPatternLength, type Place, unsupported } from './checked-json.ts';

/** Unicode White_Space, which is neither JavaScript's `\s` (U+FEFF in, U+0085 out) nor ASCII. */
export const whiteSpaceSet = '\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';
const wordSet = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}';
const classSets: Readonly<Record<string, string>> = { s: whiteSpaceSet, d: '\\p{Nd}', w: wordSet, h: '0-9a-fA-F' };
const posixSets: Readonly<Record<string, string>> = {
  alpha: '\\p{Alphabetic}',
  digit: '\\p{Nd}',
  alnum: '\\p{Alphabetic}\\p{Nd}',
  space: whiteSpaceSet,
  upper: '\\p{Uppercase}',
  lower: '\\p{Lowercase}',
  punct: '\\p{P}\\p{S}',
};
/** Characters whose simple case folding meets an ASCII letter. */
const extraCases: Readonly<Record<string, string>> = { s: '\u017f', k: '\u212a' };

function casesOf(character: string): string {
  const forms = new Set([character, character.toLowerCase(), character.toUpperCase()]);
  const extra = extraCases[character.toLowerCase()];
  if (extra !== undefined) forms.add(extra);
  return [...forms].filter((form) => Array.from(form).length === 1).join('');
}

const escapeInClass = (text: string): string => text.replaceAll(/[\\\]^-]/g, String.raw`\$&`);

/** Escapes a text so that a regular expression matches it as it is. */
export function escapeRegex(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);
}

class Translator {
  private position = 0;
  private readonly source: string;
  private readonly place: Place;
  constructor(source: string, place: Place) {
    this.source = source;
    this.place = place;
  }

  private refuse(what: string): never {
    return unsupported(this.place, what, ['regular expressions with groups, classes, alternatives and look-around']);
  }

  translate(): string {
    const result = this.alternatives(false);
    if (this.position < this.source.length) invalid(this.place, 'a regular expression', JSON.stringify(this.source));
    return result;
  }

  private alternatives(ignoreCase: boolean): string {
    let result = '';
    let folded = ignoreCase;
    while (this.position < this.source.length && this.source[this.position] !== ')') {
      const flags = /^\(\?(i?)(-i)?\)/.exec(this.source.slice(this.position, this.position + 6));
      if (flags && flags[0].length > 3) {
        folded = flags[1] === 'i';
        this.position += flags[0].length;
        continue;
      }
      result += this.atom(folded);
    }
    return result;
  }

  private atom(ignoreCase: boolean): string {
    const character = String.fromCodePoint(this.source.codePointAt(this.position)!);
    if (character === '(') return this.quantified(this.group(ignoreCase));
    if (character === '[') return this.quantified(this.characterClass(ignoreCase));
    if (character === '\\') return this.quantified(this.escape());
    this.position += character.length;
    if (character === '|' || character === '^' || character === '$') return character;
    if (character === '.') return this.quantified('[^\\n]');
    if (character === '{' || character === '}' || character === ']' || character === '/') return `\\${character}`;
    if ('*+?'.includes(character)) invalid(this.place, 'a regular expression', JSON.stringify(this.source));
    if (ignoreCase && /\p{L}/u.test(character)) {
      const cases = casesOf(character);
      return this.quantified(Array.from(cases).length > 1 ? `[${cases}]` : character);
    }
    return this.quantified(character);
  }

  /** Copies a quantifier; a possessive one becomes an atomic group (look-ahead with a back reference). */
  private quantified(atom: string): string {
    const match = /^(?:[*+?]|\{\d+(?:,\d*)?\}|\{,\d+\})/.exec(this.source.slice(this.position, this.position + 32));
    if (!match) return atom;
    this.position += match[0].length;
    const quantifier = match[0].startsWith('{,') ? `{0,${match[0].slice(2)}` : match[0];
    const next = this.source[this.position];
    if (next === '?') {
      this.position++;
      return `${atom}${quantifier}?`;
    }
    if (next === '+' && !match[0].startsWith('{')) {
      this.position++;
      const name = `atomic${this.position}`;
      return `(?:(?=(?<${name}>${atom}${quantifier}))\\k<${name}>)`;
    }
    return atom + quantifier;
  }

  private group(ignoreCase: boolean): string {
    const head = /^\((?:\?(?::|=|!|<=|<!|>|i:|-i:|s:|i-s:)|(?!\?))/.exec(this.source.slice(this.position));
    if (!head) return this.refuse(this.source.slice(this.position, this.position + 12));
    this.position += head[0].length;
    const kind = head[0].slice(1);
    const folded = kind === '?i:' || kind === '?i-s:' ? true : kind === '?-i:' ? false : ignoreCase;
    const inside = this.alternatives(folded);
    if (this.source[this.position] !== ')') invalid(this.place, 'a regular expression', JSON.stringify(this.source));
    this.position++;
    if (kind === '?>') {
      const name = `atomic${this.position}`;
      return `(?:(?=(?<${name}>${inside}))\\k<${name}>)`;
    }
    return ['?=', '?!', '?<=', '?<!'].includes(kind) ? `(${kind}${inside})` : `(?:${inside})`;
  }

  private escape(): string {
    const next = this.source[this.position + 1];
    if (next === undefined) invalid(this.place, 'a regular expression', JSON.stringify(this.source));
    const lower = next.toLowerCase();
    const set = classSets[lower];
    if (set !== undefined) {
      this.position += 2;
      return next === lower ? `[${set}]` : `[^${set}]`;
    }
    if (lower === 'p') return this.property();
    if (next === 'x' || next === 'u') return this.codePoint();
    this.position += 2;
    if (next === 'A') return '(?<![\\s\\S])';
    if (next === 'z' || next === 'Z') return '(?![\\s\\S])';
    if ('nrtfv'.includes(next)) return `\\${next}`;
    if (/[bB]/.test(next)) {
      const word = `[${wordSet}]`;
      const edge = `(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`;
      return next === 'b' ? edge : `(?!${edge})`;
    }
    if (/[a-zA-Z0-9]/.test(next)) return this.refuse(`\\${next}`);
    return /[\^$\\.*+?()[\]{}|/]/.test(next) ? `\\${next}` : next;
  }

  private property(): string {
    const match = /^\\([pP])(?:\{(\^?)([A-Za-z_=0-9]+)\}|([A-Z]))/.exec(this.source.slice(this.position));
    if (!match) return this.refuse(this.source.slice(this.position, this.position + 12));
    this.position += match[0].length;
    const negated = (match[1] === 'P') !== (match[2] === '^');
    const name = (match[3] ?? match[4])!;
    const letter = negated ? 'P' : 'p';
    for (const candidate of [name, `Script=${name}`]) {
      try {
        void new RegExp(`\\p{${candidate}}`, 'u');
        return `\\${letter}{${candidate}}`;
      } catch {
        // Not a property of this name: try it as a script, then give up below.
      }
    }
    return this.refuse(match[0]);
  }

  private codePoint(): string {
    const match = /^\\(?:x\{([0-9a-fA-F]{1,6})\}|x([0-9a-fA-F]{2})|u\{?([0-9a-fA-F]{4,6})\}?)/.exec(
      this.source.slice(this.position),
    );
    const hex = match?.[1] ?? match?.[2] ?? match?.[3];
    if (!match || hex === undefined) return this.refuse(this.source.slice(this.position, this.position + 12));
    this.position += match[0].length;
    return `\\u{${hex}}`;
  }

  private characterClass(ignoreCase: boolean): string {
    this.position++;
    const negated = this.source[this.position] === '^';
    if (negated) this.position++;
    const parts: string[] = [];
    const complements: string[] = [];
    let first = true;
    for (;;) {
      const character = this.source[this.position];
      if (character === undefined) invalid(this.place, 'a regular expression', JSON.stringify(this.source));
      if (character === ']' && !first) break;
      first = false;
      parts.push(this.classItem(ignoreCase, complements));
    }
    this.position++;
    const body = parts.join('');
    if (complements.length === 0) return `[${negated ? '^' : ''}${body}]`;
    const options = [...(body === '' ? [] : [`[${body}]`]), ...complements.map((set) => `[^${set}]`)].join('|');
    return negated ? `(?:(?!${options})[\\s\\S])` : `(?:${options})`;
  }

  private classItem(ignoreCase: boolean, complements: string[]): string {
    const rest = this.source.slice(this.position, this.position + 40);
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(rest);
    if (posix) {
      const set = posixSets[posix[2]!];
      if (set === undefined) return this.refuse(posix[0]);
      this.position += posix[0].length;
      if (posix[1] === '') return set;
      complements.push(set);
      return '';
    }
    if (rest.startsWith('[') || rest.startsWith('&&')) return this.refuse(rest.slice(0, 12));
    if (rest.startsWith('\\')) {
      const next = rest[1] ?? '';
      const set = classSets[next.toLowerCase()];
      if (set !== undefined) {
        this.position += 2;
        if (next === next.toLowerCase()) return set;
        complements.push(set);
        return '';
      }
    }
    const item = this.classCharacter();
    if (this.source[this.position] === '-' && !['[', ']'].includes(this.source[this.position + 1] ?? ']')) {
      this.position++;
      const end = this.classCharacter();
      if (!ignoreCase) return `${item}-${end}`;
      // Ranges that are folded in real files are ASCII letters; both cases stand for them.
      const folded = /^[a-z]-[a-z]$/i.test(`${item}-${end}`);
      return folded
        ? `${item.toLowerCase()}-${end.toLowerCase()}${item.toUpperCase()}-${end.toUpperCase()}`
        : `${item}-${end}`;
    }
    return ignoreCase && /^\p{L}$/u.test(item) ? casesOf(item) : item;
  }

  private classCharacter(): string {
    if (this.source[this.position] === '\\') {
      if (this.source[this.position + 1] !== '-') return this.escape();
      this.position += 2;
      return '\\-';
    }
    const character = String.fromCodePoint(this.source.codePointAt(this.position)!);
    this.position += character.length;
    return escapeInClass(character);
  }
}

/**
 * The JavaScript regular expression, global and Unicode, of a tokenizer file's pattern.
 * @throws FormatError for a broken pattern, UnsupportedError for a construct that is not known here.
 */
export function translateRegex(source: string, place: Place): RegExp {
  if (source.length > maxPatternLength) {
    invalid(place, `a regular expression of at most ${maxPatternLength} characters`, `${source.length}`);
  }
  const translated = new Translator(source, place).translate();
  try {
    return new RegExp(translated, 'gu');
  } catch (error) {
    return invalid(place, 'a regular expression', error instanceof Error ? error.message : JSON.stringify(source));
  }
}
