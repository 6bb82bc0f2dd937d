/**
 * Text to ids and back, with the place in the text where each token begins. Follows Hugging Face tokenizers step by
 * step: added tokens, normalisation, splitting into words, the model; it knows files by content, never by path.
 */
import { FormatError } from '../errors.ts';
import { type AddedToken, AddedTokenFinder, readAddedTokens } from './added-tokens.ts';
import { readBpe } from './bpe.ts';
import { fromByteCharacters, utf8LengthAt } from './byte-characters.ts';
import { asObject, at, type JsonObject, type Place, unsupported } from './checked-json.ts';
import { cleanUpSpaces, type DecoderStep, fallbackByte, readDecoder } from './decoders.ts';
import { type AlignedText, alignThrough, type Normalizer, readNormalizers } from './normalizers.ts';
import { readPostProcessor, type Surroundings } from './post-processor.ts';
import { type PreTokenizers, readPreTokenizers, type Words } from './pre-tokenizers.ts';
import type { TokenizerSources } from './sources.ts';
import type { DecodeOptions, Encoding, Tokenizer } from './tokenizer.ts';
import { type TokenModel, TokenSink } from './token-sink.ts';
import { readUnigram } from './unigram.ts';
import type { Vocabulary } from './vocabulary.ts';
import { readWordLevel, readWordPiece } from './word-piece.ts';
import { wordwiseModel } from './wordwise-model.ts';

type SpecialName = 'bos' | 'eos' | 'pad' | 'unk';

const modelTypes = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'] as const;

interface LoadedModel extends TokenModel {
  readonly vocabulary: Vocabulary;
  readonly unkPiece: string | undefined;
}

/** The kind of a model in the oldest files, which do not name it. */
function untypedKind(config: JsonObject): string | undefined {
  if (config['merges'] !== undefined) return 'BPE';
  if (Array.isArray(config['vocab'])) return 'Unigram';
  if (config['continuing_subword_prefix'] !== undefined) return 'WordPiece';
  return config['vocab'] === undefined ? undefined : 'WordLevel';
}

function readModel(value: unknown, place: Place, readsBytes: boolean): { model: LoadedModel; kind: string } {
  const config = asObject(value, place);
  const kind = config['type'] ?? untypedKind(config);
  switch (kind as (typeof modelTypes)[number]) {
    case 'BPE':
      return { model: readBpe(config, place, readsBytes), kind: 'BPE' };
    case 'Unigram':
      return { model: readUnigram(config, place), kind: 'Unigram' };
    case 'WordPiece':
      return { model: readWordPiece(config, place), kind: 'WordPiece' };
    case 'WordLevel':
      return { model: readWordLevel(config, place), kind: 'WordLevel' };
    default:
      return unsupported(at(place, 'type'), kind, modelTypes);
  }
}

/** The tokens of all files; what tokenizer_config.json says of one wins, as it does in transformers. */
function mergeAddedTokens(fromFile: readonly AddedToken[], sources: TokenizerSources): AddedToken[] {
  const byId = new Map(fromFile.map((token) => [token.id, token]));
  for (const token of sources.addedTokens) {
    const present = byId.get(token.id);
    if (present === undefined || present.content === token.content) byId.set(token.id, token);
  }
  for (const [id, token] of byId) {
    const flags = sources.specialFlags.get(token.content);
    if (flags !== undefined) byId.set(id, { ...token, ...flags });
  }
  return [...byId.values()].sort((a, b) => a.id - b.id);
}

/** A section of text between added tokens, or one of them. */
type Section = { readonly from: number; readonly to: number; readonly token: AddedToken | undefined };

function sectionsOf(text: string, finder: AddedTokenFinder): Section[] {
  const sections: Section[] = [];
  let cursor = 0;
  for (const { token, start, end } of finder.find(text)) {
    if (start > cursor) sections.push({ from: cursor, to: start, token: undefined });
    sections.push({ from: start, to: end, token });
    cursor = end;
  }
  if (cursor < text.length) sections.push({ from: cursor, to: text.length, token: undefined });
  return sections;
}

