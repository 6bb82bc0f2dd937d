/**
 * Text generation from a config: prompts in the template that was trained, answers as they come. The end of an answer is
 * the template's end token, an end token of the model, or a stop text of the template.
 */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { quantizationOf } from '../checkpoint/index.ts';
import { encodePrompt, openTextTools, type TextTools } from '../data/index.ts';
import { ConfigError } from '../errors.ts';
import { isThere, type JsonObject, readJsonObject } from '../formats/index.ts';
import type { Model } from '../models/index.ts';
import type { Message } from '../template/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import { AnswerStream } from './answer-stream.ts';
import { generate } from './answers.ts';
import { DecodingEngine, type EngineLimits } from './engine.ts';
import type { BeamSuppression } from './beam-suppression.ts';
import { beamsOf, type GeneratorSettings, samplingOf, suppressionsOf } from './generator-settings.ts';
import { openModel } from './open-model.ts';
import type { SuppressionReport } from './suppressed-text.ts';
import { SuppressingChooser } from './suppression.ts';
import { VocabularyIndex } from './vocabulary-index.ts';

/** How one answer is generated. */
export interface AnswerOptions {
  /** Told each piece of text as soon as it is certain. */
  readonly onText?: (text: string) => void;
  readonly signal?: AbortSignal;
  /** Another number draws other tokens for the same prompt; left out: 0. */
  readonly draw?: number;
}

/** One answer. */
export interface Answer {
  readonly prompt_ids: readonly number[];
  /** The new ids, the end token included where it came. */
  readonly ids: readonly number[];
  /** The answer without its end token. */
  readonly text: string;
  readonly finish_reason: 'stop' | 'length' | 'aborted';
  /** What happened to the texts of `suppress`, where there are some. */
  readonly suppressed?: readonly SuppressionReport[];
}

/** A model that answers. */
export interface Generator {
  readonly model: Model;
  readonly text: TextTools;
  /** What computes its answers; other requests may run on it beside them. */
  readonly engine: DecodingEngine;
  /** The ids that end an answer. */
  readonly stopIds: ReadonlySet<number>;
  /** The ids of messages with the assistant's header, as in training. @throws ConfigError `template-missing` */
  promptIds(messages: readonly Message[]): Int32Array;
  /** The ids of a text as the tokenizer has it, with its BOS. */
  rawIds(text: string): Int32Array;
  /** Answers a prompt; what an earlier prompt shares with it is not computed again. */
  answer(promptIds: ArrayLike<number>, options?: AnswerOptions): Promise<Answer>;
  /** `num_return_sequences` answers; the prompt is computed once. `onText` is told the first one. */
  answers(promptIds: ArrayLike<number>, options?: AnswerOptions): Promise<Answer[]>;
  release(): Promise<void>;
}

/** `eos_token_id` of generation_config.json and config.json: a number or a list. */
async function modelStopIds(folder: string): Promise<number[]> {
  const read = async (name: string): Promise<JsonObject> => {
    const file = join(folder, name);
    return (await isThere(file)) ? readJsonObject(file) : {};
  };
  const configs = [await read('generation_config.json'), await read('config.json')];
  return configs.flatMap((config) => config['eos_token_id'] ?? []).filter((id): id is number => typeof id === 'number');
}

/** The ids that end an answer. */
function stopIdsOf({ tokenizer, template }: TextTools, ofModel: readonly number[]): ReadonlySet<number> {
  const texts = [...(template?.stopTokens ?? []), ...(template?.endToken === undefined ? [] : [template.endToken])];
  const ids = texts.flatMap((text) => tokenizer.idOf(text) ?? []);
  return new Set([...ids, ...ofModel, ...(tokenizer.eosId === undefined ? [] : [tokenizer.eosId])]);
}

/**
 * Opens a model for generation.
 * @param limits how much the engine computes at once.
 * @throws ConfigError `model-needed`; what opening the model, its adapters, its tokenizer and its template throws.
 */
