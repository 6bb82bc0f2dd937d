/**
 * GPT-2's reversible table between bytes and printable characters, in which byte-level vocabularies are written
 * (openai/gpt-2, src/encoder.py, bytes_to_unicode).
 */

/** The character of each byte. */
export const byteCharacters: readonly string[] = (() => {
  const characters: string[] = [];
  let shifted = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    characters.push(String.fromCharCode(printable ? byte : shifted++));
  }
  return characters;
})();

/** The byte of each such character's UTF-16 unit (0 to 323), or -1. */
const byteOfUnit = (() => {
  const table = new Int16Array(324).fill(-1);
  byteCharacters.forEach((character, byte) => (table[character.charCodeAt(0)] = byte));
  return table;
})();

const encoder = new TextEncoder();

/** Writes the UTF-8 bytes of a text as byte characters. */
export function toByteCharacters(text: string): string {
  let result = '';
  for (const byte of encoder.encode(text)) result += byteCharacters[byte]!;
  return result;
}

/** The bytes that a text of byte characters stands for, or undefined where another character occurs. */
export function fromByteCharacters(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    const byte = unit < byteOfUnit.length ? byteOfUnit[unit]! : -1;
    if (byte < 0) return undefined;
    bytes[i] = byte;
  }
  return bytes;
}

/** Number of UTF-8 bytes of the code point that begins at a UTF-16 index (a lone surrogate counts as U+FFFD, 3). */
export function utf8LengthAt(text: string, index: number): number {
  const unit = text.charCodeAt(index);
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  if (unit >= 0xd800 && unit < 0xdc00 && index + 1 < text.length) {
    const next = text.charCodeAt(index + 1);
    if (next >= 0xdc00 && next < 0xe000) return 4;
  }
  return 3;
}
