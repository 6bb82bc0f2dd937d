/** Where models write what they find: ids and, beside each, how many units of the word it covers. */
export class TokenSink {
  ids = new Int32Array(256);
  /** Units covered by each token: bytes where the model reads bytes, else UTF-16 units. */
  lengths = new Int32Array(256);
  /** Where each token begins in the whole text, where that is asked for. */
  starts = new Uint32Array(256);
  count = 0;

  push(id: number, length: number): void {
    if (this.count === this.ids.length) this.reserve(1);
    this.ids[this.count] = id;
    this.lengths[this.count++] = length;
  }

  /** Makes room for `more` further tokens. */
  reserve(more: number): void {
    if (this.count + more <= this.ids.length) return;
    const capacity = Math.max(this.ids.length * 2, this.count + more);
    const ids = new Int32Array(capacity);
    const lengths = new Int32Array(capacity);
    const starts = new Uint32Array(capacity);
    ids.set(this.ids);
    lengths.set(this.lengths);
    starts.set(this.starts);
    this.starts = starts;
    this.ids = ids;
    this.lengths = lengths;
  }
}

/** A model turns one word, `text[from, to)`, into tokens. */
export interface TokenModel {
  append(text: string, from: number, to: number, sink: TokenSink): void;
}

/** Words that were encoded before, with their tokens in one pool; emptied when full, so memory stays bounded. */
export class WordCache {
  private readonly places = new Map<string, number>();
  private pool = new Int32Array(1 << 16);
  private used = 0;
  /** 2^21 integers are 8 MB: some 200,000 words, more than a corpus of one language repeats. */
  private static readonly maxIntegers = 1 << 21;
  /** Longer words hardly come again. */
  static readonly maxWordLength = 64;

  /** Copies a known word's tokens into the sink; false where the word is new. */
  append(word: string, sink: TokenSink): boolean {
    const place = this.places.get(word);
    if (place === undefined) return false;
    const { pool } = this;
    const count = pool[place]!;
    sink.reserve(count);
    const { ids, lengths } = sink;
    let target = sink.count;
    for (let i = place + 1; i <= place + count * 2; i += 2) {
      ids[target] = pool[i]!;
      lengths[target++] = pool[i + 1]!;
    }
    sink.count = target;
    return true;
  }

  /** Remembers the tokens from `start` on as those of the word. */
  store(word: string, sink: TokenSink, start: number): void {
    const count = sink.count - start;
    const needed = count * 2 + 1;
    if (this.used + needed > WordCache.maxIntegers) {
      this.places.clear();
      this.used = 0;
    }
    if (this.used + needed > this.pool.length) {
      const larger = new Int32Array(Math.min(WordCache.maxIntegers, Math.max(this.pool.length * 2, needed)));
      larger.set(this.pool);
      this.pool = larger;
    }
    this.places.set(word, this.used);
    this.pool[this.used++] = count;
    for (let i = start; i < sink.count; i++) {
      this.pool[this.used++] = sink.ids[i]!;
      this.pool[this.used++] = sink.lengths[i]!;
    }
  }
}
