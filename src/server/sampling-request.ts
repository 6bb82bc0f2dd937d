/** The fields that completions and chat share: how tokens are chosen, what ends an answer. What is left out comes from the configuration. */
import type { FettleConfig } from '../config/index.ts';
import { type Suppression, suppressionsOf } from '../generate/index.ts';
import { badField } from './api-error.ts';
import type { SentSampling } from './protocol.ts';
import type { RequestFields } from './request-fields.ts';
import { refuseUnsupported } from './unsupported-fields.ts';

/** Answers to one prompt. */
const maxAnswers = 64;
/** As OpenAI: 300 biases. */
const maxBiases = 300;
const maxStops = 16;
const maxSuppressions = 64;
/** Log-probabilities at a place: OpenAI's bound. */
export const maxTopLogprobs = 20;

/** How a request's answers are made. */
export interface AnswerSettings {
  readonly sampling: SentSampling;
  readonly answers: number;
  readonly stopTexts: readonly string[];
  readonly stopIds: readonly number[];
  readonly ignoresEnd: boolean;
  readonly skipSpecialTokens: boolean;
  readonly suppress: readonly Suppression[];
  readonly stream: boolean;
  /** Usage comes in a last part of a stream. */
  readonly streamsUsage: boolean;
}

function readBias(fields: RequestFields, vocabularySize: number): [number, number][] {
  const bias = fields.object('logit_bias');
  if (!bias) return [];
  const entries = Object.entries(bias.body);
  if (entries.length > maxBiases) throw badField('logit_bias', `of at most ${maxBiases} tokens`, entries.length);
  return entries.map(([key, value]) => {
    const id = Number(key);
    if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
      throw badField('logit_bias', `an object from token ids below ${vocabularySize} to numbers`, key);
    }
    if (typeof value !== 'number' || Math.abs(value) > 100)
      throw badField(bias.name(key), 'a number from -100 to 100', value);
    return [id, value];
  });
}

function readSuppress(fields: RequestFields): Suppression[] {
  return fields.objects('suppress', maxSuppressions).map((item) => {
    const text = item.text('text');
    if (text === undefined || text === '') throw badField(item.name('text'), 'a text that is not empty', text);
    const coefficient = item.number('coefficient', 0, 1);
    if (coefficient === undefined) throw badField(item.name('coefficient'), 'a number from 0 to 1', undefined);
    const scope = item.value('scope');
    const between = scope === undefined || scope === 'answer' ? undefined : item.object('scope');
    const begin = between?.text('begin');
    if (between && (begin === undefined || begin === ''))
      throw badField(between.name('begin'), 'a text that is not empty', begin);
    return {
      text,
      coefficient,
      scope: between ? { begin: begin!, end: between.text('end') ?? '' } : 'answer',
      maxCount: item.integer('max_count', 0, 1e6),
    };
  });
}

/** @throws ApiError for a field that is not what it must be. */
export function readAnswerSettings(
  fields: RequestFields,
  config: FettleConfig,
  vocabularySize: number,
): AnswerSettings {
  refuseUnsupported(fields);
  const temperature = fields.number('temperature', 0, 100) ?? (config.do_sample ? config.temperature : 0);
  const sampling: SentSampling = {
    doSample: temperature > 0,
    temperature,
    topP: fields.number('top_p', 0, 1) ?? config.top_p,
    topK: Math.max(0, fields.integer('top_k', -1, 1e9) ?? config.top_k),
    minP: fields.number('min_p', 0, 1) ?? config.min_p,
    repetitionPenalty: fields.number('repetition_penalty', 0.01, 100) ?? config.repetition_penalty,
    frequencyPenalty: fields.number('frequency_penalty', -2, 2) ?? config.frequency_penalty,
    presencePenalty: fields.number('presence_penalty', -2, 2) ?? config.presence_penalty,
    noRepeatNgramSize: fields.integer('no_repeat_ngram_size', 0, 1e6) ?? config.no_repeat_ngram_size,
    tokenBias: readBias(fields, vocabularySize),
    minNewTokens: fields.integer('min_tokens', 0, 1e9) ?? config.min_new_tokens,
    seed:
      fields.integer('seed', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) ?? Math.floor(Math.random() * 2 ** 32),
  };
  const answers = fields.integer('n', 1, maxAnswers) ?? 1;
  const best = fields.integer('best_of', 1, maxAnswers);
  if (best !== undefined && best !== answers) throw badField('best_of', `equal to n (${answers})`, best);
  return {
    sampling,
    answers,
    stopTexts: fields.texts('stop', maxStops).filter((stop) => stop !== ''),
    stopIds: fields.integers('stop_token_ids', maxBiases),
    ignoresEnd: fields.boolean('ignore_eos') ?? false,
    skipSpecialTokens: fields.boolean('skip_special_tokens') ?? config.skip_special_tokens,
    suppress: fields.value('suppress') === undefined ? suppressionsOf(config.suppress) : readSuppress(fields),
    stream: fields.boolean('stream') ?? false,
    streamsUsage: fields.object('stream_options')?.boolean('include_usage') ?? false,
  };
}
