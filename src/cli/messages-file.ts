/** A JSON file with messages: a list of objects with role and content, as OpenAI's API takes them. */
import { FormatError } from '../errors.ts';
import { type JsonValue, readJsonFile } from '../formats/index.ts';
import type { Message, Role } from '../template/index.ts';

const roles: readonly Role[] = ['system', 'user', 'assistant', 'tool'];

/** A prompt is written by people or by a program for one call; a larger file was given by mistake. */
const MAX_BYTES = 16_000_000;

function shown(value: JsonValue | undefined): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}...` : text;
}

/** Reads the messages of a file; a `messages` field around the list is accepted. @throws FormatError `messages-file` */
export async function readMessages(file: string): Promise<readonly Message[]> {
  const value = await readJsonFile(file, MAX_BYTES);
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const list = isObject ? value['messages'] : value;
  const refuse = (where: string, requirement: string, actual: JsonValue | undefined): never => {
    throw new FormatError('messages-file', { file, where, requirement, actual: shown(actual) });
  };
  if (!Array.isArray(list) || list.length === 0) return refuse('messages', 'a list of at least one message', list);
  return list.map((item, index): Message => {
    const where = `messages[${index}]`;
    if (typeof item !== 'object' || item === null || Array.isArray(item)) {
      return refuse(where, 'an object with role and content', item);
    }
    const role = roles.find((name) => name === item['role']);
    const content = item['content'];
    if (role === undefined) return refuse(`${where}.role`, `one of ${roles.join(', ')}`, item['role']);
    if (typeof content !== 'string') return refuse(`${where}.content`, 'a text', content);
    return { role, content };
  });
}
