/**
 * From the files of a tokenizer, of whatever kind, to one description in the form of tokenizer.json, and back to
 * files that other tools load.
 */
import { FormatError } from '../errors.ts';
import { type AddedToken, readAddedToken } from './added-tokens.ts';
import {
  asObject,
  asTokenId,
  at,
  type JsonObject,
  optionalBoolean,
  parseJsonBytes,
  type Place,
} from './checked-json.ts';
import { jsonFromSentencePiece, looksLikeSentencePiece } from './sentencepiece.ts';
import { jsonFromTiktoken, looksLikeTiktoken } from './tiktoken.ts';
import { jsonFromVocabularyAndMerges } from './vocabulary-and-merges.ts';

export interface SpecialTokens {
  readonly bos?: string | undefined;
  readonly eos?: string | undefined;
  readonly pad?: string | undefined;
  readonly unk?: string | undefined;
}

export interface TokenizerSources {
  /** The name that messages give. */
  readonly file: string;
  /** A tokenizer.json, parsed. */
  readonly json: JsonObject;
  /** Whether tokenizer_config.json or special_tokens_map.json is there. */
  readonly hasConfig: boolean;
  /** Tokens that stand in other files than tokenizer.json. */
  readonly addedTokens: readonly AddedToken[];
  readonly specialTokens: SpecialTokens;
  /** What the config says of special tokens by content, for formats that do not say it themselves. */
  readonly specialFlags: ReadonlyMap<string, Partial<AddedToken>>;
  /** `add_bos_token` and `add_eos_token`, where the config says them. */
  readonly addBos: boolean | undefined;
  readonly addEos: boolean | undefined;
  /** The files to save, given all added tokens. */
  writeFiles(added: readonly AddedToken[]): ReadonlyMap<string, Uint8Array>;
}

const configName = 'tokenizer_config.json';
const mapName = 'special_tokens_map.json';

/** A parsed tokenizer in the form of tokenizer.json, with what its own format says of special tokens. */
export interface ConvertedTokenizer {
  readonly json: JsonObject;
  readonly specialTokens?: SpecialTokens;
  readonly addBos?: boolean;
}

function tokenContent(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null) return undefined;
  const content = (value as JsonObject)['content'];
  return typeof content === 'string' ? content : undefined;
}

function readObject(files: ReadonlyMap<string, Uint8Array>, name: string): JsonObject | undefined {
  const bytes = files.get(name);
  return bytes === undefined ? undefined : asObject(parseJsonBytes(bytes, name), { file: name, path: '' });
}

/** The usual end tokens: where no config names one, the first of these that the tokenizer has as a special token. */
const usualEndTokens = ['</s>', '<|end_of_text|>', '<|endoftext|>', '<eos>'];

function endTokenOf(json: JsonObject): string | undefined {
  const added = Array.isArray(json['added_tokens']) ? (json['added_tokens'] as unknown[]) : [];
  const special = added.flatMap((token) => {
    const fields = typeof token === 'object' && token !== null ? (token as JsonObject) : {};
    return fields['special'] === true ? [fields['content']] : [];
  });
  return usualEndTokens.find((token) => special.includes(token));
}

function tokensOfConfig(config: JsonObject | undefined): AddedToken[] {
  if (config?.['added_tokens_decoder'] === undefined || config['added_tokens_decoder'] === null) return [];
  const place: Place = { file: configName, path: 'added_tokens_decoder' };
  return Object.entries(asObject(config['added_tokens_decoder'], place)).map(([id, token]) =>
    readAddedToken(token, /^\d+$/.test(id) ? Number(id) : id, at(place, JSON.stringify(id))),
  );
}

function tokensOfList(list: JsonObject | undefined, special: ReadonlySet<string>): AddedToken[] {
  if (list === undefined) return [];
  return Object.entries(list).map(([content, id]) =>
    readAddedToken(
      { content, special: special.has(content), normalized: false },
      asTokenId(id, { file: 'added_tokens.json', path: JSON.stringify(content) }),
      { file: 'added_tokens.json', path: JSON.stringify(content) },
    ),
  );
}

/** The flags of `bos_token` and its like, where the config gives them as objects. */
function flagsOfSpecialTokens(config: JsonObject | undefined): Map<string, Partial<AddedToken>> {
  const flags = new Map<string, Partial<AddedToken>>();
  for (const key of ['bos_token', 'eos_token', 'unk_token', 'pad_token']) {
    const value = config?.[key];
    const content = tokenContent(value);
    if (content === undefined || typeof value !== 'object') continue;
    const { normalized, lstrip, rstrip, single_word: singleWord } = value as JsonObject;
    flags.set(content, {
      ...(typeof normalized === 'boolean' ? { normalized } : {}),
      ...(typeof lstrip === 'boolean' ? { leftStrip: lstrip } : {}),
      ...(typeof rstrip === 'boolean' ? { rightStrip: rstrip } : {}),
      ...(typeof singleWord === 'boolean' ? { singleWord } : {}),
    });
  }
  return flags;
}

