/**
 * The unigram language model of SentencePiece (Kudo 2018): of all ways to write a word in pieces the one with the
 * highest sum of scores (Hugging Face tokenizers, models/unigram, whose ties are broken here alike).
 */
import {
  asArray,
  asNumber,
  asString,
  at,
  invalid,
  type JsonObject,
  maxPieceLength,
  maxTokenId,
  optionalBoolean,
  type Place,
} from './checked-json.ts';
import { utf8LengthAt } from './byte-characters.ts';
import { PairTable } from './pair-table.ts';
import { type TokenModel, type TokenSink, WordCache } from './token-sink.ts';
import { byteFallbackIds, type Vocabulary } from './vocabulary.ts';

/** How far below the worst piece an unknown character scores (SentencePiece's kUnkPenalty). */
const unknownPenalty = 10;
const encoder = new TextEncoder();

export interface UnigramModel extends TokenModel {
  readonly vocabulary: Vocabulary;
  readonly unkPiece: string | undefined;
}

class Unigram implements UnigramModel {
  readonly vocabulary: Vocabulary;
  readonly unkPiece: string | undefined;
  private readonly scores: Float64Array;
  private readonly unkId: number;
  private readonly unkScore: number;
  private readonly byteFallback: Int32Array | undefined;
  /** (node, UTF-16 unit) to node; node 0 is the root. */
  private readonly edges = new PairTable(1 << 18);
  private readonly idAtNode: Int32Array;
  private readonly cache = new WordCache();

  constructor(
    vocabulary: Vocabulary,
    scores: Float64Array,
    unkId: number,
    byteFallback: Int32Array | undefined,
    place: Place,
  ) {
    this.vocabulary = vocabulary;
    this.scores = scores;
    this.unkId = unkId;
    this.unkPiece = unkId < 0 ? undefined : vocabulary.pieces[unkId];
    this.byteFallback = byteFallback;
    let lowest = Infinity;
    for (const score of scores) lowest = Math.min(lowest, score);
    this.unkScore = lowest - unknownPenalty;
    const ids: number[] = [-1];
    vocabulary.pieces.forEach((piece, id) => {
      if (piece === undefined || piece === '') return;
      let node = 0;
      for (let i = 0; i < piece.length; i++) {
        let next = this.edges.get(node, piece.charCodeAt(i));
        if (next < 0) {
          next = ids.length;
          ids.push(-1);
          this.edges.set(node, piece.charCodeAt(i), next);
          if (next > maxTokenId * 8) invalid(place, `a vocabulary of at most ${maxTokenId * 8} characters`, 'more');
        }
        node = next;
      }
      ids[node] = id;
    });
    this.idAtNode = Int32Array.from(ids);
  }

  append(text: string, from: number, to: number, sink: TokenSink): void {
    const word = text.slice(from, to);
    if (word.length > WordCache.maxWordLength) {
      this.encodeWord(word, sink);
      return;
    }
    if (this.cache.append(word, sink)) return;
    const start = sink.count;
    this.encodeWord(word, sink);
    this.cache.store(word, sink, start);
  }

  private encodeWord(word: string, sink: TokenSink): void {
    const best = new Float64Array(word.length + 1).fill(-Infinity);
    const cameFrom = new Int32Array(word.length + 1).fill(-1);
    const cameBy = new Int32Array(word.length + 1).fill(-1);
    best[0] = 0;
    for (let start = 0; start < word.length;) {
      const width = utf8LengthAt(word, start) === 4 ? 2 : 1;
      const score = best[start]!;
      let hasSingle = false;
      let node = 0;
      for (let end = start; end < word.length;) {
        node = this.edges.get(node, word.charCodeAt(end++));
        if (node < 0) break;
        const id = this.idAtNode[node]!;
        if (id < 0 || id === this.unkId) continue;
        const candidate = score + this.scores[id]!;
        if (cameFrom[end]! < 0 || candidate > best[end]!) {
          best[end] = candidate;
          cameFrom[end] = start;
          cameBy[end] = id;
        }
        if (end - start === width) hasSingle = true;
      }
      const end = start + width;
      if (!hasSingle && (cameFrom[end]! < 0 || score + this.unkScore > best[end]!)) {
        best[end] = score + this.unkScore;
        cameFrom[end] = start;
        cameBy[end] = this.unkId;
      }
      start = end;
    }
    const path: [number, number, number][] = [];
    for (let end = word.length; end > 0; end = cameFrom[end]!) path.push([cameFrom[end]!, end, cameBy[end]!]);
    this.emit(word, path.reverse(), sink);
  }

  private emit(word: string, path: readonly [number, number, number][], sink: TokenSink): void {
    for (let i = 0; i < path.length; i++) {
      const [start, , id] = path[i]!;
      if (id !== this.unkId) {
        sink.push(id, path[i]![1] - start);
        continue;
      }
      // Neighbouring unknown characters are one unknown.
      while (i + 1 < path.length && path[i + 1]![2] === this.unkId) i++;
      const end = path[i]![1];
      if (this.byteFallback === undefined) {
        sink.push(this.unkId, end - start);
        continue;
      }
      for (let at = start; at < end;) {
        const width = utf8LengthAt(word, at) === 4 ? 2 : 1;
        const bytes = encoder.encode(word.slice(at, at + width));
        const ids = this.byteFallback;
        bytes.forEach((byte, b) => sink.push(ids[byte]!, b === bytes.length - 1 ? width : 0));
        at += width;
      }
    }
  }
}

/** Reads a `Unigram` model. @throws FormatError for wrong types or an unknown id outside the vocabulary. */
export function readUnigram(model: JsonObject, place: Place): UnigramModel {
  const list = asArray(model['vocab'], at(place, 'vocab'), maxTokenId);
  const ids = new Map<string, number>();
  const pieces: string[] = [];
  const scores = new Float64Array(list.length);
  list.forEach((entry, id) => {
    const here = at(at(place, 'vocab'), id);
    const pair = asArray(entry, here, 2);
    const piece = asString(pair[0], at(here, 0));
    if (piece.length > maxPieceLength)
      invalid(here, `a piece of at most ${maxPieceLength} characters`, `${piece.length}`);
    scores[id] = asNumber(pair[1], at(here, 1));
    pieces.push(piece);
    if (!ids.has(piece)) ids.set(piece, id);
  });
  const unk = model['unk_id'];
  const unkId = unk === null || unk === undefined ? -1 : asNumber(unk, at(place, 'unk_id'));
  if (unkId >= pieces.length || !Number.isInteger(unkId) || unkId < 0) {
    invalid(
      at(place, 'unk_id'),
      `an id below ${pieces.length}`,
      unk === undefined || unk === null ? 'none' : `${unkId}`,
    );
  }
  const vocabulary = { ids, pieces };
  const fallback = optionalBoolean(model['byte_fallback'], at(place, 'byte_fallback'), false);
  return new Unigram(vocabulary, scores, unkId, fallback ? byteFallbackIds(vocabulary) : undefined, place);
}
