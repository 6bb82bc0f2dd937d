/** Stop texts in an answer that comes piece by piece. */

/** Text with stop texts held back: what may be the beginning of one is given only when it is certain that it is none. */
export class StopFilter {
  private readonly stops: readonly string[];
  private held = '';
  /** The answer so far, without what is held back. */
  text = '';
  /** Whether a stop text came; what follows it is not taken. */
  stopped = false;

  constructor(stops: readonly string[]) {
    this.stops = stops.filter((stop) => stop !== '');
  }

  /** Takes a piece and gives what of the answer is certain. */
  push(piece: string): string {
    if (this.stopped) return '';
    this.held += piece;
    const found = this.stops.map((stop) => this.held.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.stopped = true;
      return this.give(Math.min(...found));
    }
    return this.give(this.held.length - this.possibleStop());
  }

  /** Gives what is still held, at the end of the answer. */
  flush(): string {
    return this.stopped ? '' : this.give(this.held.length);
  }

  /** Length of the longest end of the held text that begins a stop text. */
  private possibleStop(): number {
    for (
      let length = Math.min(this.held.length, Math.max(0, ...this.stops.map((stop) => stop.length)) - 1);
      length > 0;
      length--
    ) {
      const end = this.held.slice(-length);
      if (this.stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }

  private give(length: number): string {
    const given = this.held.slice(0, length);
    this.held = this.held.slice(length);
    this.text += given;
    return given;
  }
}
