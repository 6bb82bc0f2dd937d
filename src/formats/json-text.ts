/**
 * JSON from files that nobody vouches for: bounded nesting, no key twice, and an error with line and column. The values
 * themselves come from `JSON.parse`; the walk before it only finds what is wrong, and where.
 */
import { FormatError } from '../errors.ts';

/** Deeper nesting than any config or header has; keeps readers that recurse over values safe. */
export const maxJsonDepth = 128;

/** A JSON value as `JSON.parse` gives it. */
export type JsonValue = string | number | boolean | null | JsonValue[] | JsonObject;
/** A JSON object. A key may be any text, `__proto__` included: read it with `Object.hasOwn` or `Object.entries`. */
export interface JsonObject {
  [key: string]: JsonValue;
}

/** Whether a JSON value is an object (not an array, not null). */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

interface JsonProblem {
  readonly position: number;
  readonly problem: string;
}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const wordPattern = /true|false|null/y;
const escapePattern = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** Walks one JSON text; `problem` is set at the first thing that is wrong. */
class JsonWalk {
  readonly text: string;
  position = 0;
  problem: JsonProblem | undefined;
  constructor(text: string) {
    this.text = text;
  }

  fail(problem: string, position = this.position): false {
    this.problem ??= { position, problem };
    return false;
  }

  failHere(wanted: string): false {
    const at = this.text.codePointAt(this.position);
    return this.fail(
      `${at === undefined ? 'the end of the text' : JSON.stringify(String.fromCodePoint(at))} instead of ${wanted}`,
    );
  }

  skipSpace(): void {
    for (;;) {
      const unit = this.text.charCodeAt(this.position);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.position++;
    }
  }

  takes(unit: string): boolean {
    if (this.text[this.position] !== unit) return false;
    this.position++;
    return true;
  }

  matches(pattern: RegExp): boolean {
    pattern.lastIndex = this.position;
    if (!pattern.test(this.text)) return false;
    this.position = pattern.lastIndex;
    return true;
  }

  /** Reads a string; true where it is whole. */
  string(): boolean {
    if (!this.takes('"')) return this.failHere('a string');
    const start = this.position - 1;
    for (;;) {
      const unit = this.text.charCodeAt(this.position);
      if (Number.isNaN(unit)) return this.fail('a string without an end', start);
      if (unit === 0x22) {
        this.position++;
        return true;
      }
      if (unit < 0x20) return this.fail('a control character inside a string');
      if (unit === 0x5c) {
        if (!this.matches(escapePattern)) return this.fail('an unknown escape inside a string');
      } else this.position++;
    }
  }

  /** Reads a key and its colon into `keys`. */
  key(keys: Set<string>): boolean {
    const start = this.position;
    if (!this.string()) return false;
    const key = JSON.parse(this.text.slice(start, this.position)) as string;
    if (keys.has(key)) return this.fail(`the key ${clip(JSON.stringify(key))} a second time`, start);
    keys.add(key);
    this.skipSpace();
    return this.takes(':') || this.failHere('":"');
  }

  /** Walks the whole text without recursion: `open` holds the keys of each open object, null for an array. */
  run(): boolean {
    const open: (Set<string> | null)[] = [];
    for (;;) {
      this.skipSpace();
      if (this.takes('{')) {
        open.push(new Set());
        if (open.length > maxJsonDepth) return this.fail(`more than ${maxJsonDepth} nested levels`);
        this.skipSpace();
        if (!this.takes('}')) {
          if (!this.key(open.at(-1)!)) return false;
          continue;
        }
        open.pop();
      } else if (this.takes('[')) {
        open.push(null);
        if (open.length > maxJsonDepth) return this.fail(`more than ${maxJsonDepth} nested levels`);
        this.skipSpace();
        if (!this.takes(']')) continue;
        open.pop();
      } else if (this.text[this.position] === '"') {
        if (!this.string()) return false;
      } else if (!this.matches(numberPattern) && !this.matches(wordPattern)) {
        return this.failHere('a value');
      }
      for (;;) {
        this.skipSpace();
        const keys = open.at(-1);
        if (keys === undefined) return this.position === this.text.length || this.failHere('the end of the text');
        if (this.takes(',')) {
          this.skipSpace();
          if (keys !== null && !this.key(keys)) return false;
          break;
        }
        if (!this.takes(keys === null ? ']' : '}')) return this.failHere(keys === null ? '"," or "]"' : '"," or "}"');
        open.pop();
      }
    }
  }
}

function clip(text: string): string {
  return text.length <= 100 ? text : `${text.slice(0, 100)}..."`;
}

/** The first thing that is wrong with a JSON text, or undefined. */
export function findJsonProblem(text: string): JsonProblem | undefined {
  const walk = new JsonWalk(text);
  walk.run();
  return walk.problem;
}

/**
 * Parses JSON text that came from `file`.
 * @throws FormatError `json-invalid` with line and column (both from 1): broken syntax, a key twice in one object, nesting deeper than `maxJsonDepth`.
 */
export function parseJsonText(text: string, file: string): JsonValue {
  const problem = findJsonProblem(text);
  if (problem) {
    const before = text.slice(0, problem.position);
    throw new FormatError('json-invalid', {
      file,
      line: before.split('\n').length,
      column: problem.position - before.lastIndexOf('\n'),
      problem: problem.problem,
    });
  }
  return JSON.parse(text) as JsonValue;
}
