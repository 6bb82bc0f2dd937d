/**
 * SentencePiece models (google/sentencepiece, src/sentencepiece_model.proto) as tokenizer.json, the way transformers'
 * converters write them, so that both give the same ids. Also llama2.c's pieces, which are of the same kind.
 */
import { BinaryReader } from '@bufbuild/protobuf/wire';
import { type JsonObject, invalid, maxPieceLength, maxTokenId, type Place, unsupported } from './checked-json.ts';
import { mergesFromPieces } from './merges.ts';
import type { ConvertedTokenizer } from './sources.ts';

type PieceKind = 'normal' | 'unknown' | 'control' | 'user' | 'unused' | 'byte';
const pieceKinds: readonly (PieceKind | undefined)[] = [
  undefined,
  'normal',
  'unknown',
  'control',
  'user',
  'unused',
  'byte',
];

export interface ScoredPiece {
  readonly text: string;
  readonly score: number;
  readonly kind: PieceKind;
}

/** What of a SentencePiece model matters for encoding. */
export interface SentencePieceModel {
  readonly pieces: readonly ScoredPiece[];
  readonly type: 'unigram' | 'bpe';
  readonly byteFallback: boolean;
  readonly unkId: number;
  readonly bosId: number;
  readonly eosId: number;
  readonly padId: number;
  /** Base64 of the precompiled character map, or "". */
  readonly characterMap: string;
  readonly addDummyPrefix: boolean;
  readonly removeExtraBlanks: boolean;
}

/** Whether bytes begin as a serialised model does: its first field is a piece. */
export function looksLikeSentencePiece(bytes: Uint8Array): boolean {
  return bytes.length > 8 && bytes[0] === 0x0a;
}

function eachField(reader: BinaryReader, end: number, visit: (field: number, wire: number) => boolean): void {
  while (reader.pos < end) {
    const [field, wire] = reader.tag();
    if (!visit(field, wire)) reader.skip(wire, field);
  }
  if (reader.pos !== end) throw new Error('a message longer than its size');
}

/** The end of an embedded message whose length comes next. */
function messageEnd(reader: BinaryReader): number {
  const length = reader.uint32();
  if (reader.pos + length > reader.len) throw new Error('a message longer than the file');
  return reader.pos + length;
}

function readPiece(reader: BinaryReader): ScoredPiece {
  let text = '';
  let score = 0;
  let kind: PieceKind = 'normal';
  eachField(reader, messageEnd(reader), (field) => {
    if (field === 1) text = reader.string();
    else if (field === 2) score = reader.float();
    else if (field === 3) kind = pieceKinds[reader.int32()] ?? 'unused';
    else return false;
    return true;
  });
  return { text, score, kind };
}

function toBase64(bytes: Uint8Array): string {
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** Parses a `tokenizer.model`. @throws FormatError where it is truncated or out of bounds. */
export function readSentencePiece(bytes: Uint8Array, file: string): SentencePieceModel {
  const place: Place = { file, path: '' };
  const pieces: ScoredPiece[] = [];
  let type = 1;
  let byteFallback = false;
  const ids = { unk: 0, bos: 1, eos: 2, pad: -1 };
  let characterMap = '';
  let addDummyPrefix = true;
  let removeExtraBlanks = true;
  try {
    const reader = new BinaryReader(bytes);
    eachField(reader, reader.len, (field) => {
      if (field === 1) {
        const piece = readPiece(reader);
        if (pieces.length >= maxTokenId) invalid(place, `a model of at most ${maxTokenId} pieces`, 'more');
        if (piece.text.length > maxPieceLength)
          invalid(place, `a model whose pieces have at most ${maxPieceLength} characters`, `${piece.text.length}`);
        pieces.push(piece);
      } else if (field === 2) {
        eachField(reader, messageEnd(reader), (inner) => {
          if (inner === 3) type = reader.int32();
          else if (inner === 35) byteFallback = reader.bool();
          else if (inner === 40) ids.unk = reader.int32();
          else if (inner === 41) ids.bos = reader.int32();
          else if (inner === 42) ids.eos = reader.int32();
          else if (inner === 43) ids.pad = reader.int32();
          else return false;
          return true;
        });
      } else if (field === 3) {
        eachField(reader, messageEnd(reader), (inner) => {
          if (inner === 2) characterMap = toBase64(reader.bytes());
          else if (inner === 3) addDummyPrefix = reader.bool();
          else if (inner === 4) removeExtraBlanks = reader.bool();
          else return false;
          return true;
        });
      } else return false;
      return true;
    });
  } catch (error) {
    if (error instanceof Error && 'code' in error) throw error;
    invalid(
      place,
      'a SentencePiece model',
      `bytes that do not parse (${error instanceof Error ? error.message : 'unknown'})`,
    );
  }
  if (pieces.length === 0) invalid(place, 'a SentencePiece model', 'one without pieces');
  if (type !== 1 && type !== 2)
    unsupported({ file, path: 'trainer_spec.model_type' }, type, ['1 (unigram)', '2 (bpe)']);
  return {
    pieces,
    type: type === 2 ? 'bpe' : 'unigram',
    byteFallback,
    unkId: ids.unk,
    bosId: ids.bos,
    eosId: ids.eos,
    padId: ids.pad,
    characterMap,
    addDummyPrefix,
    removeExtraBlanks,
  };
}

const blank = '\u2581';

function normalizerOf(model: SentencePieceModel, legacyPrefix: boolean): JsonObject | null {
  const steps: JsonObject[] = [];
  if (model.characterMap !== '') steps.push({ type: 'Precompiled', precompiled_charsmap: model.characterMap });
  if (model.removeExtraBlanks && model.characterMap !== '') {
    steps.push(
      { type: 'Strip', strip_left: true, strip_right: true },
      { type: 'Replace', pattern: { Regex: ' {2,}' }, content: ' ' },
    );
  }
  if (model.type === 'bpe') {
    if (legacyPrefix) steps.push({ type: 'Prepend', prepend: blank });
    steps.push({ type: 'Replace', pattern: { String: ' ' }, content: blank });
  }
  return steps.length === 0 ? null : { type: 'Sequence', normalizers: steps };
}

function decoderOf(model: SentencePieceModel): JsonObject {
  const prefix = model.addDummyPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [];
  return {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: blank }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      ...prefix,
    ],
  };
}

