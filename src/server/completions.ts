/** `/v1/completions`: texts or token ids are gone on with; their own tokens may be scored (echo). */
import { randomUUID } from 'node:crypto';
import type { TokenLogprobs } from '../generate/index.ts';
import { CompletionLogprobsWriter, type CompletionLogprobs } from './answer-text.ts';
import { badField } from './api-error.ts';
import type { Exchange } from './exchange.ts';
import { maxTopLogprobs, readAnswerSettings } from './sampling-request.ts';
import type { FinishReason, Prompt, Service } from './service.ts';

/** As OpenAI. */
const defaultMaxTokens = 16;
/** Prompts of one request: lm-evaluation-harness sends some dozens. */
const maxPrompts = 2048;

interface Choice {
  readonly index: number;
  readonly text: string;
  readonly logprobs: CompletionLogprobs | null;
  readonly finish_reason: FinishReason | null;
  readonly suppressed?: unknown;
}

/** One prompt or many, as text or as ids. */
function readPrompts(service: Service, exchange: Exchange): number[][] {
  const { fields } = exchange;
  const value = fields.value('prompt');
  const { vocabularySize } = service;
  const addsSpecial = fields.boolean('add_special_tokens') ?? true;
  const isIds = (list: unknown): list is number[] =>
    Array.isArray(list) &&
    list.length > 0 &&
    list.every((id) => Number.isInteger(id) && Number(id) >= 0 && Number(id) < vocabularySize);
  const encode = (text: string): number[] => {
    const { tokenizer } = service.text;
    const ids = [...(addsSpecial ? tokenizer.encodeWithSpecialTokens(text) : tokenizer.encode(text))];
    // an answer needs something to follow
    if (ids.length === 0 && tokenizer.bosId !== undefined) ids.push(tokenizer.bosId);
    if (ids.length === 0) throw badField('prompt', 'a text of at least one token', text);
    return ids;
  };
  if (typeof value === 'string') return [encode(value)];
  if (isIds(value)) return [value];
  if (Array.isArray(value) && value.length > 0 && value.length <= maxPrompts) {
    return value.map((item) => {
      if (typeof item === 'string') return encode(item);
      if (isIds(item)) return item;
      throw badField('prompt', `texts, or lists of token ids below ${vocabularySize}`, item);
    });
  }
  throw badField(
    'prompt',
    `a text, token ids below ${vocabularySize}, or a list of at most ${maxPrompts} of either`,
    value,
  );
}

/** Answers a request. */
export async function completions(service: Service, exchange: Exchange): Promise<void> {
  const { fields } = exchange;
  const { config, text } = service;
  const model = fields.text('model');
  const adapter = service.adapterOf(model);
  const { vocabularySize } = service;
  const settings = readAnswerSettings(fields, config, vocabularySize);
  const echo = fields.boolean('echo') ?? false;
  const topLogprobs = fields.integer('logprobs', 0, maxTopLogprobs);
  const asked = fields.integer('max_tokens', echo ? 0 : 1, 1e9) ?? defaultMaxTokens;
  const prompts = readPrompts(service, exchange).map((ids, draw): Prompt => ({
    ids,
    draw,
    maxNewTokens: service.roomFor(ids.length, asked, asked, 'max_tokens'),
    adapter,
    topLogprobs,
    scoresPrompt: echo && topLogprobs !== undefined,
  }));
  const head = {
    id: `cmpl-${randomUUID()}`,
    object: 'text_completion',
    created: Math.floor(Date.now() / 1000),
    model: model ?? service.modelName,
  };
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
  for (const { ids } of prompts) usage.prompt_tokens += ids.length;
  const textOfPrompt = (ids: readonly number[]): string =>
    text.tokenizer.decode(ids, { skipSpecialTokens: settings.skipSpecialTokens });

  service.requireRoom(prompts.length, settings);
  if (settings.stream) exchange.beginStream();
  const all = await exchange.together(
    prompts.map((prompt) => async (signal: AbortSignal): Promise<Choice[]> => {
      const first = prompt.draw * settings.answers;
      const writers = Array.from({ length: settings.answers }, () => new CompletionLogprobsWriter(text.tokenizer));
      const send = (
        answer: number,
        piece: string,
        ids: readonly number[],
        scored: readonly (TokenLogprobs | undefined)[],
      ): void => {
        const logprobs = topLogprobs === undefined ? null : writers[answer]!.write(ids, scored);
        exchange.sendPart({
          ...head,
          choices: [{ index: first + answer, text: piece, logprobs, finish_reason: null }],
        });
      };
      const sendPrompt = (scored: readonly TokenLogprobs[]): void => {
        if (!settings.stream || !echo) return;
        for (const answer of writers.keys()) {
          send(answer, textOfPrompt(prompt.ids), prompt.ids, [undefined, ...scored]);
        }
      };
      // with log-probabilities the prompt is shown when they are there
      if (topLogprobs === undefined) sendPrompt([]);
      const result = await service.answer(
        exchange.client,
        prompt,
        settings,
        signal,
        (answer, piece) => {
          if (settings.stream) send(answer, piece.text, piece.ids, piece.logprobs);
        },
        sendPrompt,
      );
      return result.answers.map((answer, i): Choice => {
        usage.completion_tokens += answer.ids.length;
        const scored: (TokenLogprobs | undefined)[] = echo
          ? [undefined, ...(result.promptLogprobs ?? []), ...answer.logprobs]
          : [...answer.logprobs];
        const ids = echo ? [...prompt.ids, ...answer.ids] : answer.ids;
        return {
          index: first + i,
          text: echo ? textOfPrompt(prompt.ids) + answer.text : answer.text,
          logprobs: topLogprobs === undefined ? null : new CompletionLogprobsWriter(text.tokenizer).write(ids, scored),
          finish_reason: answer.finishReason,
          ...(answer.suppressed === undefined ? {} : { suppressed: answer.suppressed }),
        };
      });
    }),
  );
  usage.total_tokens = usage.prompt_tokens + usage.completion_tokens;
  const choices = all.flat();
  if (!settings.stream) {
    exchange.json(200, { ...head, choices, usage });
    return;
  }
  for (const choice of choices) {
    exchange.sendPart({ ...head, choices: [{ ...choice, text: '', logprobs: null }] });
  }
  if (settings.streamsUsage) exchange.sendPart({ ...head, choices: [], usage });
  exchange.endStream();
}
