/** Turning pieces back into text (Hugging Face tokenizers, `decoder` of tokenizer.json). */
import {
  asArray,
  asNumber,
  asObject,
  asString,
  at,
  invalid,
  maxNesting,
  maxSteps,
  optionalBoolean,
  optionalString,
  type Place,
  unsupported,
} from './checked-json.ts';
import { fromByteCharacters } from './byte-characters.ts';
import { readPattern } from './normalizers.ts';

/** One step: a list of pieces becomes another; at the end all are joined. */
export type DecoderStep = (pieces: readonly string[]) => readonly string[];

const encoder = new TextEncoder();
/** Bytes that are no UTF-8 become U+FFFD, as Rust's `from_utf8_lossy` does. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function joinBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** The byte of a piece `<0xAB>`, or undefined. */
export function fallbackByte(piece: string): number | undefined {
  return /^<0x[0-9A-Fa-f]{2}>$/.test(piece) ? Number.parseInt(piece.slice(3, 5), 16) : undefined;
}

const byteLevelStep: DecoderStep = (pieces) => [
  decoder.decode(joinBytes(pieces.map((piece) => fromByteCharacters(piece) ?? encoder.encode(piece)))),
];

const byteFallbackStep: DecoderStep = (pieces) => {
  const result: string[] = [];
  let pending: number[] = [];
  const flush = (): void => {
    if (pending.length === 0) return;
    try {
      result.push(strictDecoder.decode(Uint8Array.from(pending)));
    } catch {
      // The reference gives one U+FFFD for each byte of a run that is no UTF-8.
      result.push('\ufffd'.repeat(pending.length));
    }
    pending = [];
  };
  for (const piece of pieces) {
    const byte = fallbackByte(piece);
    if (byte === undefined) {
      flush();
      result.push(piece);
    } else pending.push(byte);
  }
  flush();
  return result;
};

function stripStep(content: string, start: number, stop: number): DecoderStep {
  return (pieces) =>
    pieces.map((piece) => {
      const units = Array.from(piece);
      let from = 0;
      while (from < start && from < units.length && units[from] === content) from++;
      let to = units.length;
      while (units.length - to < stop && to > from && units[to - 1] === content) to--;
      return units.slice(from, to).join('');
    });
}

/** Takes out blanks before punctuation and contractions (transformers, clean_up_tokenization). */
export function cleanUpSpaces(text: string): string {
  return text
    .replaceAll(' .', '.')
    .replaceAll(' ?', '?')
    .replaceAll(' !', '!')
    .replaceAll(' ,', ',')
    .replaceAll(" ' ", "'")
    .replaceAll(" n't", "n't")
    .replaceAll(" 'm", "'m")
    .replaceAll(' do not', " don't")
    .replaceAll(" 's", "'s")
    .replaceAll(" 've", "'ve")
    .replaceAll(" 're", "'re");
}

function wordPieceStep(prefix: string, cleanup: boolean): DecoderStep {
  return (pieces) =>
    pieces.map((piece, i) => {
      const text = i === 0 ? piece : piece.startsWith(prefix) ? piece.slice(prefix.length) : ` ${piece}`;
      return cleanup ? cleanUpSpaces(text) : text;
    });
}

function metaspaceStep(replacement: string, prefixed: boolean): DecoderStep {
  return (pieces) =>
    pieces.map((piece, i) => {
      const text = piece.replaceAll(replacement, ' ');
      return i === 0 && prefixed && text.startsWith(' ') ? text.slice(1) : text;
    });
}

const known = [
  'ByteLevel', 'Replace', 'ByteFallback', 'Fuse', 'Strip', 'Metaspace', 'WordPiece', 'BPEDecoder', 'Sequence',
] as const; // prettier-ignore

/**
 * The steps of a `decoder` object, sequences laid flat; undefined where there is none (pieces are then joined by blanks).
 * @throws FormatError for wrong types, UnsupportedError for a step that is not known.
 */
export function readDecoder(value: unknown, place: Place, depth = 0): readonly DecoderStep[] | undefined {
  if (value === null || value === undefined) return undefined;
  if (depth > maxNesting) invalid(place, `nested at most ${maxNesting} deep`, 'more');
  const config = asObject(value, place);
  const type = config['type'];
  switch (type as (typeof known)[number]) {
    case 'ByteLevel':
      return [byteLevelStep];
    case 'ByteFallback':
      return [byteFallbackStep];
    case 'Fuse':
      return [(pieces) => [pieces.join('')]];
    case 'Replace': {
      const { pattern } = readPattern(config['pattern'], at(place, 'pattern'));
      const content = asString(config['content'], at(place, 'content'));
      return [(pieces) => pieces.map((piece) => piece.replace(pattern, () => content))];
    }
    case 'Strip': {
      const content = asString(config['content'], at(place, 'content'));
      const start = asNumber(config['start'] ?? 0, at(place, 'start'));
      return [stripStep(content, start, asNumber(config['stop'] ?? 0, at(place, 'stop')))];
    }
    case 'Metaspace': {
      const scheme = optionalString(config['prepend_scheme'], at(place, 'prepend_scheme'));
      const legacy = optionalBoolean(config['add_prefix_space'], at(place, 'add_prefix_space'), true);
      const replacement = optionalString(config['replacement'], at(place, 'replacement')) ?? '\u2581';
      return [metaspaceStep(replacement, scheme === undefined ? legacy : scheme !== 'never')];
    }
    case 'WordPiece': {
      const prefix = optionalString(config['prefix'], at(place, 'prefix')) ?? '##';
      return [wordPieceStep(prefix, optionalBoolean(config['cleanup'], at(place, 'cleanup'), true))];
    }
    case 'BPEDecoder': {
      const suffix = optionalString(config['suffix'], at(place, 'suffix')) ?? '</w>';
      return [(pieces) => pieces.map((piece, i) => piece.replaceAll(suffix, i === pieces.length - 1 ? '' : ' '))];
    }
    case 'Sequence': {
      const list = asArray(config['decoders'], at(place, 'decoders'), maxSteps);
      return list.flatMap((step, i) => readDecoder(step, at(at(place, 'decoders'), i), depth + 1) ?? []);
    }
    default:
      return unsupported(at(place, 'type'), type, known);
  }
}
