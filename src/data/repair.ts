/** Repairs of texts and rows (`data check --fix`): only what can be made right without guessing. Knows no `node:` module. */
import type { Finding } from './check.ts';
import { isFields } from './fields.ts';

/** Characters of Windows-1252 that stand for the bytes 0x80 to 0x9F; the five unused ones stay as they are. */
const upper = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ';
const byteOf = new Map(Array.from(upper, (character, index) => [character, 0x80 + index]));

function toByte(character: string): number | undefined {
  const code = character.charCodeAt(0);
  return code < 0x100 && (code < 0x80 || code > 0x9f) ? code : byteOf.get(character);
}

/** A stretch of characters as the UTF-8 that they were before someone read it as Windows-1252; undefined where it was none. */
function reread(stretch: string): string | undefined {
  const bytes: number[] = [];
  for (const character of stretch) {
    const byte = toByte(character);
    if (byte === undefined) return undefined;
    bytes.push(byte);
  }
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.from(bytes));
    // Rare letters are a coincidence ("É…" would be one): a real text in them would not be read this way.
    return /[\u0180-\u036f\p{Cn}\p{Co}\p{Cc}]/u.test(text) ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Characters beyond ASCII that Windows-1252 has, several in a row: what UTF-8 looks like when read so. */
const stretches = new RegExp(`[\\u00a0-\\u00ff${upper}]{2,}`, 'gu');

/** A text without control characters and lone surrogates, its UTF-8 restored where it was read as Windows-1252. */
export function repairText(text: string): string {
  return text.replaceAll(stretches, (stretch) => reread(stretch) ?? stretch).replaceAll(/\p{Cs}|[^\P{Cc}\t\n\r]/gu, '');
}

/** A copy of a value with the text at a JSON pointer changed. */
function changedAt(value: unknown, keys: readonly string[], change: (text: string) => string): unknown {
  const [key, ...rest] = keys;
  if (key === undefined) return typeof value === 'string' ? change(value) : value;
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => (String(index) === key ? changedAt(item, rest, change) : item));
  }
  if (!isFields(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, name === key ? changedAt(item, rest, change) : item]),
  );
}

/** What the findings of a row make of it. */
export interface RepairedRow {
  /** The row as it should be; undefined where it must be left out. */
  readonly value?: unknown;
  readonly changed: boolean;
}

/** Leaves out rows with an error and exact duplicates, and repairs damaged characters and white space around answers. */
export function repairRow(
  value: unknown,
  findings: readonly Pick<Finding, 'rule' | 'severity' | 'pointer'>[],
): RepairedRow {
  if (findings.some(({ rule, severity }) => severity === 'error' || rule === 'duplicate')) return { changed: true };
  let repaired = value;
  for (const { rule, pointer } of findings) {
    const keys = pointer
      .split('/')
      .slice(1)
      .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
    if (rule === 'encoding-damage') repaired = changedAt(repaired, keys, repairText);
    if (rule === 'surrounding-space') repaired = changedAt(repaired, keys, (text) => text.trim());
  }
  return { value: repaired, changed: JSON.stringify(repaired) !== JSON.stringify(value) };
}
