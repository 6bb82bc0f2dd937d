/** `/v1/chat/completions`: messages in the template that was trained, with tools where it has them. */
import { randomUUID } from 'node:crypto';
import { encodePrompt } from '../data/index.ts';
import { FettleError } from '../errors.ts';
import type { Message, Role, ToolCall } from '../template/index.ts';
import { chatLogprobs } from './answer-text.ts';
import { ApiError, badField } from './api-error.ts';
import type { Exchange } from './exchange.ts';
import type { RequestFields } from './request-fields.ts';
import { maxTopLogprobs, readAnswerSettings } from './sampling-request.ts';
import type { FinishReason, Prompt, PromptAnswer, Service } from './service.ts';
import { parseToolCalls } from './tool-calls.ts';

const maxMessages = 4096;
const maxTools = 256;
const roles: Readonly<Record<string, Role>> = {
  system: 'system',
  developer: 'system',
  user: 'user',
  assistant: 'assistant',
  tool: 'tool',
  function: 'tool',
};

/** A message's content: a text, or parts of text. */
function contentOf(message: RequestFields): string {
  const value = message.value('content');
  if (value === undefined) return '';
  if (typeof value === 'string') return value;
  return message
    .objects('content', maxMessages)
    .map((part) => {
      const type = part.text('type');
      if (type !== 'text') throw badField(part.name('type'), '"text": this model reads text only', type);
      return part.text('text') ?? '';
    })
    .join('');
}

function readCalls(message: RequestFields): ToolCall[] {
  return message.objects('tool_calls', maxTools).map((call) => {
    const called = call.object('function');
    const name = called?.text('name');
    if (name === undefined) throw badField(call.name('function.name'), 'a text', undefined);
    const given = called?.value('arguments');
    let parsed: unknown = given ?? {};
    if (typeof given === 'string') {
      try {
        parsed = JSON.parse(given === '' ? '{}' : given) as unknown;
      } catch {
        parsed = given;
      }
    }
    const id = call.text('id');
    return { name, arguments: parsed, ...(id === undefined ? {} : { id }) };
  });
}

function readMessages(fields: RequestFields): Message[] {
  const messages = fields.objects('messages', maxMessages).map((message): Message => {
    const written = message.text('role');
    const role = written !== undefined && Object.hasOwn(roles, written) ? roles[written] : undefined;
    if (!role) throw badField(message.name('role'), 'one of system, user, assistant, tool', written);
    const calls = readCalls(message);
    const name = message.text('name');
    return {
      role,
      content: contentOf(message),
      ...(calls.length === 0 ? {} : { toolCalls: calls }),
      ...(name === undefined ? {} : { name }),
    };
  });
  if (messages.length === 0) throw badField('messages', 'a list of at least one message', fields.value('messages'));
  return messages;
}

interface Tools {
  readonly definitions: readonly unknown[];
  readonly names: readonly string[];
}

function readTools(fields: RequestFields): Tools {
  const tools = fields.objects('tools', maxTools);
  const names = tools.map((tool) => {
    const name = tool.object('function')?.text('name');
    if (name === undefined) throw badField(tool.name('function.name'), 'a text', undefined);
    return name;
  });
  const choice = fields.value('tool_choice');
  if (choice === 'none') return { definitions: [], names: [] };
  if (choice !== undefined && choice !== 'auto') {
    throw badField('tool_choice', '"auto" or "none": the model itself decides whether it calls', choice);
  }
  return { definitions: tools.map(({ body }) => body), names };
}

interface AnswerMessage {
  readonly role: 'assistant';
  readonly content: string | null;
  readonly tool_calls?: unknown[];
}

function messageOf(
  answer: PromptAnswer,
  tools: Tools,
  keepsSpecialTokens: boolean,
): { message: AnswerMessage; finish: FinishReason | 'tool_calls' } {
  const { content, calls } =
    tools.names.length === 0 ? { content: answer.text, calls: [] } : parseToolCalls(answer.text, tools.names);
  if (calls.length === 0) {
    // special tokens were kept to find calls by them
    const said = tools.names.length === 0 || keepsSpecialTokens ? content : answer.plainText();
    return { message: { role: 'assistant', content: said }, finish: answer.finishReason };
  }
  const toolCalls = calls.map((call) => ({ id: `call_${randomUUID()}`, type: 'function', function: call }));
  return {
    message: { role: 'assistant', content: content === '' ? null : content, tool_calls: toolCalls },
    finish: 'tool_calls',
  };
}