/** The tokenizer of a tokenizer.json, or of what was converted to one. */
export class FileTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  declare readonly bosToken?: string;
  declare readonly bosId?: number;
  declare readonly eosToken?: string;
  declare readonly eosId?: number;
  declare readonly padToken?: string;
  declare readonly padId?: number;
  declare readonly unkToken?: string;
  declare readonly unkId?: number;
  readonly addsBos: boolean;
  readonly addsEos: boolean;
  readonly specialIds: ReadonlySet<number>;
  private readonly sources: TokenizerSources;
  private readonly model: LoadedModel;
  private readonly wordModel: TokenModel;
  private readonly normalizers: readonly Normalizer[];
  private readonly preTokenizers: PreTokenizers;
  private readonly decoder: readonly DecoderStep[] | undefined;
  private readonly surroundings: Surroundings;
  private readonly added: ReadonlyMap<number, AddedToken>;
  private readonly addedIds: ReadonlyMap<string, number>;
  private readonly rawFinder: AddedTokenFinder;
  private readonly normalizedFinder: AddedTokenFinder;
  private readonly lengthsAreBytes: boolean;
  private readonly usesByteFallback: boolean;
  private readonly usesByteCharacters: boolean;
  private readonly sink = new TokenSink();
  private writtenFiles: ReadonlyMap<string, Uint8Array> | undefined;

  constructor(sources: TokenizerSources) {
    const { json, file } = sources;
    const place = { file, path: '' };
    this.sources = sources;
    this.normalizers = readNormalizers(json['normalizer'], at(place, 'normalizer'));
    this.preTokenizers = readPreTokenizers(json['pre_tokenizer'], at(place, 'pre_tokenizer'));
    const { model, kind } = readModel(json['model'], at(place, 'model'), this.preTokenizers.endsInBytes);
    this.model = model;
    const { wordwise } = this.preTokenizers;
    this.wordModel = wordwise.length === 0 ? model : wordwiseModel(wordwise, model);
    this.lengthsAreBytes = this.preTokenizers.endsInBytes && kind === 'BPE';
    this.decoder = readDecoder(json['decoder'], at(place, 'decoder'));
    const decoderText = JSON.stringify(json['decoder'] ?? null);
    this.usesByteCharacters = decoderText.includes('"ByteLevel"');
    this.usesByteFallback = decoderText.includes('"ByteFallback"');
    this.surroundings = readPostProcessor(json['post_processor'], at(place, 'post_processor'));

    const tokens = mergeAddedTokens(readAddedTokens(json['added_tokens'], at(place, 'added_tokens')), sources);
    this.added = new Map(tokens.map((token) => [token.id, token]));
    this.addedIds = new Map(tokens.map((token) => [token.content, token.id]));
    this.specialIds = new Set(tokens.filter((token) => token.special).map((token) => token.id));
    this.rawFinder = new AddedTokenFinder(tokens.filter((token) => !token.normalized));
    this.normalizedFinder = new AddedTokenFinder(
      tokens.filter((token) => token.normalized),
      (token) => this.normalize(token.content, true),
    );
    this.vocabularySize = Math.max(model.vocabulary.pieces.length, ...tokens.slice(-1).map((token) => token.id + 1));
    this.setSpecialTokens();
    this.addsBos = sources.addBos ?? (this.bosId !== undefined && this.surroundings.before.includes(this.bosId));
    this.addsEos = sources.addEos ?? (this.eosId !== undefined && this.surroundings.after.includes(this.eosId));
  }

  private setSpecialTokens(): void {
    const set = (name: SpecialName, token: string | undefined): void => {
      if (token === undefined) return;
      const id = this.idOf(token);
      Object.assign(this, { [`${name}Token`]: token }, id === undefined ? {} : { [`${name}Id`]: id });
    };
    // Without a config the post-processor alone says what begins a text.
    const first = this.sources.hasConfig ? undefined : this.surroundings.before[0];
    set('bos', this.sources.specialTokens.bos ?? (first === undefined ? undefined : this.tokenText(first)));
    set('eos', this.sources.specialTokens.eos);
    set('pad', this.sources.specialTokens.pad);
    set('unk', this.sources.specialTokens.unk ?? this.model.unkPiece);
  }

  private normalize(text: string, allowPrefix: boolean): string {
    let result = text;
    for (const step of this.normalizers) if (step.prefix === undefined || allowPrefix) result = step.apply(result);
    return result;
  }

  private normalizeAligned(text: string, allowPrefix: boolean): AlignedText {
    let result: AlignedText = { text, starts: undefined };
    for (const step of this.normalizers) {
      if (step.prefix === undefined || allowPrefix) result = alignThrough(step, result);
    }
    return result;
  }

  encode(text: string): Int32Array {
    this.run(text, false, false);
    return this.sink.ids.slice(0, this.sink.count);
  }

  encodeContinuation(text: string): Int32Array {
    this.run(text, true, false);
    return this.sink.ids.slice(0, this.sink.count);
  }

  encodeWithOffsets(text: string): Encoding {
    return this.encodeBoth(text, false);
  }

  encodeContinuationWithOffsets(text: string): Encoding {
    return this.encodeBoth(text, true);
  }

  private encodeBoth(text: string, continues: boolean): Encoding {
    this.run(text, continues, true);
    const { ids, starts, count } = this.sink;
    return { ids: ids.slice(0, count), starts: starts.slice(0, count) };
  }

  encodeWithSpecialTokens(text: string): Int32Array {
    let { before, after } = this.surroundings;
    if (this.bosId !== undefined && this.addsBos !== before.includes(this.bosId)) {
      before = this.addsBos ? [this.bosId, ...before] : before.filter((id) => id !== this.bosId);
    }
    if (this.eosId !== undefined && this.addsEos !== after.includes(this.eosId)) {
      after = this.addsEos ? [...after, this.eosId] : after.filter((id) => id !== this.eosId);
    }
    const ids = this.encode(text);
    const result = new Int32Array(before.length + ids.length + after.length);
    result.set(before);
    result.set(ids, before.length);
    result.set(after, before.length + ids.length);
    return result;
  }

  /** Encodes a text into the sink. */
  private run(text: string, continues: boolean, wantsStarts: boolean): void {
    const { sink } = this;
    sink.count = 0;
    for (const { from, to, token } of sectionsOf(text, this.rawFinder)) {
      if (token === undefined) {
        const piece = from === 0 && to === text.length ? text : text.slice(from, to);
        this.encodeSection(piece, from, continues && from === 0, wantsStarts);
      } else {
        sink.push(token.id, 0);
        sink.starts[sink.count - 1] = from;
      }
    }
  }

  /** Encodes text without raw added tokens, which begins at `base` of the whole. */
  private encodeSection(text: string, base: number, continues: boolean, wantsStarts: boolean): void {
    const { sink } = this;
    const aligned = wantsStarts ? this.normalizeAligned(text, !continues) : undefined;
    const normalized = aligned?.text ?? this.normalize(text, !continues);
    for (const { from, to, token } of sectionsOf(normalized, this.normalizedFinder)) {
      if (token !== undefined) {
        sink.push(token.id, 0);
        sink.starts[sink.count - 1] = base + (aligned?.starts?.[from] ?? from);
        continue;
      }
      const piece = from === 0 && to === normalized.length ? normalized : normalized.slice(from, to);
      const words: Words = {
        text: piece,
        starts: undefined,
        bounds: [0, piece.length],
        isBeginning: base === 0 && from === 0,
        allowPrefix: !(continues && from === 0),
        wantsStarts,
      };
      for (const step of this.preTokenizers.steps) step(words);
      const { bounds } = words;
      for (let w = 0; w < bounds.length; w += 2) {
        if (bounds[w + 1]! <= bounds[w]!) continue;
        const first = sink.count;
        this.wordModel.append(words.text, bounds[w]!, bounds[w + 1]!, sink);
        if (wantsStarts) this.placeTokens(words, bounds[w]!, first, from, base, aligned?.starts);
      }
    }
  }

  /** Notes where each token of one word begins: in the words' text, then in the section, then in the whole text. */
  private placeTokens(
    words: Words,
    from: number,
    firstToken: number,
    sectionStart: number,
    base: number,
    normalizedStarts: Uint32Array | undefined,
  ): void {
    const { sink, lengthsAreBytes } = this;
    const { text, starts: wordStarts } = words;
    let position = from;
    let bytesBehind = 0;
    for (let i = firstToken; i < sink.count; i++) {
      if (lengthsAreBytes) {
        // A token that begins inside a character begins where the character does.
        while (bytesBehind > 0 && position < text.length) {
          const width = text.charCodeAt(position) < 0x80 ? 1 : utf8LengthAt(text, position);
          if (width > bytesBehind) break;
          bytesBehind -= width;
          position += width === 4 ? 2 : 1;
        }
      }
      let place = position;
      if (wordStarts !== undefined) place = wordStarts[Math.min(place, wordStarts.length - 1)] ?? 0;
      place += sectionStart;
      if (normalizedStarts !== undefined) place = normalizedStarts[Math.min(place, normalizedStarts.length - 1)] ?? 0;
      sink.starts[i] = base + place;
      if (lengthsAreBytes) bytesBehind += sink.lengths[i]!;
      else position += sink.lengths[i]!;
    }
  }

  tokenText(id: number): string {
    if (!Number.isInteger(id) || id < 0 || id >= this.vocabularySize) {
      throw new FormatError('token-id-unknown', { id, vocabularySize: this.vocabularySize });
    }
    return this.added.get(id)?.content ?? this.model.vocabulary.pieces[id] ?? '';
  }

  tokenBytes(id: number): Uint8Array {
    const piece = this.tokenText(id);
    if (!this.added.has(id)) {
      if (this.usesByteCharacters) {
        const bytes = fromByteCharacters(piece);
        if (bytes !== undefined) return bytes;
      }
      const byte = this.usesByteFallback ? fallbackByte(piece) : undefined;
      if (byte !== undefined) return Uint8Array.of(byte);
      if (!this.usesByteCharacters) return new TextEncoder().encode(piece.replaceAll('\u2581', ' '));
    }
    return new TextEncoder().encode(piece);
  }

  idOf(piece: string): number | undefined {
    return this.addedIds.get(piece) ?? this.model.vocabulary.ids.get(piece);
  }

  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    let pieces: readonly string[] = Array.from(ids, (id) => {
      if (options.skipSpecialTokens === true && this.specialIds.has(id)) return undefined;
      return this.tokenText(id);
    }).filter((piece) => piece !== undefined);
    let text = pieces.join(' ');
    if (this.decoder !== undefined) {
      for (const step of this.decoder) pieces = step(pieces);
      text = pieces.join('');
    }
    return options.cleanUpTokenizationSpaces === true ? cleanUpSpaces(text) : text;
  }

  get files(): ReadonlyMap<string, Uint8Array> {
    return (this.writtenFiles ??= this.sources.writeFiles([...this.added.values()]));
  }
}
