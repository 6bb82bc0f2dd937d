/**
 * tiktoken files (lines of base64 bytes and rank, openai/tiktoken) as tokenizer.json. The files hold neither split
 * pattern nor special tokens: these follow from the file's name or size and from tokenizer_config.json.
 */
import { byteCharacters } from './byte-characters.ts';
import { invalid, type JsonObject, maxPieceLength, maxTokenId, type Place } from './checked-json.ts';
import { mergesFromPieces } from './merges.ts';
import type { ConvertedTokenizer } from './sources.ts';
import { byteLevelDecoder, qwen2Pattern, splitToBytes } from './vocabulary-and-merges.ts';

const cl100kPattern = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const o200kPattern = [
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
  String.raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?`,
  String.raw`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
].join('|');

interface Family {
  readonly matches: (file: string, pieces: number) => boolean;
  readonly pattern: string;
  readonly special: Readonly<Record<string, number>>;
  readonly bos?: string;
  readonly eos: string;
}

/** Known vocabularies, by name or by their number of pieces. */
const families: readonly Family[] = [
  {
    matches: (file, pieces) => file.startsWith('qwen') || pieces === 151_643,
    pattern: qwen2Pattern,
    special: { '<|endoftext|>': 151_643, '<|im_start|>': 151_644, '<|im_end|>': 151_645 },
    eos: '<|endoftext|>',
  },
  {
    matches: (_, pieces) => pieces === 128_000,
    pattern: cl100kPattern,
    special: {
      '<|begin_of_text|>': 128_000,
      '<|end_of_text|>': 128_001,
      '<|start_header_id|>': 128_006,
      '<|end_header_id|>': 128_007,
      '<|eot_id|>': 128_009,
    },
    bos: '<|begin_of_text|>',
    eos: '<|end_of_text|>',
  },
  {
    matches: (file) => file.startsWith('o200k'),
    pattern: o200kPattern,
    special: { '<|endoftext|>': 199_999, '<|endofprompt|>': 200_018 },
    eos: '<|endoftext|>',
  },
  {
    matches: () => true,
    pattern: cl100kPattern,
    special: {
      '<|endoftext|>': 100_257,
      '<|fim_prefix|>': 100_258,
      '<|fim_middle|>': 100_259,
      '<|fim_suffix|>': 100_260,
      '<|endofprompt|>': 100_276,
    },
    eos: '<|endoftext|>',
  },
];

/** Whether the first line is base64 and a number. */
export function looksLikeTiktoken(bytes: Uint8Array): boolean {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, 512));
  return /^[A-Za-z0-9+/]+=* \d+\r?\n/.test(start);
}

/** Reads lines of base64 and rank into byte-character pieces. */
function readRanks(bytes: Uint8Array, file: string): Map<string, number> {
  const ranks = new Map<string, number>();
  const taken = new Set<number>();
  const lines = new TextDecoder('latin1').decode(bytes).split('\n');
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    const match = /^([A-Za-z0-9+/]+=*) (\d{1,8})\r?$/.exec(line);
    const place: Place = { file, path: `line ${i + 1}` };
    if (!match || match[1]!.length > maxPieceLength)
      invalid(place, 'base64 bytes and a rank', JSON.stringify(line.slice(0, 60)));
    const rank = Number(match[2]);
    if (rank >= maxTokenId || taken.has(rank)) invalid(place, `a rank of its own below ${maxTokenId}`, `${rank}`);
    let piece = '';
    try {
      for (const unit of atob(match[1]!)) piece += byteCharacters[unit.charCodeAt(0)]!;
    } catch {
      invalid(place, 'base64 bytes and a rank', JSON.stringify(line.slice(0, 60)));
    }
    if (ranks.has(piece)) invalid(place, 'a piece of its own', `${match[1]} again`);
    taken.add(rank);
    ranks.set(piece, rank);
  });
  return ranks;
}

/** A tiktoken file as tokenizer.json. @throws FormatError with the line that is wrong. */
export function jsonFromTiktoken(bytes: Uint8Array, file: string, config: JsonObject | undefined): ConvertedTokenizer {
  const ranks = readRanks(bytes, file);
  const family = families.find(({ matches }) => matches(file, ranks.size))!;
  const hasOwnTokens = config?.['added_tokens_decoder'] !== undefined;
  const special = hasOwnTokens
    ? []
    : Object.entries(family.special).filter(([, id]) => ![...ranks.values()].includes(id));
  const bosId = family.bos === undefined ? undefined : family.special[family.bos];
  const json: JsonObject = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map(([content, id]) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
    })),
    normalizer: null,
    pre_tokenizer: splitToBytes(family.pattern),
    post_processor:
      bosId === undefined
        ? null
        : {
            type: 'TemplateProcessing',
            single: [{ SpecialToken: { id: family.bos, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
            pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
            special_tokens: { [family.bos!]: { id: family.bos, ids: [bosId], tokens: [family.bos] } },
          },
    decoder: byteLevelDecoder,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: true,
      vocab: Object.fromEntries(ranks),
      merges: mergesFromPieces(
        ranks,
        (piece) => ranks.get(piece)!,
        () => true,
      ),
    },
  };
  return { json, specialTokens: { bos: family.bos, eos: family.eos } };
}
