/** One line that is drawn again and again on a terminal, below lines that stay; elsewhere only the lines that stay. */
import type { Terminal } from './terminal.ts';

/** Width of the bar in characters. */
const BAR_WIDTH = 24;

/** A bar for a share of the work between 0 and 1. */
export function progressBar(share: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * BAR_WIDTH);
  return `${'█'.repeat(full)}${'░'.repeat(BAR_WIDTH - full)}`;
}

/** The live line of a terminal. */
export class ProgressLine {
  private readonly terminal: Terminal;
  private shown = '';

  constructor(terminal: Terminal) {
    this.terminal = terminal;
  }

  /** Draws the live line; nothing where no one looks. A line that is too long for the terminal is cut, lest it wrap. */
  show(share: number, text: string): void {
    if (!this.terminal.isTty) return;
    const line = ` ${progressBar(share)} ${String(Math.floor(share * 100)).padStart(3)}%  ${text}`;
    const cut = line.slice(0, Math.max(0, this.terminal.width - 1));
    if (cut === this.shown) return;
    this.terminal.write(`\r\u001B[2K${cut}`);
    this.shown = cut;
  }

  /** Writes a line that stays, above the live one. */
  line(text: string): void {
    const live = this.shown;
    this.clear();
    this.terminal.line(text);
    if (live === '') return;
    this.terminal.write(live);
    this.shown = live;
  }

  /** Takes the live line away. */
  clear(): void {
    if (this.shown === '') return;
    this.terminal.write('\r\u001B[2K');
    this.shown = '';
  }
}
