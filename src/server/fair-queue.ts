/** Requests that wait for the engine: clients take turns, so that one who sends many holds up nobody else. */

/** Something that waits, with the rows that it will take. */
export interface Waiting {
  readonly rows: number;
  start(): void;
}

export class FairQueue {
  private readonly maxRows: number;
  private readonly maxWaiting: number;
  /** Clients that wait, the next one first. */
  private readonly clients = new Map<string, Waiting[]>();
  private rows = 0;
  private count = 0;

  constructor(maxRows: number, maxWaiting: number) {
    this.maxRows = maxRows;
    this.maxWaiting = maxWaiting;
  }

  /** Rows that are computed, and requests that wait. */
  get load(): { readonly rows: number; readonly waiting: number } {
    return { rows: this.rows, waiting: this.count };
  }

  get isFull(): boolean {
    return this.count >= this.maxWaiting;
  }

  /** Adds to a client's line; starts at once where there is room. */
  add(client: string, item: Waiting): void {
    const line = this.clients.get(client);
    if (line) line.push(item);
    else this.clients.set(client, [item]);
    this.count++;
    this.fill();
  }

  /** Takes a waiting item out; false where it has started. */
  remove(client: string, item: Waiting): boolean {
    const line = this.clients.get(client);
    const at = line?.indexOf(item) ?? -1;
    if (line === undefined || at < 0) return false;
    line.splice(at, 1);
    if (line.length === 0) this.clients.delete(client);
    this.count--;
    return true;
  }

  /** Gives an item's rows back. */
  done(item: Waiting): void {
    this.rows -= item.rows;
    this.fill();
  }

  private fill(): void {
    for (;;) {
      const next = this.clients.entries().next();
      if (next.done === true) return;
      const [client, line] = next.value;
      const item = line[0]!;
      // one that wants more than there is runs alone
      if (this.rows > 0 && this.rows + item.rows > this.maxRows) return;
      line.shift();
      this.count--;
      this.rows += item.rows;
      // to the end of the turns
      this.clients.delete(client);
      if (line.length > 0) this.clients.set(client, line);
      item.start();
    }
  }
}
