/**
 * Changes members of a JSON file and leaves the rest of its text as it is: 30.0 stays 30.0, which JSON.parse would make 30, and
 * which transformers refuses where it wants a float.
 */
import type { JsonObject } from './json-text.ts';

interface Member {
  readonly key: string;
  /** Where its value stands. */
  readonly begin: number;
  readonly end: number;
}

const isSpace = (character: string | undefined): boolean => character !== undefined && ' \t\r\n'.includes(character);

/** The end of the string that begins at `i`. */
function stringEnd(text: string, i: number): number {
  let end = i + 1;
  while (text[end] !== '"') end += text[end] === '\\' ? 2 : 1;
  return end + 1;
}

/** The members of the object that valid JSON text holds, and where it is closed. */
function membersOf(text: string): { members: Member[]; close: number } {
  const members: Member[] = [];
  let depth = 0;
  let key: string | undefined;
  let begin = -1;
  for (let i = 0; i < text.length;) {
    const character = text[i]!;
    const isEnd = depth === 1 && (character === ',' || character === '}');
    if (isEnd && key !== undefined) {
      let end = i;
      while (isSpace(text[end - 1])) end--;
      members.push({ key, begin, end });
      key = undefined;
    }
    if (isEnd && character === '}') return { members, close: i };
    if (character === '"') {
      const end = stringEnd(text, i);
      if (depth === 1 && key === undefined) {
        key = JSON.parse(text.slice(i, end)) as string;
        begin = text.indexOf(':', end) + 1;
        while (isSpace(text[begin])) begin++;
        i = begin;
      } else i = end;
      continue;
    }
    if (character === '{' || character === '[') depth++;
    if (character === '}' || character === ']') depth--;
    i++;
  }
  throw new SyntaxError('no JSON object');
}

/** The text of a JSON object with some members changed or added. `text` must be valid JSON whose top level is an object. */
export function editJsonObject(text: string, changes: JsonObject): string {
  const { members, close } = membersOf(text);
  let result = text;
  const added = Object.entries(changes).filter(([key]) => !members.some((member) => member.key === key));
  if (added.length > 0) {
    let end = close;
    while (isSpace(text[end - 1])) end--;
    const lines = added.map(([key, value]) => `\n  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
    result = `${text.slice(0, end)}${members.length > 0 ? ',' : ''}${lines.join(',')}\n${text.slice(close)}`;
  }
  // from the last to the first, so that the places of the others stay right
  for (const { key, begin, end } of members.toReversed()) {
    if (!Object.hasOwn(changes, key)) continue;
    result = `${result.slice(0, begin)}${JSON.stringify(changes[key])}${result.slice(end)}`;
  }
  return result;
}