function modelOf(model: SentencePieceModel, file: string): JsonObject {
  if (model.type === 'unigram') {
    return {
      type: 'Unigram',
      unk_id: model.unkId,
      vocab: model.pieces.map(({ text, score }) => [text, score]),
      byte_fallback: model.byteFallback,
    };
  }
  const ids = new Map<string, number>();
  model.pieces.forEach(({ text }, id) => {
    if (ids.has(text)) invalid({ file, path: `pieces[${id}]` }, 'a piece of its own', `${JSON.stringify(text)} again`);
    ids.set(text, id);
  });
  const merges = mergesFromPieces(
    ids,
    (piece) => -model.pieces[ids.get(piece)!]!.score,
    (piece) => ['normal', 'user'].includes(model.pieces[ids.get(piece)!]!.kind),
  );
  return {
    type: 'BPE',
    dropout: null,
    unk_token: model.pieces[model.unkId]?.text ?? null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: model.byteFallback,
    ignore_merges: false,
    vocab: Object.fromEntries(ids),
    merges,
  };
}

/** A model as tokenizer.json, with BOS put before texts as the Llama tokenizers do. */
export function sentencePieceToJson(model: SentencePieceModel, file: string, addBos: boolean): ConvertedTokenizer {
  const added = model.pieces.flatMap(({ text, kind }, id) =>
    kind === 'control' || kind === 'user' || kind === 'unknown'
      ? [
          {
            id,
            content: text,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: kind !== 'user',
          },
        ]
      : [],
  );
  const bos = model.pieces[model.bosId]?.text;
  const eos = model.pieces[model.eosId]?.text;
  const hasBos = addBos && bos !== undefined;
  const postProcessor: JsonObject = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [
      { SpecialToken: { id: bos, type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: bos, type_id: 1 } },
      { Sequence: { id: 'B', type_id: 1 } },
    ],
    special_tokens: hasBos ? { [bos]: { id: bos, ids: [model.bosId], tokens: [bos] } } : {},
  };
  const metaspace = {
    type: 'Metaspace',
    replacement: blank,
    prepend_scheme: model.addDummyPrefix ? 'always' : 'never',
    split: true,
  };
  const json: JsonObject = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: normalizerOf(model, model.addDummyPrefix),
    pre_tokenizer: model.type === 'unigram' ? metaspace : null,
    post_processor: hasBos ? postProcessor : null,
    decoder: model.type === 'unigram' && !model.byteFallback ? metaspace : decoderOf(model),
    model: modelOf(model, file),
  };
  return {
    json,
    specialTokens: { bos, eos, unk: model.pieces[model.unkId]?.text, pad: model.pieces[model.padId]?.text },
  };
}

/** A `tokenizer.model` as tokenizer.json. `add_bos_token` of the config decides about BOS; left out, BPE models add it. */
export function jsonFromSentencePiece(
  bytes: Uint8Array,
  file: string,
  config: JsonObject | undefined,
): ConvertedTokenizer {
  const model = readSentencePiece(bytes, file);
  const configured = config?.['add_bos_token'];
  return sentencePieceToJson(model, file, typeof configured === 'boolean' ? configured : model.type === 'bpe');
}

/**
 * The text of the tokenizer.json of a llama2.c tokenizer: 0 is unknown, 1 BOS, 2 EOS, 3 to 258 the bytes, then pieces
 * with scores in which a blank stands where SentencePiece has U+2581 (karpathy/llama2.c, tokenizer.py).
 * @throws FormatError where there are fewer than the 259 fixed pieces.
 */
export function llama2cTokenizerJson(
  pieces: readonly { readonly text: string; readonly score: number }[],
  file: string,
): string {
  if (pieces.length < 259) {
    invalid({ file, path: '' }, 'a llama2.c tokenizer of at least 259 pieces', `${pieces.length}`);
  }
  const kindOf = (id: number): PieceKind => (id === 0 ? 'unknown' : id < 3 ? 'control' : id < 259 ? 'byte' : 'normal');
  const model: SentencePieceModel = {
    pieces: pieces.map(({ text, score }, id) => {
      const kind = kindOf(id);
      // The control pieces stand there as "\n<s>\n".
      const fixed = ['<unk>', '<s>', '</s>'][id];
      return { text: fixed ?? (kind === 'byte' ? byteName(id - 3) : text.replaceAll(' ', blank)), score, kind };
    }),
    type: 'bpe',
    byteFallback: true,
    unkId: 0,
    bosId: 1,
    eosId: 2,
    padId: -1,
    characterMap: '',
    addDummyPrefix: true,
    removeExtraBlanks: false,
  };
  return JSON.stringify(sentencePieceToJson(model, file, true).json);
}

const byteName = (byte: number): string => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