export async function openGenerator(
  settings: GeneratorSettings,
  limits: EngineLimits = { maxRows: 16 },
): Promise<Generator> {
  const folder = settings.model_name_or_path;
  if (folder === undefined) throw new ConfigError('model-needed', {});
  // Plain text needs no template; messages are refused where there is none.
  const text = await openTextTools({ ...settings, stage: 'pt' });
  const stopIds = stopIdsOf(text, [...(await modelStopIds(folder)), ...(settings.eos_token_id ?? [])]);
  const threads = settings.threads ?? availableParallelism();
  const { model, decoder } = await openModel(
    folder,
    settings.adapter_name_or_path,
    { device: settings.device, threads },
    { quantization: quantizationOf(settings), inferDtype: settings.infer_dtype },
  );
  const engine = new DecodingEngine(decoder, limits);
  const suppression = suppressionOf(settings, text.tokenizer);
  const sampling = samplingOf(settings);
  const beams = beamsOf(settings);
  const stopTexts = [...(text.template?.stopStrings ?? []), ...(settings.stop_strings ?? [])];
  const answers = async (promptIds: ArrayLike<number>, count: number, options: AnswerOptions): Promise<Answer[]> => {
    const written = Array.from({ length: count }, (_, i) => ({
      stream: new AnswerStream(
        text.tokenizer,
        { skipSpecialTokens: settings.skip_special_tokens, stopTexts },
        promptIds,
        i === 0 ? options.onText : undefined,
      ),
      chooser:
        suppression === undefined || beams !== undefined
          ? undefined
          : new SuppressingChooser(suppression.suppressions, suppression.vocabulary),
    }));
    const generations = await generate(engine, {
      promptIds,
      maxNewTokens: settings.max_new_tokens,
      stopIds,
      sampling,
      answers: count,
      draw: options.draw ?? 0,
      ...(beams === undefined ? {} : { beams, endsWith: endsWithText(text.tokenizer, stopTexts) }),
      ...(suppression === undefined
        ? {}
        : { beamSuppression: suppression, chooser: (i: number) => written[i]!.chooser! }),
      onTokens: (i, ids) => ids.some((id) => written[i]!.stream.push(id, stopIds.has(id))),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    }).done;
    return generations.map(({ ids, finishReason, suppressed }, i) => ({
      prompt_ids: Array.from(promptIds),
      ids,
      text: written[i]!.stream.end(),
      finish_reason: finishReason,
      ...(suppression === undefined ? {} : { suppressed: suppressed ?? written[i]!.chooser?.reports ?? [] }),
    }));
  };
  return {
    model,
    text,
    engine,
    stopIds,
    promptIds: (messages) => encodePrompt(text.tokenizer, text.requireTemplate(), messages),
    rawIds: (raw) => text.tokenizer.encodeWithSpecialTokens(raw),
    answer: async (promptIds, options = {}) => (await answers(promptIds, 1, options))[0]!,
    answers: (promptIds, options = {}) => answers(promptIds, settings.num_return_sequences ?? 1, options),
    release: () => engine.release(),
  };
}

/** Whether ids spell one of the stop texts. */
export function endsWithText(tokenizer: Tokenizer, stopTexts: readonly string[]): (ids: readonly number[]) => boolean {
  return (ids) => {
    if (stopTexts.length === 0) return false;
    const text = tokenizer.decode(ids, { skipSpecialTokens: false });
    return stopTexts.some((stop) => stop !== '' && text.includes(stop));
  };
}

/** The texts that are suppressed, where there are some; the vocabulary is sorted once. */
function suppressionOf(
  { suppress = [], skip_special_tokens: skipSpecialTokens }: GeneratorSettings,
  tokenizer: Tokenizer,
): BeamSuppression | undefined {
  if (suppress.length === 0) return undefined;
  return { suppressions: suppressionsOf(suppress), vocabulary: new VocabularyIndex(tokenizer, skipSpecialTokens) };
}
