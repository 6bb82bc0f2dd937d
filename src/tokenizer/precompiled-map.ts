/**
 * SentencePiece's precompiled character map: a Darts double-array trie over UTF-8 followed by the replacements
 * (google/sentencepiece, src/normalizer.cc; huggingface/spm_precompiled).
 */
import { invalid, type Place } from './checked-json.ts';
import type { Rewrite } from './normalizers.ts';

/** Bytes of a map; nmt_nfkc has about 250 KB. */
const maxMapBytes = 16 * 1024 * 1024;
/** Grapheme clusters of more bytes than this are looked up character by character, as the reference does. */
const maxClusterBytes = 6;

function decodeBase64(text: string, place: Place): Uint8Array {
  if (text.length > maxMapBytes * 2)
    invalid(place, `a map of at most ${maxMapBytes} bytes`, `${text.length} characters`);
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return invalid(place, 'base64 text', 'other characters');
  }
}

/** Makes the rewriting of a base64 map. @throws FormatError where the map is truncated. */
export function readPrecompiledMap(base64: string, place: Place): (text: string) => Rewrite[] {
  const bytes = decodeBase64(base64, place);
  const trieBytes = bytes.length < 4 ? -1 : new DataView(bytes.buffer).getUint32(0, true);
  if (trieBytes < 0 || trieBytes % 4 !== 0 || trieBytes + 4 > bytes.length) {
    invalid(place, 'a precompiled character map', `${bytes.length} bytes that do not hold their trie`);
  }
  const units = new Uint32Array(trieBytes / 4);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < units.length; i++) units[i] = view.getUint32(4 + i * 4, true);
  const normalized = bytes.subarray(4 + trieBytes);
  const encoder = new TextEncoder();
  const decoder = new TextDecoder();

  const offsetOf = (unit: number): number => (unit >>> 10) << ((unit & (1 << 9)) >>> 6);
  const valueAt = (key: Uint8Array): string | undefined => {
    let node = 0;
    let unit = units[0] ?? 0;
    node ^= offsetOf(unit);
    for (const byte of key) {
      if (byte === 0) return undefined;
      node ^= byte;
      unit = units[node] ?? 0;
      if ((unit & ((1 << 31) | 0xff)) >>> 0 !== byte) return undefined;
      node ^= offsetOf(unit);
      // The shortest match wins, as `common_prefix_search(...).first()` of the reference does.
      if (((unit >>> 8) & 1) === 1) {
        const start = (units[node] ?? 0) & 0x7fffffff;
        if (start >= normalized.length) return undefined;
        let end = start;
        while (end < normalized.length && normalized[end] !== 0) end++;
        return decoder.decode(normalized.subarray(start, end));
      }
    }
    return undefined;
  };
  const remembered = new Map<string, string | undefined>();
  const lookUp = (text: string): string | undefined => {
    if (remembered.has(text)) return remembered.get(text);
    const value = valueAt(encoder.encode(text));
    if (remembered.size < 65_536) remembered.set(text, value);
    return value;
  };
  const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

  return (text) => {
    const pieces: Rewrite[] = [];
    for (const { segment, index } of segmenter.segment(text)) {
      const whole = encoder.encode(segment).length < maxClusterBytes ? lookUp(segment) : undefined;
      if (whole !== undefined) {
        pieces.push({ text: whole, start: index, length: segment.length });
        continue;
      }
      let start = index;
      for (const character of segment) {
        pieces.push({ text: lookUp(character) ?? character, start, length: character.length });
        start += character.length;
      }
    }
    return pieces;
  };
}
