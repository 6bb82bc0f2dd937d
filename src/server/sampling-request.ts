/** The fields that completions and chat share: how tokens are chosen, what ends an answer. What is left out comes from the configuration. */
import type { FettleConfig } from '../config/index.ts';
import { beamRows, type BeamSettings, beamsOf, type Suppression, suppressionsOf } from '../generate/index.ts';
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
  /** Beam search in place of answers of their own. */
  readonly beams: BeamSettings | undefined;
  /** Rows that are computed at once. */
  readonly rows: number;
  readonly stopTexts: readonly string[];
  readonly stopIds: readonly number[];
  readonly ignoresEnd: boolean;
  readonly skipSpecialTokens: boolean;
  readonly suppress: readonly Suppression[];
  readonly stream: boolean;
  /** Usage comes in a last part of a stream. */
  readonly streamsUsage: boolean;
}

function readBias(fields: RequestFields, config: FettleConfig, vocabularySize: number): [number, number][] {
  const bias = fields.object('logit_bias');
  if (!bias) return Object.entries(config.logit_bias).map(([id, value]) => [Number(id), value]);
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

/** As vLLM: `use_beam_search`, with `n` or `best_of` beams and `length_penalty`. Undefined: answers of their own. */
function readBeams(fields: RequestFields, config: FettleConfig, answers: number): BeamSettings | undefined {
  const ofConfig = beamsOf(config);
  const best = fields.integer('best_of', 1, maxAnswers);
  const uses = fields.boolean('use_beam_search') ?? ofConfig !== undefined;
  if (!uses) {
    if (best !== undefined && best !== answers) throw badField('best_of', `equal to n (${answers})`, best);
    const penalty = fields.number('length_penalty', -100, 100);
    if (penalty !== undefined && penalty !== 1) throw badField('length_penalty', '1 without use_beam_search', penalty);
    return undefined;
  }
  if (best !== undefined && best < answers) throw badField('best_of', `at least n (${answers})`, best);
  const beams = best ?? Math.max(answers, ofConfig?.beams ?? 1);
  const earlyStopping = fields.value('early_stopping') === 'never' ? 'never' : fields.boolean('early_stopping');
  // one beam is greedy search
  if (beams === 1) return undefined;
  return {
    beams,
    lengthPenalty: fields.number('length_penalty', -100, 100) ?? config.length_penalty,
    earlyStopping: earlyStopping ?? config.early_stopping,
  };
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
  const asked = fields.number('temperature', 0, 100) ?? (config.do_sample ? config.temperature : 0);
  // beam search that a request asks for draws nothing, as vLLM's
  const temperature = fields.boolean('use_beam_search') === true ? 0 : asked;
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
    tokenBias: readBias(fields, config, vocabularySize),
    minNewTokens: fields.integer('min_tokens', 0, 1e9) ?? config.min_new_tokens,
    seed:
      fields.integer('seed', Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) ?? Math.floor(Math.random() * 2 ** 32),
  };
  const answers = fields.integer('n', 1, maxAnswers) ?? 1;
  const beams = readBeams(fields, config, answers);
  const suppress = fields.value('suppress') === undefined ? suppressionsOf(config.suppress) : readSuppress(fields);
  const stopTexts = fields.value('stop') === undefined ? config.stop_strings : fields.texts('stop', maxStops);
  return {
    sampling,
    answers,
    beams,
    rows: beams === undefined ? answers : beamRows(beams, suppress.length > 0),
    stopTexts: stopTexts.filter((stop) => stop !== ''),
    stopIds: fields.integers('stop_token_ids', maxBiases),
    ignoresEnd: fields.boolean('ignore_eos') ?? false,
    skipSpecialTokens: fields.boolean('skip_special_tokens') ?? config.skip_special_tokens,
    suppress,
    stream: fields.boolean('stream') ?? false,
    streamsUsage: fields.object('stream_options')?.boolean('include_usage') ?? false,
  };
}
