/** Fields of OpenAI's and vLLM's requests that would change the answer and are not supported: refused by name, never passed over. */
import { isJsonObject, type JsonValue } from '../formats/index.ts';
import { ApiError } from './api-error.ts';
import type { RequestFields } from './request-fields.ts';

const isType =
  (type: string) =>
  (value: JsonValue): boolean =>
    isJsonObject(value) && value['type'] === type;
const isOneOf =
  (...values: readonly JsonValue[]) =>
  (value: JsonValue): boolean =>
    values.includes(value);
const isEmpty = (value: JsonValue): boolean => Array.isArray(value) && value.length === 0;
const never = (): boolean => false;

interface Unsupported {
  /** Values that ask for nothing. */
  readonly isHarmless: (value: JsonValue) => boolean;
  readonly remedy: string;
}

const constrained: Unsupported = { isHarmless: never, remedy: 'Ask for the form in the prompt' };
const fields: Readonly<Record<string, Unsupported>> = {
  response_format: { isHarmless: isType('text'), remedy: 'Ask for the form in the prompt' },
  structured_outputs: constrained,
  guided_json: constrained,
  guided_regex: constrained,
  guided_choice: constrained,
  guided_grammar: constrained,
  functions: { isHarmless: isEmpty, remedy: 'Use tools' },
  function_call: { isHarmless: isOneOf('none'), remedy: 'Use tools' },
  suffix: { isHarmless: isOneOf(''), remedy: 'Leave it out' },
  prompt_logprobs: { isHarmless: never, remedy: 'Use echo with logprobs of /v1/completions' },
  truncate_prompt_tokens: { isHarmless: never, remedy: 'Shorten the prompt' },
  prompt_embeds: { isHarmless: never, remedy: 'Send text or token ids' },
  chat_template: { isHarmless: never, remedy: 'The template is the one that was saved with the weights' },
  continue_final_message: { isHarmless: isOneOf(false), remedy: 'Use /v1/completions' },
  add_generation_prompt: { isHarmless: isOneOf(true), remedy: 'Use /v1/completions' },
  audio: { isHarmless: never, remedy: 'This model writes text only' },
  modalities: {
    isHarmless: (value) => Array.isArray(value) && value.every((each) => each === 'text'),
    remedy: 'This model writes text only',
  },
};

/** @throws ApiError 400 for the first field that asks for what is not there. */
export function refuseUnsupported(request: RequestFields): void {
  for (const [name, { isHarmless, remedy }] of Object.entries(fields)) {
    const value = request.value(name);
    if (value === undefined || isHarmless(value)) continue;
    throw new ApiError(
      400,
      'invalid_request_error',
      `${name} is not supported. ${remedy}.`,
      name,
      'unsupported_parameter',
    );
  }
}
