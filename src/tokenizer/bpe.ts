/**
 * Byte-pair encoding (Sennrich et al. 2016): of all adjacent pairs the one with the lowest rank is merged, the leftmost
 * first, until none is left. Gives the ids of Hugging Face tokenizers' `BPE` model, faster: words are remembered, and
 * text without word boundaries is cut where no piece of the vocabulary could reach across.
 */
import {
  asArray,
  asString,
  at,
  invalid,
  type JsonObject,
  maxMerges,
  optionalBoolean,
  optionalString,
  type Place,
  unsupported,
} from './checked-json.ts';
import { byteCharacters, utf8LengthAt } from './byte-characters.ts';
import { MinHeap } from './min-heap.ts';
import { PairTable } from './pair-table.ts';
import { type TokenModel, TokenSink, WordCache } from './token-sink.ts';
import { byteFallbackIds, readVocabulary, type Vocabulary } from './vocabulary.ts';

/** Words of up to this many symbols are merged by scanning; longer ones with a heap. */
const scanLimit = 40;
/** Positions in the heap's keys: rank x 2^30 + position stays an exact double. */
const positionSpan = 2 ** 30;
const noRank = 0x7fffffff;
const encoder = new TextEncoder();

export interface BpeModel extends TokenModel {
  readonly vocabulary: Vocabulary;
  readonly unkPiece: string | undefined;
}

interface BpeSettings {
  readonly unkId: number;
  readonly fuseUnk: boolean;
  readonly byteFallback: Int32Array | undefined;
  readonly ignoreMerges: boolean;
  readonly wordPrefix: string;
  readonly wordSuffix: string;
  /** Whether words are raw text whose UTF-8 bytes are the symbols. */
  readonly readsBytes: boolean;
}

function readMerges(
  value: unknown,
  vocabulary: Vocabulary,
  wordPrefix: string,
  place: Place,
): { ranks: PairTable; merged: Int32Array } {
  const list = asArray(value, place, maxMerges);
  const ranks = new PairTable(list.length);
  const merged = new Int32Array(list.length);
  list.forEach((entry, rank) => {
    let left: string;
    let right: string;
    if (typeof entry === 'string') {
      const blank = entry.indexOf(' ');
      if (blank <= 0 || blank !== entry.lastIndexOf(' ') || blank === entry.length - 1) {
        invalid(at(place, rank), 'two pieces with a blank between them', JSON.stringify(entry));
      }
      left = entry.slice(0, blank);
      right = entry.slice(blank + 1);
    } else {
      const pair = asArray(entry, at(place, rank), 2);
      left = asString(pair[0], at(place, rank));
      right = asString(pair[1], at(place, rank));
    }
    const a = vocabulary.ids.get(left);
    const b = vocabulary.ids.get(right);
    const whole = left + (wordPrefix !== '' && right.startsWith(wordPrefix) ? right.slice(wordPrefix.length) : right);
    const c = vocabulary.ids.get(whole);
    if (a === undefined || b === undefined || c === undefined) {
      const missing = a === undefined ? left : b === undefined ? right : whole;
      invalid(at(place, rank), 'made of pieces in the vocabulary', JSON.stringify(missing));
    }
    ranks.set(a, b, rank);
    merged[rank] = c;
  });
  return { ranks, merged };
}

/** The pairs of adjacent UTF-16 units that occur inside a piece: anywhere else no merge can reach across. */
function pairsInside(vocabulary: Vocabulary): PairTable {
  const pairs = new PairTable(1 << 16);
  for (const piece of vocabulary.pieces) {
    if (piece === undefined) continue;
    for (let i = 1; i < piece.length; i++) pairs.set(piece.charCodeAt(i - 1), piece.charCodeAt(i), 1);
  }
  return pairs;
}

class Bpe implements BpeModel {
  readonly vocabulary: Vocabulary;
  readonly unkPiece: string | undefined;
  private readonly ranks: PairTable;
  private readonly merged: Int32Array;
  private readonly settings: BpeSettings;
  private readonly cache = new WordCache();
  private readonly byteIds = new Int32Array(256).fill(-1);
  /** Id of each single UTF-16 unit below U+0100..U+FFFF that is a piece, or -1. */
  private readonly unitIds = new Int32Array(0x10000).fill(-1);
  private readonly inside: PairTable | undefined;
  private symbols = new Int32Array(64);
  private lengths = new Int32Array(64);
  private pairRanks = new Int32Array(64);
  private count = 0;