function convert(
  files: ReadonlyMap<string, Uint8Array>,
  config: JsonObject | undefined,
): { file: string; converted: ConvertedTokenizer } {
  const names = [...files.keys()];
  const jsonName = files.has('tokenizer.json')
    ? 'tokenizer.json'
    : names.find((name) => name.endsWith('tokenizer.json'));
  if (jsonName !== undefined) {
    const json = asObject(parseJsonBytes(files.get(jsonName)!, jsonName), { file: jsonName, path: '' });
    return { file: jsonName, converted: { json } };
  }
  const vocabulary = files.get('vocab.json');
  const merges = files.get('merges.txt');
  if (vocabulary !== undefined && merges !== undefined) {
    return { file: 'vocab.json', converted: { json: jsonFromVocabularyAndMerges(vocabulary, merges, config) } };
  }
  for (const name of names) {
    if (!/\.model(\.v\d+)?$|\.tiktoken$/.test(name)) continue;
    const bytes = files.get(name)!;
    if (looksLikeTiktoken(bytes)) return { file: name, converted: jsonFromTiktoken(bytes, name, config) };
    if (looksLikeSentencePiece(bytes)) return { file: name, converted: jsonFromSentencePiece(bytes, name, config) };
    throw new FormatError('tokenizer-invalid', {
      file: name,
      path: '',
      requirement: 'a SentencePiece model or a tiktoken file',
      actual: `${bytes.length} other bytes`,
    });
  }
  throw new FormatError('tokenizer-missing', {
    dir: names.length === 0 ? 'tokenizer' : names.join(', '),
    expected: ['tokenizer.json', 'vocab.json with merges.txt', 'tokenizer.model', '*.tiktoken'],
  });
}

const addedTokenJson = (token: AddedToken): JsonObject => ({
  id: token.id,
  content: token.content,
  single_word: token.singleWord,
  lstrip: token.leftStrip,
  rstrip: token.rightStrip,
  normalized: token.normalized,
  special: token.special,
});

/** Reads and joins the files. @throws FormatError and UnsupportedError as `createTokenizer` does. */
export function readSources(files: ReadonlyMap<string, Uint8Array>): TokenizerSources {
  const config = readObject(files, configName);
  const specialMap = readObject(files, mapName);
  const { file, converted } = convert(files, config);
  const special = (name: 'bos' | 'eos' | 'pad' | 'unk'): string | undefined => {
    const key = `${name}_token`;
    return tokenContent(config?.[key]) ?? tokenContent(specialMap?.[key]) ?? converted.specialTokens?.[name];
  };
  const hasConfig = config !== undefined || specialMap !== undefined;
  const specialTokens = {
    bos: special('bos'),
    eos: special('eos') ?? (hasConfig ? undefined : endTokenOf(converted.json)),
    pad: special('pad'),
    unk: special('unk'),
  };
  const listed = [
    ...Object.values(specialTokens),
    ...['additional_special_tokens'].flatMap((key) => {
      const list = config?.[key] ?? specialMap?.[key];
      return Array.isArray(list) ? list.map(tokenContent) : [];
    }),
  ].filter((token) => token !== undefined);
  const configured = tokensOfConfig(config);
  const known = new Set(configured.map((token) => token.id));
  const addedTokens = [
    ...configured,
    ...tokensOfList(readObject(files, 'added_tokens.json'), new Set(listed)).filter((token) => !known.has(token.id)),
  ];
  const flag = (key: string): boolean | undefined => {
    const value = config?.[key];
    return value === undefined || value === null
      ? undefined
      : optionalBoolean(value, { file: configName, path: key }, false);
  };
  return {
    file,
    json: converted.json,
    hasConfig,
    addedTokens,
    specialTokens,
    specialFlags: /\.model/.test(file) ? flagsOfSpecialTokens(config) : new Map<string, Partial<AddedToken>>(),
    addBos: flag('add_bos_token') ?? converted.addBos,
    addEos: flag('add_eos_token'),
    writeFiles: (added) => {
      const encoder = new TextEncoder();
      const written = new Map<string, Uint8Array>();
      const original = files.get('tokenizer.json');
      const json =
        original ?? encoder.encode(JSON.stringify({ ...converted.json, added_tokens: added.map(addedTokenJson) }));
      written.set('tokenizer.json', json);
      const tokens = Object.fromEntries(
        Object.entries(specialTokens).flatMap(([name, token]) =>
          token === undefined ? [] : [[`${name}_token`, token]],
        ),
      );
      const plain = { tokenizer_class: 'PreTrainedTokenizerFast', clean_up_tokenization_spaces: false, ...tokens };
      written.set(configName, files.get(configName) ?? encoder.encode(`${JSON.stringify(plain, undefined, 2)}\n`));
      const map = files.get(mapName);
      if (map !== undefined) written.set(mapName, map);
      return written;
    },
  };
}
