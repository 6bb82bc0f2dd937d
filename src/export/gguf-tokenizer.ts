/**
 * A tokenizer as GGUF metadata, so that llama.cpp gives the same ids: SentencePiece-like BPE as its model `llama`, byte-level BPE as its
 * model `gpt2` with the name of the pre-tokenizer. What llama.cpp has no name for is refused.
 */
import { UnsupportedError } from '../errors.ts';
import { type GgufValue, isJsonObject, type JsonObject, type JsonValue, parseJsonText } from '../formats/index.ts';
import { type Tokenizer, tokenizerJson } from '../tokenizer/index.ts';

/** llama.cpp's token types. */
const tokenType = { normal: 1, unknown: 2, control: 3, user: 4, unused: 5, byte: 6 } as const;

/** The split patterns of byte-level tokenizers, and llama.cpp's names for them. */
const splitNames: readonly { readonly pattern: string; readonly name: string }[] = [
  {
    pattern:
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    name: 'llama-bpe',
  },
  {
    pattern:
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    name: 'qwen2',
  },
];

function objects(value: JsonValue | undefined): JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

/** A pre-tokenizer's or normalizer's steps: those of a Sequence, or the one itself. */
function steps(value: JsonValue | undefined, key: string): JsonObject[] {
  if (!isJsonObject(value)) return [];
  return value['type'] === 'Sequence' ? objects(value[key]) : [value];
}

/** llama.cpp's name of a byte-level pre-tokenizer, or undefined. */
function splitName(json: JsonObject): string | undefined {
  const preTokenizers = steps(json['pre_tokenizer'], 'pretokenizers');
  const byteLevel = preTokenizers.find(({ type }) => type === 'ByteLevel');
  if (byteLevel === undefined) return undefined;
  if (preTokenizers.length === 1) return byteLevel['use_regex'] === false ? undefined : 'gpt-2';
  const split = preTokenizers[0]!;
  const pattern = isJsonObject(split['pattern']) ? split['pattern']['Regex'] : undefined;
  if (preTokenizers.length !== 2 || split['type'] !== 'Split') return undefined;
  return splitNames.find((known) => known.pattern === pattern)?.name;
}

/** Pairs of a BPE model in the order of their ranks; tokenizer.json has them as "a b" or as ["a", "b"]. */
function mergesOf(model: JsonObject): [string, string][] {
  const merges = Array.isArray(model['merges']) ? model['merges'] : [];
  return merges.map((merge): [string, string] => {
    if (typeof merge !== 'string') return merge as [string, string];
    const cut = merge.indexOf(' ', 1);
    return [merge.slice(0, cut), merge.slice(cut + 1)];
  });
}

/** Scores that make llama.cpp merge in the same order: the best rank of the pairs that give the piece, negated. */
function scoresOf(pieces: readonly string[], merges: readonly [string, string][]): number[] {
  const ranks = new Map<string, number>();
  for (const [rank, [left, right]] of merges.entries()) {
    if (!ranks.has(left + right)) ranks.set(left + right, rank);
  }
  // A piece that no pair gives is never merged to: below all others, so that llama.cpp prefers any other.
  return pieces.map((piece) => (/^<0x[0-9A-F]{2}>$/.test(piece) ? 0 : -(ranks.get(piece) ?? merges.length)));
}

function typesOf(pieces: readonly string[], tokenizer: Tokenizer, json: JsonObject, bytes: boolean): number[] {
  const added = new Map(objects(json['added_tokens']).map((token) => [token['id'], token['special'] === true]));
  return pieces.map((piece, id) => {
    if (id === tokenizer.unkId) return tokenType.unknown;
    const special = added.get(id);
    if (special !== undefined) return special ? tokenType.control : tokenType.user;
    if (piece === '' || id >= tokenizer.vocabularySize) return tokenType.unused;
    return bytes && /^<0x[0-9A-F]{2}>$/.test(piece) ? tokenType.byte : tokenType.normal;
  });
}

/** Whether a SentencePiece-like tokenizer puts a blank before a text. */
function putsBlank(json: JsonObject): boolean {
  const prepends = steps(json['normalizer'], 'normalizers').some(({ type }) => type === 'Prepend');
  const metaspace = steps(json['pre_tokenizer'], 'pretokenizers').find(({ type }) => type === 'Metaspace');
  return prepends || (metaspace !== undefined && metaspace['prepend_scheme'] !== 'never');
}

/**
 * The metadata of a tokenizer.
 * @param rows the embedding's rows; tokens beyond the vocabulary are filled up as unused
 * @param file where the tokenizer came from, for errors
 * @throws UnsupportedError `gguf-tokenizer` for a kind that llama.cpp has no name for
 */
export function ggufTokenizer(
  tokenizer: Tokenizer,
  rows: number,
  file: string,
  chatTemplate: string | undefined,
): Map<string, GgufValue> {
  const json = parseJsonText(tokenizerJson(tokenizer), file) as JsonObject;
  const model = isJsonObject(json['model']) ? json['model'] : {};
  const pieces = Array.from({ length: rows }, (_, id) =>
    id < tokenizer.vocabularySize && tokenizer.tokenText(id) !== '' ? tokenizer.tokenText(id) : `[PAD${id}]`,
  );
  const merges = mergesOf(model);
  const isSentencePiece = model['type'] === 'BPE' && model['byte_fallback'] === true;
  const split = splitName(json);
  if (model['type'] !== 'BPE' || (!isSentencePiece && split === undefined)) {
    const actual = model['type'] === 'BPE' ? 'a split pattern of its own' : JSON.stringify(model['type'] ?? null);
    throw new UnsupportedError('gguf-tokenizer', { file, actual });
  }
  const entries: [string, GgufValue][] = [
    ['model', { type: 'string', value: isSentencePiece ? 'llama' : 'gpt2' }],
    ['pre', { type: 'string', value: split ?? 'default' }],
    ['tokens', { type: 'strings', value: pieces }],
    ['token_type', { type: 'int32s', value: typesOf(pieces, tokenizer, json, isSentencePiece) }],
  ];
  if (isSentencePiece) {
    entries.push(['scores', { type: 'float32s', value: scoresOf(pieces, merges) }]);
    entries.push(['add_space_prefix', { type: 'bool', value: putsBlank(json) }]);
  } else entries.push(['merges', { type: 'strings', value: merges.map((pair) => pair.join(' ')) }]);
  for (const [key, id] of [
    ['bos_token_id', tokenizer.bosId],
    ['eos_token_id', tokenizer.eosId],
    ['unknown_token_id', tokenizer.unkId],
    ['padding_token_id', tokenizer.padId],
  ] as const) {
    if (id !== undefined) entries.push([key, { type: 'uint32', value: id }]);
  }
  entries.push(['add_bos_token', { type: 'bool', value: tokenizer.addsBos }]);
  entries.push(['add_eos_token', { type: 'bool', value: tokenizer.addsEos }]);
  const metadata = new Map(entries.map(([key, value]) => [`tokenizer.ggml.${key}`, value]));
  if (chatTemplate !== undefined) metadata.set('tokenizer.chat_template', { type: 'string', value: chatTemplate });
  return metadata;
}
