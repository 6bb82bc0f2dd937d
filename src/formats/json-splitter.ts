/**
 * Cuts a stream of JSON (one array of rows, or rows one after the other) into the bytes of its rows without parsing
 * them, so that files of any size are read in the memory of one row. A row that is broken is reported alone: reading
 * goes on at the next line that begins one. Knows no `node:` module.
 */
import { ByteCollector } from './line-splitter.ts';
import { maxRowBytes, type RecordFault } from './row-record.ts';

/** The bytes of one row, or why it could not be told apart. */
export interface JsonPiece {
  /** Line where the row begins, counted from 1. */
  readonly line: number;
  readonly bytes?: Uint8Array;
  readonly fault?: RecordFault;
}

const quote = 0x22;
const comma = 0x2c;
const colon = 0x3a;
const newline = 0x0a;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;

const isSpace = (byte: number): boolean => byte === 0x20 || byte === newline || byte === 0x0d || byte === 0x09;

type State = 'start' | 'between' | 'row' | 'lost' | 'done';

/** Feed every chunk, then call `end`. */
export class JsonSplitter {
  private readonly row: ByteCollector;
  private state: State = 'start';
  /** Whether the file is one array; decided by its first byte. */
  private isArray = false;
  private line = 1;
  private rowLine = 1;
  /** Closing bracket that each open bracket of the row waits for. */
  private readonly waiting: number[] = [];
  private inString = false;
  private escaped = false;
  /** The last byte of the row outside strings that is no space; a quote after a string. */
  private before = 0;
  private scalar = false;
  /** Whether the last thing seen between rows was a row (then a comma must follow) or a comma (then a row must). */
  private needsComma = false;
  private afterComma = false;
  /** Column of the row's first byte, and of the byte at hand: a lost reader goes on where a row begins in the same column. */
  private column = 0;
  private rowColumn = 0;
  private lineIsBlank = true;
  private commaBefore = false;
  /** How the last whole row begins, up to its first key: a lost reader goes on where the same stands again. */
  private beginning: Uint8Array | undefined;
  private matched = 0;
  /** What is wrong before the row at hand, reported in its place. */
  private rowFault: RecordFault | undefined;
  private readonly pieces: JsonPiece[] = [];

  constructor(maxBytes = maxRowBytes) {
    this.row = new ByteCollector(maxBytes);
  }

  /** The rows that this chunk completes. */
  push(chunk: Uint8Array): JsonPiece[] {
    let start = 0;
    for (let at = 0; at < chunk.length; at++) {
      let byte = chunk[at]!;
      if (this.state === 'row') {
        if (this.inString && !this.escaped) {
          // Most bytes are plain text inside strings: one tight loop passes over them.
          const from = at;
          let next = byte;
          while (next !== quote && next !== backslash && next !== newline && ++at < chunk.length) next = chunk[at]!;
          this.column += at - from;
          if (at >= chunk.length) break;
          byte = next;
        }
        if (this.endsBefore(byte)) {
          // A bare number, word or string ends where something else begins, which is then looked at again.
          this.row.add(chunk.subarray(start, at));
          this.finishRow();
        } else {
          const step = this.stepInRow(byte);
          if (step === 'ends') {
            this.row.add(chunk.subarray(start, at + 1));
            this.finishRow();
            this.advance(byte);
            continue;
          }
          if (step === 'broken') {
            this.row.take();
            this.lose();
          } else {
            this.advance(byte);
            continue;
          }
        }
      }
      if (this.state === 'lost') {
        if (this.beginsLikeOthers(byte)) {
          this.advance(byte);
          start = at + 1;
          continue;
        }
        if (this.beginsRowAgain(byte)) {
          this.state = 'between';
          this.needsComma = false;
          this.afterComma = false;
        } else {
          this.advance(byte);
          continue;
        }
      }
      if (!isSpace(byte)) this.stepBetween(byte);
      if ((this.state as State) === 'row') start = at;
      this.advance(byte);
    }
    if (this.state === 'row') this.row.add(chunk.subarray(start));
    return this.pieces.splice(0);
  }

  /** What is left: a row or an array without an end. */
  end(): JsonPiece[] {
    if (this.state === 'row') {
      if (this.scalar && !this.inString) this.finishRow();
      else
        this.pieces.push({
          line: this.rowLine,
          fault: arrayFault(closer(this.waiting.at(-1), this.inString), 'the end of the file'),
        });
    }
    if (this.isArray && this.state === 'between') {
      this.pieces.push({ line: this.line, fault: arrayFault('"]" after the last row', 'the end of the file') });
    }
    this.state = 'done';
    return this.pieces.splice(0);
  }

  private advance(byte: number): void {
    if (byte === newline) {
      this.line++;
      this.column = 0;
      this.lineIsBlank = true;
    } else {
      this.column++;
      if (!isSpace(byte)) {
        this.lineIsBlank = false;
        this.commaBefore = byte === comma;
      }
    }
  }

  private endsBefore(byte: number): boolean {
    return (
      this.scalar && !this.inString && (isSpace(byte) || byte === comma || byte === closeBracket || byte === closeBrace)
    );
  }