  constructor(
    vocabulary: Vocabulary,
    merges: { ranks: PairTable; merged: Int32Array },
    unkPiece: string | undefined,
    settings: BpeSettings,
  ) {
    this.vocabulary = vocabulary;
    this.unkPiece = unkPiece;
    this.ranks = merges.ranks;
    this.merged = merges.merged;
    this.settings = settings;
    byteCharacters.forEach((character, byte) => (this.byteIds[byte] = vocabulary.ids.get(character) ?? -1));
    for (const [piece, id] of vocabulary.ids) if (piece.length === 1) this.unitIds[piece.charCodeAt(0)] = id;
    // Cutting a word must not part unknown characters that are one token or none, nor change its affixes.
    const plain = settings.wordPrefix === '' && settings.wordSuffix === '' && !settings.ignoreMerges;
    const cuttable =
      !settings.readsBytes &&
      plain &&
      (settings.byteFallback !== undefined || (settings.unkId >= 0 && !settings.fuseUnk));
    this.inside = cuttable ? pairsInside(vocabulary) : undefined;
  }

  append(text: string, from: number, to: number, sink: TokenSink): void {
    const { inside } = this;
    if (inside === undefined) {
      this.appendWord(text, from, to, sink);
      return;
    }
    let start = from;
    let previous = text.charCodeAt(from);
    for (let i = from + 1; i < to; i++) {
      const unit = text.charCodeAt(i);
      // ASCII letters meet in some piece nearly always: asking only for the others costs less.
      if (unit >= 0x80 && !(unit >= 0xdc00 && unit < 0xe000) && inside.get(previous, unit) < 0) {
        this.appendWord(text, start, i, sink);
        start = i;
      }
      previous = unit;
    }
    if (start < to) this.appendWord(text, start, to, sink);
  }

  private appendWord(text: string, from: number, to: number, sink: TokenSink): void {
    if (to - from > WordCache.maxWordLength) {
      this.encodeWord(text.slice(from, to), sink);
      return;
    }
    const word = text.slice(from, to);
    if (this.cache.append(word, sink)) return;
    const start = sink.count;
    this.encodeWord(word, sink);
    this.cache.store(word, sink, start);
  }

  private encodeWord(word: string, sink: TokenSink): void {
    if (this.settings.ignoreMerges) {
      const whole = this.wholeWord(word);
      if (whole !== undefined) {
        sink.push(whole.id, whole.length);
        return;
      }
    }
    if (this.settings.readsBytes) this.readByteSymbols(word);
    else this.readCharacterSymbols(word);
    if (this.count <= scanLimit) this.mergeByScanning();
    else this.mergeWithHeap();
    for (let i = 0; i < this.count; i++) sink.push(this.symbols[i]!, this.lengths[i]!);
  }

  private wholeWord(word: string): { id: number; length: number } | undefined {
    let piece = word;
    let { length } = word;
    if (this.settings.readsBytes) {
      const bytes = encoder.encode(word);
      piece = '';
      for (const byte of bytes) piece += byteCharacters[byte]!;
      length = bytes.length;
    }
    const id = this.vocabulary.ids.get(piece);
    return id === undefined ? undefined : { id, length };
  }

  private addSymbol(id: number, length: number): void {
    if (this.count === this.symbols.length) {
      const grow = (old: Int32Array): Int32Array<ArrayBuffer> => {
        const larger = new Int32Array(old.length * 2);
        larger.set(old);
        return larger;
      };
      this.symbols = grow(this.symbols);
      this.lengths = grow(this.lengths);
      this.pairRanks = grow(this.pairRanks);
    }
    this.symbols[this.count] = id;
    this.lengths[this.count++] = length;
  }

  private addUnknown(length: number): void {
    const { unkId, fuseUnk } = this.settings;
    if (unkId < 0) {
      // Without an unknown token the character vanishes; its units count with the token before it.
      if (this.count > 0) this.lengths[this.count - 1]! += length;
      return;
    }
    if (fuseUnk && this.count > 0 && this.symbols[this.count - 1] === unkId) this.lengths[this.count - 1]! += length;
    else this.addSymbol(unkId, length);
  }

  private readByteSymbols(word: string): void {
    this.count = 0;
    for (let i = 0; i < word.length; i++) {
      const unit = word.charCodeAt(i);
      if (unit < 0x80) {
        const id = this.byteIds[unit]!;
        if (id >= 0) this.addSymbol(id, 1);
        else this.addUnknown(1);
        continue;
      }
      const width = utf8LengthAt(word, i) === 4 ? 2 : 1;
      for (const byte of encoder.encode(word.slice(i, i + width))) {
        const id = this.byteIds[byte]!;
        if (id >= 0) this.addSymbol(id, 1);
        else this.addUnknown(1);
      }
      i += width - 1;
    }
  }

  private readCharacterSymbols(word: string): void {
    this.count = 0;
    const { wordPrefix, wordSuffix, byteFallback } = this.settings;
    const plain = wordPrefix === '' && wordSuffix === '';
    for (let i = 0; i < word.length;) {
      const width = utf8LengthAt(word, i) === 4 ? 2 : 1;
      let id: number;
      if (plain && width === 1) id = this.unitIds[word.charCodeAt(i)]!;
      else {
        const prefix = i === 0 ? '' : wordPrefix;
        const suffix = i + width === word.length ? wordSuffix : '';
        id = this.vocabulary.ids.get(prefix + word.slice(i, i + width) + suffix) ?? -1;
      }
      if (id >= 0) this.addSymbol(id, width);
      else if (byteFallback === undefined) this.addUnknown(width);
      else {
        // The character's units count with the last of its bytes, so that all of them begin where it begins.
        const bytes = encoder.encode(word.slice(i, i + width));
        bytes.forEach((byte, b) => this.addSymbol(byteFallback[byte]!, b === bytes.length - 1 ? width : 0));
      }
      i += width;
    }
  }

