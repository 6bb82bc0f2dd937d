/** What a tokenizer is to the rest of Fettle, and making one from the contents of its files. */
import { FettleError, FormatError } from '../errors.ts';
import { FileTokenizer } from './file-tokenizer.ts';
import { readSources } from './sources.ts';

/** Ids and, for each, the UTF-16 index in the text where it begins (i32[T], u32[T]). */
export interface Encoding {
  readonly ids: Int32Array;
  readonly starts: Uint32Array;
}

export interface DecodeOptions {
  readonly skipSpecialTokens?: boolean;
  /**
   * Takes out the blanks before punctuation as transformers' `clean_up_tokenization_spaces` does. Off unless asked for:
   * it does not give the text back that was encoded.
   */
  readonly cleanUpTokenizationSpaces?: boolean;
}

export interface Tokenizer {
  /** One more than the largest id, added tokens included: the rows an embedding needs. */
  readonly vocabularySize: number;
  readonly bosToken?: string;
  readonly bosId?: number;
  readonly eosToken?: string;
  readonly eosId?: number;
  readonly padToken?: string;
  readonly padId?: number;
  readonly unkToken?: string;
  readonly unkId?: number;
  /** Whether the tokenizer itself puts BOS before a text (post-processor or `add_bos_token`). */
  readonly addsBos: boolean;
  /** Whether the tokenizer itself puts EOS after a text. */
  readonly addsEos: boolean;
  readonly specialIds: ReadonlySet<number>;
  /** Ids without what the tokenizer puts around a text; added tokens in the text are recognised. */
  encode(text: string): Int32Array;
  /** As `encode`, with the place of each token. */
  encodeWithOffsets(text: string): Encoding;
  /** Ids with what the tokenizer itself puts around a text. */
  encodeWithSpecialTokens(text: string): Int32Array;
  /** Ids of text that continues other text: no blank is put before it, no BOS. */
  encodeContinuation(text: string): Int32Array;
  /** As `encodeContinuation`, with the place of each token. */
  encodeContinuationWithOffsets(text: string): Encoding;
  /** @throws FormatError for an id that is not in the vocabulary. */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;
  /** The vocabulary's piece of an id ("Ġthe", "▁the", "<0x0A>"); a hole in the vocabulary is "". */
  tokenText(id: number): string;
  /** The bytes that a token stands for inside a text (special tokens: their text in UTF-8). */
  tokenBytes(id: number): Uint8Array;
  idOf(piece: string): number | undefined;
  /** The files to write beside an adapter so that the tokenizer loads again, here and in transformers. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/**
 * Makes a tokenizer from the contents of its files, by name: `tokenizer.json` (or a name that ends so), else
 * `vocab.json` with `merges.txt`, else a SentencePiece `*.model` or a tiktoken file; beside them
 * `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json`.
 * @throws FormatError for what is malformed, UnsupportedError for what is not known, each with file and path.
 */
export function createTokenizer(files: ReadonlyMap<string, Uint8Array>): Tokenizer {
  const sources = readSources(files);
  try {
    return new FileTokenizer(sources);
  } catch (error) {
    if (error instanceof FettleError) throw error;
    throw new FormatError(
      'tokenizer-invalid',
      {
        file: sources.file,
        path: '',
        requirement: 'a tokenizer',
        actual: error instanceof Error ? error.message : 'something else',
      },
      { cause: error },
    );
  }
}

/** The text of a `tokenizer.json` that gives the same ids, whatever files the tokenizer was made from. */
export function tokenizerJson(tokenizer: Tokenizer): string {
  return new TextDecoder().decode(tokenizer.files.get('tokenizer.json'));
}