/** How messages become a prompt. */
export interface PromptForm {
  /** Whether the header of the answer comes last; left out: true. */
  readonly addsHeader?: boolean;
  /** Variables of a Jinja template, e.g. `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Ids of messages in the saved template. @throws ApiError 400 where the template refuses them. */
export function chatPromptIds(
  service: Service,
  messages: readonly Message[],
  tools: readonly unknown[],
  { addsHeader = true, variables = {} }: PromptForm = {},
): number[] {
  const { tokenizer } = service.text;
  try {
    const template = service.text.requireTemplate();
    const options = { ...(tools.length === 0 ? {} : { tools }), variables };
    if (!addsHeader) return [...tokenizer.encode(template.render(messages, options))];
    return [...encodePrompt(tokenizer, template, messages, options)];
  } catch (error) {
    if (error instanceof FettleError) throw new ApiError(400, 'invalid_request_error', error.message, 'messages');
    throw error;
  }
}

/** Answers a request. */
export async function chat(service: Service, exchange: Exchange): Promise<void> {
  const { fields } = exchange;
  const { config, text } = service;
  const model = fields.text('model');
  const adapter = service.adapterOf(model);
  const { vocabularySize } = service;
  const settings = readAnswerSettings(fields, config, vocabularySize);
  const tools = readTools(fields);
  const wantsLogprobs = fields.boolean('logprobs') ?? false;
  const top = fields.integer('top_logprobs', 0, maxTopLogprobs);
  if (top !== undefined && !wantsLogprobs) throw badField('logprobs', 'true where top_logprobs is given', false);
  const ids = chatPromptIds(service, readMessages(fields), tools.definitions, {
    variables: fields.object('chat_template_kwargs')?.body ?? {},
  });
  const asked = fields.integer('max_completion_tokens', 1, 1e9) ?? fields.integer('max_tokens', 1, 1e9);
  const prompt: Prompt = {
    ids,
    draw: 0,
    maxNewTokens: service.roomFor(ids.length, asked, config.max_new_tokens, 'messages'),
    adapter,
    topLogprobs: wantsLogprobs ? (top ?? 0) : undefined,
    scoresPrompt: false,
  };
  const head = {
    id: `chatcmpl-${randomUUID()}`,
    created: Math.floor(Date.now() / 1000),
    model: model ?? service.modelName,
  };
  // what may be a call is shown when it is known to be one
  const streamsText = settings.stream && tools.names.length === 0;
  const sendDelta = (index: number, delta: unknown, finish: string | null = null, more: object = {}): void =>
    exchange.sendPart({
      ...head,
      object: 'chat.completion.chunk',
      choices: [{ index, delta, logprobs: null, finish_reason: finish, ...more }],
    });
  service.requireRoom(1, settings);
  if (settings.stream) {
    exchange.beginStream();
    for (let i = 0; i < settings.answers; i++) sendDelta(i, { role: 'assistant', content: '' });
  }
  const answerSettings = tools.names.length === 0 ? settings : { ...settings, skipSpecialTokens: false };
  const { answers } = await service.answer(exchange.client, prompt, answerSettings, exchange.signal, (index, piece) => {
    if (!streamsText) return;
    const logprobs = wantsLogprobs ? { logprobs: chatLogprobs(text.tokenizer, piece.ids, piece.logprobs) } : {};
    if (piece.text !== '' || wantsLogprobs) sendDelta(index, { content: piece.text }, null, logprobs);
  });
  const completionTokens = answers.reduce((sum, answer) => sum + answer.ids.length, 0);
  const usage = {
    prompt_tokens: ids.length,
    completion_tokens: completionTokens,
    total_tokens: ids.length + completionTokens,
  };
  const choices = answers.map((answer, index) => {
    const { message, finish } = messageOf(answer, tools, !settings.skipSpecialTokens);
    return {
      index,
      message,
      logprobs: wantsLogprobs ? chatLogprobs(text.tokenizer, answer.ids, answer.logprobs) : null,
      finish_reason: finish,
      ...(answer.suppressed === undefined ? {} : { suppressed: answer.suppressed }),
    };
  });
  if (!settings.stream) {
    exchange.json(200, { ...head, object: 'chat.completion', choices, usage });
    return;
  }
  for (const { index, message, finish_reason: finish, suppressed } of choices) {
    if (!streamsText) {
      const calls = message.tool_calls?.map((call, i) => ({ index: i, ...(call as object) }));
      sendDelta(index, { content: message.content, ...(calls === undefined ? {} : { tool_calls: calls }) });
    }
    sendDelta(index, {}, finish, suppressed === undefined ? {} : { suppressed });
  }
  if (settings.streamsUsage) exchange.sendPart({ ...head, object: 'chat.completion.chunk', choices: [], usage });
  exchange.endStream();
}
