/** Cuts a stream of bytes into lines, in bounded memory. Knows no `node:` module. */
import { maxRowBytes } from './row-record.ts';

/** A line without its line break; `bytes` undefined where it was longer than a row may be. */
export interface Line {
  /** Counted from 1. */
  readonly line: number;
  readonly bytes: Uint8Array | undefined;
}

/** Collects bytes across chunks, up to a limit. */
export class ByteCollector {
  readonly limit: number;
  private parts: Uint8Array[] = [];
  private length = 0;
  private overflow = false;
  constructor(limit: number) {
    this.limit = limit;
  }
  get isEmpty(): boolean {
    return this.length === 0 && !this.overflow;
  }
  /** Adds a view of bytes that may be reused by the caller afterwards only once `take` was called. */
  add(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    if (this.length + bytes.length > this.limit) {
      this.overflow = true;
      this.parts = [];
      this.length = 0;
      return;
    }
    if (this.overflow) return;
    this.parts.push(bytes);
    this.length += bytes.length;
  }
  /** What was collected, or undefined where it was too long; the collector is empty afterwards. */
  take(): Uint8Array | undefined {
    const { parts, length, overflow } = this;
    this.parts = [];
    this.length = 0;
    this.overflow = false;
    if (overflow) return undefined;
    if (parts.length === 1) return parts[0]!;
    const all = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

/** Splits at LF and at CRLF. Feed every chunk, then call `end`. */
export class LineSplitter {
  private readonly rest: ByteCollector;
  private line = 1;
  constructor(maxBytes = maxRowBytes) {
    this.rest = new ByteCollector(maxBytes);
  }

  private finish(): Line {
    const bytes = this.rest.take();
    const line = this.line++;
    return { line, bytes: bytes?.at(-1) === 13 ? bytes.subarray(0, -1) : bytes };
  }

  /** The lines that this chunk completes. */
  push(chunk: Uint8Array): Line[] {
    const lines: Line[] = [];
    let start = 0;
    for (let at = chunk.indexOf(10); at >= 0; at = chunk.indexOf(10, start)) {
      this.rest.add(chunk.subarray(start, at));
      lines.push(this.finish());
      start = at + 1;
    }
    this.rest.add(chunk.subarray(start));
    return lines;
  }

  /** The last line, where the stream does not end with a line break. */
  end(): Line[] {
    return this.rest.isEmpty ? [] : [this.finish()];
  }
}
