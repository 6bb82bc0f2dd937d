/** A byte-level BPE tokenizer given as `vocab.json` and `merges.txt`, as tokenizer.json. */
import { FormatError } from '../errors.ts';
import { asObject, invalid, type JsonObject, maxMerges, parseJsonBytes } from './checked-json.ts';

/** The split pattern of GPT-4 (openai/tiktoken, cl100k_base) with single digits, as Qwen2 has it. */
export const qwen2Pattern = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

/** A `pre_tokenizer` that splits by a pattern and maps to bytes. */
export function splitToBytes(pattern: string): JsonObject {
  return {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
      { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    ],
  };
}

export const byteLevelDecoder: JsonObject = {
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: false,
  use_regex: false,
};

function readMergeLines(bytes: Uint8Array): string[] {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError('tokenizer-invalid', {
      file: 'merges.txt',
      path: '',
      requirement: 'UTF-8 text',
      actual: 'other bytes',
    });
  }
  const lines = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line));
  if (lines.length > maxMerges) {
    throw new FormatError('tokenizer-invalid', {
      file: 'merges.txt',
      path: '',
      requirement: `at most ${maxMerges} lines`,
      actual: `${lines.length}`,
    });
  }
  // Only the first line is a comment: "#" alone is a piece like others.
  return lines.filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version')));
}

/**
 * Joins the two files into a tokenizer.json object. The split pattern follows `tokenizer_class`.
 * @throws FormatError where one of them is malformed.
 */
export function jsonFromVocabularyAndMerges(
  vocabulary: Uint8Array,
  merges: Uint8Array,
  config: JsonObject | undefined,
): JsonObject {
  const vocab = asObject(parseJsonBytes(vocabulary, 'vocab.json'), { file: 'vocab.json', path: '' });
  const pairs = readMergeLines(merges).map((line, i) => {
    const blank = line.indexOf(' ');
    if (blank <= 0)
      invalid(
        { file: 'merges.txt', path: `line ${i + 1}` },
        'two pieces with a blank between them',
        JSON.stringify(line),
      );
    return [line.slice(0, blank), line.slice(blank + 1)];
  });
  const className = typeof config?.['tokenizer_class'] === 'string' ? config['tokenizer_class'] : '';
  const isQwen = className.startsWith('Qwen2');
  const addPrefixSpace = config?.['add_prefix_space'] === true;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: isQwen ? { type: 'NFC' } : null,
    pre_tokenizer: isQwen
      ? splitToBytes(qwen2Pattern)
      : { type: 'ByteLevel', add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true },
    post_processor: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false },
    decoder: byteLevelDecoder,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: pairs,
    },
  };
}
