/**
 * What becomes of a command when nobody reads what it prints any longer (`fettle train run.yaml | head`). A command whose result stands in files goes on in
 * silence and ends as it would have; one that only prints ends, without an error.
 */
import type { EventEmitter } from 'node:events';
import { closedOutputText } from '../messages/cli.ts';
import type { OutputStream } from './terminal.ts';

/** A stream of the process. */
export type ProcessStream = OutputStream & Pick<EventEmitter, 'on'>;

/** The streams of a command, which take everything also after their reader has gone. */
export interface LastingOutput {
  readonly out: OutputStream;
  readonly err: OutputStream;
  /** Resolves when the readers that are there have everything. */
  emptied(): Promise<void>;
}

/** A stream whose reader may go. */
class LastingStream implements OutputStream {
  readonly #stream: ProcessStream;
  #isClosed = false;

  constructor(stream: ProcessStream, onClosed: () => void) {
    this.#stream = stream;
    // Stays: what was under way when the reader went may fail later.
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error;
      if (this.#isClosed) return;
      this.#isClosed = true;
      onClosed();
    });
  }

  get isTTY(): boolean | undefined {
    return this.#stream.isTTY;
  }

  get columns(): number | undefined {
    return this.#stream.columns;
  }

  write(text: string, written?: () => void): void {
    if (this.#isClosed) written?.();
    else this.#stream.write(text, written);
  }
}

/** @param end ends the process, where the command goes on for nobody; undefined where it goes on */
export function lastingOutput(out: ProcessStream, err: ProcessStream, end: (() => void) | undefined): LastingOutput {
  const lastingErr = new LastingStream(err, end ?? (() => undefined));
  const lastingOut = new LastingStream(out, end ?? (() => lastingErr.write(`${closedOutputText}\n`)));
  const emptied = (stream: LastingStream): Promise<void> => new Promise((done) => stream.write('', done));
  return {
    out: lastingOut,
    err: lastingErr,
    emptied: async () => {
      await emptied(lastingOut);
      await emptied(lastingErr);
    },
  };
}
