/**
 * Calls of tools in an answer's text, in the forms that models are trained to write them in: Hermes and Qwen, Mistral, ReAct as
 * LLaMA-Factory words it, GLM-4, and bare JSON (Llama 3.1).
 */
import { isJsonObject, type JsonValue, parseJsonText } from '../formats/index.ts';

/** A call: the arguments are JSON text, as OpenAI gives them. */
export interface ParsedCall {
  readonly name: string;
  readonly arguments: string;
}

/** What an answer says beside its calls. */
export interface ParsedAnswer {
  readonly content: string;
  readonly calls: readonly ParsedCall[];
}

function parse(text: string): JsonValue | undefined {
  try {
    return parseJsonText(text.trim(), 'answer');
  } catch {
    return undefined;
  }
}

function callOf(value: JsonValue | undefined, isKnown: (name: string) => boolean): ParsedCall | undefined {
  if (!isJsonObject(value)) return undefined;
  const inner = isJsonObject(value['function']) ? value['function'] : value;
  const name = inner['name'];
  if (typeof name !== 'string' || !isKnown(name)) return undefined;
  const given = inner['arguments'] ?? inner['parameters'] ?? {};
  return { name, arguments: typeof given === 'string' ? given : JSON.stringify(given) };
}

function callsOf(value: JsonValue | undefined, isKnown: (name: string) => boolean): ParsedCall[] {
  const calls = (Array.isArray(value) ? value : [value]).map((item) => callOf(item, isKnown));
  return calls.every((call) => call !== undefined) ? calls : [];
}

/** Calls between marks, one or a list in each. */
function marked(
  text: string,
  begin: string,
  end: string,
  isKnown: (name: string) => boolean,
): ParsedAnswer | undefined {
  if (!text.includes(begin)) return undefined;
  const [content, ...parts] = text.split(begin);
  const calls = parts.flatMap((part) => callsOf(parse(end === '' ? part : part.split(end)[0]!), isKnown));
  return calls.length === 0 ? undefined : { content: content!.trim(), calls };
}

function react(text: string, isKnown: (name: string) => boolean): ParsedAnswer | undefined {
  const calls: ParsedCall[] = [];
  const form = /Action:[ \t]*([^\n]+)\nAction Input:[ \t]*([\s\S]*?)(?=\nAction:|$)/g;
  for (const [, name, input] of text.matchAll(form)) {
    const given = parse(input!);
    if (given === undefined || !isKnown(name!.trim())) return undefined;
    calls.push({ name: name!.trim(), arguments: JSON.stringify(given) });
  }
  return calls.length === 0 ? undefined : { content: text.slice(0, text.indexOf('Action:')).trim(), calls };
}

/** GLM-4: the tool's name alone in the first line, its arguments in the next. */
function named(text: string, isKnown: (name: string) => boolean): ParsedAnswer | undefined {
  const [first, ...rest] = text.trim().split('\n');
  const given = isKnown(first!.trim()) ? parse(rest.join('\n')) : undefined;
  return isJsonObject(given)
    ? { content: '', calls: [{ name: first!.trim(), arguments: JSON.stringify(given) }] }
    : undefined;
}

/** The calls in an answer; only tools that the request offered are called. */
export function parseToolCalls(text: string, tools: readonly string[]): ParsedAnswer {
  const isKnown = (name: string): boolean => tools.includes(name);
  const bare = callsOf(parse(text.replace(/^<\|python_tag\|>/, '')), isKnown);
  return (
    marked(text, '<tool_call>', '</tool_call>', isKnown) ??
    marked(text, '[TOOL_CALLS]', '', isKnown) ??
    react(text, isKnown) ??
    named(text, isKnown) ??
    (bare.length > 0 ? { content: '', calls: bare } : { content: text, calls: [] })
  );
}
