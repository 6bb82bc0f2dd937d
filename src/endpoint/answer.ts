/** The body of a chat completion -> an answer. */
import type { ChatAnswer } from './chat.ts';

type Json = Readonly<Record<string, unknown>>;

const asObject = (value: unknown): Json | undefined =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;

const asText = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);
const asCount = (value: unknown): number | null =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : null;

/** A content that is a list of parts, as some servers write it, is the text of its parts. */
function contentText(content: unknown): string | undefined {
  if (content === null || content === undefined) return '';
  if (!Array.isArray(content)) return asText(content);
  return content.map((part: unknown) => asText(asObject(part)?.['text']) ?? '').join('');
}

/** The answer of a chat completion, or undefined where the text is none. */
export function parseChatAnswer(body: string): ChatAnswer | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return undefined;
  }
  const completion = asObject(value);
  const choices = completion?.['choices'];
  const choice = Array.isArray(choices) ? asObject(choices[0] as unknown) : undefined;
  const message = asObject(choice?.['message']);
  const text = message === undefined ? undefined : contentText(message['content']);
  if (message === undefined || text === undefined) return undefined;
  const usage = asObject(completion?.['usage']);
  // DeepSeek, DashScope and vLLM say reasoning_content, others reasoning.
  const reasoning = asText(message['reasoning_content']) ?? asText(message['reasoning']);
  return {
    text,
    finishReason: asText(choice?.['finish_reason']) ?? null,
    usage: {
      promptTokens: asCount(usage?.['prompt_tokens']),
      completionTokens: asCount(usage?.['completion_tokens']),
    },
    ...(reasoning === undefined || reasoning === '' ? {} : { reasoning }),
  };
}

/** The code of an error that a provider describes in its body. */
export function errorCode(body: string): string | undefined {
  try {
    const value = asObject(JSON.parse(body));
    const error = asObject(value?.['error']) ?? value;
    return asText(error?.['code']) ?? asText(error?.['type']);
  } catch {
    return undefined;
  }
}
