/** The two output streams as commands see them: width, colours only where a person looks at them, whole lines. */

/** What a command needs of a stream; tests hand in an array. */
export interface OutputStream {
  /** @param written called when the text is out of our hands */
  write(text: string, written?: () => void): unknown;
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
}

const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, blue: 34, magenta: 35, cyan: 36 } as const;

/** Name of a text style. */
export type Style = keyof typeof styles;

/** Width where nothing is known of the terminal. */
const DEFAULT_WIDTH = 100;

/** One output stream. */
export class Terminal {
  readonly stream: OutputStream;
  readonly isTty: boolean;
  /** Whether styles are written: on a terminal, unless NO_COLOR is set (https://no-color.org) or TERM is dumb. */
  readonly hasColours: boolean;

  constructor(stream: OutputStream, env: Readonly<Record<string, string | undefined>>) {
    this.stream = stream;
    this.isTty = stream.isTTY === true;
    const refused = (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb';
    this.hasColours = this.isTty && !refused;
  }

  /** Columns of the terminal. */
  get width(): number {
    // A pseudo-terminal without a window says 0.
    const { columns = 0 } = this.stream;
    return columns > 0 ? columns : DEFAULT_WIDTH;
  }

  write(text: string): void {
    this.stream.write(text);
  }

  /** Writes a line. */
  line(text = ''): void {
    this.stream.write(`${text}\n`);
  }

  /** Writes a JSON value on one line. */
  json(value: unknown): void {
    this.line(JSON.stringify(value));
  }

  /** The text in a style, where colours are written. */
  style(style: Style, text: string): string {
    return this.hasColours ? `\u001B[${styles[style]}m${text}\u001B[0m` : text;
  }

  /** Lines of label and value, the values below one another. */
  table(rows: readonly (readonly [string, string])[]): void {
    const width = Math.max(0, ...rows.map(([label]) => label.length));
    for (const [label, value] of rows) this.line(`  ${this.style('dim', label.padEnd(width))}  ${value}`);
  }
}