  private stepInRow(byte: number): 'goes on' | 'ends' | 'broken' {
    if (this.inString) {
      if (byte === newline) return 'broken';
      if (this.escaped) this.escaped = false;
      else if (byte === backslash) this.escaped = true;
      else if (byte === quote) {
        this.inString = false;
        if (this.waiting.length === 0) return 'ends';
      }
      return 'goes on';
    }
    if (!this.fits(byte)) return 'broken';
    if (!isSpace(byte)) this.before = byte;
    if (byte === quote) this.inString = true;
    else if (byte === openBrace) this.waiting.push(closeBrace);
    else if (byte === openBracket) this.waiting.push(closeBracket);
    else if (byte === closeBrace || byte === closeBracket) {
      if (this.waiting.pop() !== byte) return 'broken';
      if (this.waiting.length === 0) return 'ends';
    }
    return 'goes on';
  }

  /** Whether a string, an object or a list may begin here: only where the grammar has a place for it. */
  private fits(byte: number): boolean {
    if (byte !== quote && byte !== openBrace && byte !== openBracket) return true;
    if (this.before === colon || this.before === openBracket) return true;
    const inObject = this.waiting.at(-1) === closeBrace;
    if (this.before === comma) return byte === quote || !inObject;
    return this.before === openBrace && byte === quote;
  }

  private finishRow(): void {
    const bytes = this.row.take();
    if (this.rowFault) this.pieces.push({ line: this.rowLine, fault: this.rowFault });
    else if (bytes) {
      this.pieces.push({ line: this.rowLine, bytes });
      this.beginning = beginningOf(bytes) ?? this.beginning;
    } else this.pieces.push({ line: this.rowLine, fault: { kind: 'too-long', maxBytes: this.row.limit } });
    this.state = 'between';
    this.needsComma = this.isArray;
    this.afterComma = false;
  }

  private lose(): void {
    const problem = this.inString ? 'a line break inside a string' : 'a bracket or a quote that does not fit here';
    this.pieces.push({ line: this.rowLine, fault: { kind: 'syntax', problem } });
    this.state = 'lost';
    this.matched = 0;
    this.waiting.length = 0;
    this.inString = false;
    this.escaped = false;
  }

  /** A row of the same file begins as the others do: an opening bracket, first on its line or after a comma, in the same column. */
  private beginsRowAgain(byte: number): boolean {
    if (byte === closeBracket && this.lineIsBlank && this.column < Math.max(1, this.rowColumn)) return true;
    return (
      byte === openBrace &&
      this.lineIsBlank &&
      this.column === this.rowColumn &&
      (this.commaBefore || !this.isArray || this.line > this.rowLine)
    );
  }

  /** Whether with this byte the beginning of a row is complete; then the row is taken up behind it. */
  private beginsLikeOthers(byte: number): boolean {
    const { beginning } = this;
    if (beginning === undefined) return false;
    // A row stands behind a comma or at the beginning of a line.
    const mayBegin = byte === beginning[0] && (this.commaBefore || this.lineIsBlank);
    if (this.matched > 0 && byte === beginning[this.matched]) this.matched++;
    else this.matched = mayBegin ? 1 : 0;
    if (this.matched < beginning.length) return false;
    this.state = 'row';
    this.rowFault = undefined;
    this.scalar = false;
    this.before = quote;
    this.rowLine = this.line - beginning.filter((one) => one === newline).length;
    this.rowColumn = Math.max(0, this.column - beginning.length + 1);
    this.row.add(beginning);
    this.waiting.push(closeBrace);
    return true;
  }

  private stepBetween(byte: number): void {
    if (this.state === 'start') {
      this.isArray = byte === openBracket;
      this.state = 'between';
      if (this.isArray) return;
    }
    if (this.state === 'done') {
      if (this.isArray && this.pieces.at(-1)?.fault?.kind !== 'array') {
        this.pieces.push({ line: this.line, fault: arrayFault('the end of the file after "]"', shown(byte)) });
      }
      return;
    }
    if (this.isArray && byte === comma && this.needsComma) {
      this.needsComma = false;
      this.afterComma = true;
      return;
    }
    if (this.isArray && byte === closeBracket) {
      if (this.afterComma) this.pieces.push({ line: this.line, fault: arrayFault('a row after ","', '"]"') });
      this.state = 'done';
      return;
    }
    if (byte === comma || byte === closeBracket || byte === closeBrace) {
      this.pieces.push({ line: this.line, fault: arrayFault('a row', shown(byte)) });
      return;
    }
    this.rowFault = this.needsComma ? arrayFault('"," before this row', shown(byte)) : undefined;
    this.state = 'row';
    this.rowLine = this.line;
    this.rowColumn = this.column;
    this.scalar = byte !== openBrace && byte !== openBracket;
    this.waiting.length = 0;
    this.inString = byte === quote;
    this.escaped = false;
    this.before = byte;
    if (byte === openBrace) this.waiting.push(closeBrace);
    else if (byte === openBracket) this.waiting.push(closeBracket);
  }
}

/** The bytes of an object up to the end of its first key; undefined for other rows and for very long keys. */
function beginningOf(row: Uint8Array): Uint8Array | undefined {
  if (row[0] !== openBrace) return undefined;
  const open = row.indexOf(quote);
  const close = row.indexOf(quote, open + 1);
  return open > 0 && close > open && close < 128 ? row.slice(0, close + 1) : undefined;
}

function closer(waiting: number | undefined, inString: boolean): string {
  if (inString) return 'the end of the string';
  return waiting === undefined ? 'the end of the row' : JSON.stringify(String.fromCharCode(waiting));
}

function shown(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? JSON.stringify(String.fromCharCode(byte)) : `the byte 0x${byte.toString(16)}`;
}

function arrayFault(expected: string, actual: string): RecordFault {
  return { kind: 'array', expected, actual };
}