  private rankAt(i: number): number {
    const rank = this.ranks.get(this.symbols[i]!, this.symbols[i + 1]!);
    return rank < 0 ? noRank : rank;
  }

  private mergeByScanning(): void {
    const { symbols, lengths, pairRanks } = this;
    let last = this.count - 1;
    for (let i = 0; i < last; i++) pairRanks[i] = this.rankAt(i);
    while (last > 0) {
      let best = 0;
      let bestRank = pairRanks[0]!;
      for (let i = 1; i < last; i++) {
        if (pairRanks[i]! < bestRank) {
          bestRank = pairRanks[i]!;
          best = i;
        }
      }
      if (bestRank === noRank) break;
      symbols[best] = this.merged[bestRank]!;
      lengths[best]! += lengths[best + 1]!;
      for (let i = best + 1; i < last; i++) {
        symbols[i] = symbols[i + 1]!;
        lengths[i] = lengths[i + 1]!;
        pairRanks[i] = pairRanks[i + 1]!;
      }
      last--;
      if (best > 0) pairRanks[best - 1] = this.rankAt(best - 1);
      if (best < last) pairRanks[best] = this.rankAt(best);
    }
    this.count = Math.min(this.count, last + 1);
  }

  private mergeWithHeap(): void {
    const { symbols, lengths, count } = this;
    const next = new Int32Array(count);
    const previous = new Int32Array(count);
    const current = new Int32Array(count).fill(noRank);
    const heap = new MinHeap(count * 2);
    for (let i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
    }
    const refresh = (position: number): void => {
      const after = next[position]!;
      const rank = after < count ? this.ranks.get(symbols[position]!, symbols[after]!) : -1;
      current[position] = rank < 0 ? noRank : rank;
      if (rank >= 0) heap.push(rank * positionSpan + position);
    };
    for (let i = 0; i < count - 1; i++) refresh(i);
    for (let key = heap.pop(); key >= 0; key = heap.pop()) {
      const rank = Math.floor(key / positionSpan);
      const position = key - rank * positionSpan;
      if (current[position] !== rank) continue;
      const gone = next[position]!;
      symbols[position] = this.merged[rank]!;
      lengths[position]! += lengths[gone]!;
      current[gone] = noRank;
      next[position] = next[gone]!;
      if (next[gone]! < count) previous[next[gone]!] = position;
      refresh(position);
      if (previous[position]! >= 0) refresh(previous[position]!);
    }
    let kept = 0;
    for (let i = 0; i < count; i = next[i]!) {
      symbols[kept] = symbols[i]!;
      lengths[kept++] = lengths[i]!;
    }
    this.count = kept;
  }
}

/**
 * Reads a `BPE` model of tokenizer.json.
 * @param readsBytes whether words come as raw text, to be read as UTF-8 bytes (a `ByteLevel` step stands last).
 * @throws FormatError where pieces, ids or merges do not fit together.
 */
export function readBpe(model: JsonObject, place: Place, readsBytes: boolean): BpeModel {
  const vocabulary = readVocabulary(model['vocab'], at(place, 'vocab'));
  const wordPrefix = optionalString(model['continuing_subword_prefix'], at(place, 'continuing_subword_prefix')) ?? '';
  const wordSuffix = optionalString(model['end_of_word_suffix'], at(place, 'end_of_word_suffix')) ?? '';
  const merges = readMerges(model['merges'], vocabulary, wordPrefix, at(place, 'merges'));
  if (model['dropout'] !== undefined && model['dropout'] !== null && model['dropout'] !== 0) {
    unsupported(at(place, 'dropout'), model['dropout'], ['null', '0']);
  }
  const unkPiece = optionalString(model['unk_token'], at(place, 'unk_token'));
  const byteFallback = optionalBoolean(model['byte_fallback'], at(place, 'byte_fallback'), false);
  return new Bpe(vocabulary, merges, unkPiece, {
    unkId: unkPiece === undefined ? -1 : (vocabulary.ids.get(unkPiece) ?? -1),
    fuseUnk: optionalBoolean(model['fuse_unk'], at(place, 'fuse_unk'), false),
    byteFallback: byteFallback ? byteFallbackIds(vocabulary) : undefined,
    ignoreMerges: optionalBoolean(model['ignore_merges'], at(place, 'ignore_merges'), false),
    wordPrefix,
    wordSuffix,
    readsBytes: readsBytes && wordPrefix === '' && wordSuffix === '',
  });
}
