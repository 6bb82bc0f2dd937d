/** Tokens that a run adds to a tokenizer (`add_tokens`, `add_special_tokens`): new rows at the end of the vocabulary. */
import { ConfigError } from '../errors.ts';
import { asArray, asObject, type JsonObject, maxPieceLength, maxTokenId, parseJsonBytes } from './checked-json.ts';
import { createTokenizer } from './tokenizer.ts';

export interface NewToken {
  readonly content: string;
  /** Special tokens are left out of decoded text where special tokens are skipped. */
  readonly special: boolean;
}

/** The files of a tokenizer with tokens added, and the ids that are new: one row of the embedding for each. */
export interface TokenizerWithTokens {
  readonly files: ReadonlyMap<string, Uint8Array>;
  readonly newIds: readonly number[];
}

const jsonName = 'tokenizer.json';
const configName = 'tokenizer_config.json';

/**
 * Adds tokens in order. What the vocabulary has already keeps its id and gets no row; it is only kept whole from then on.
 * Ids and flags are those of transformers' `add_tokens`.
 * @throws ConfigError `added-token` for an empty or endless one, or one more than the vocabulary may hold.
 */
export function addTokens(files: ReadonlyMap<string, Uint8Array>, tokens: readonly NewToken[]): TokenizerWithTokens {
  const tokenizer = createTokenizer(files);
  const written = new Map(tokenizer.files);
  const json = asObject(parseJsonBytes(written.get(jsonName)!, jsonName), { file: jsonName, path: '' });
  const listed = asArray(json['added_tokens'] ?? [], { file: jsonName, path: 'added_tokens' }, maxTokenId);
  const known = new Set(listed.map((token) => (token as JsonObject)['content']));
  const added: JsonObject[] = [];
  const newIds: number[] = [];
  for (const { content, special } of tokens) {
    if (known.has(content)) continue;
    known.add(content);
    const present = tokenizer.idOf(content);
    const id = present ?? tokenizer.vocabularySize + newIds.length;
    if (content === '' || content.length > maxPieceLength || id >= maxTokenId) {
      throw new ConfigError('added-token', { content: content.slice(0, 60), maxLength: maxPieceLength });
    }
    if (present === undefined) newIds.push(id);
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: !special, special };
    added.push({ id, content, ...flags });
  }
  const encoder = new TextEncoder();
  written.set(jsonName, encoder.encode(JSON.stringify({ ...json, added_tokens: [...listed, ...added] })));
  const config = asObject(parseJsonBytes(written.get(configName)!, configName), { file: configName, path: '' });
  if (config['added_tokens_decoder'] !== undefined) {
    const decoder = asObject(config['added_tokens_decoder'], { file: configName, path: 'added_tokens_decoder' });
    const more = Object.fromEntries(added.map(({ id, ...token }) => [String(id), token]));
    const changed = { ...config, added_tokens_decoder: { ...decoder, ...more } };
    written.set(configName, encoder.encode(`${JSON.stringify(changed, undefined, 2)}\n`));
  }
  return { files: written, newIds };
}
