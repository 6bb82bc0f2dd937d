/**
 * Text generation from a config: prompts in the template that was trained, answers as they come. The end of an answer is
 * the template's end token, an end token of the model, or a stop text of the template.
 */
import { access } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { quantizationOf, type QuantizationSettings } from '../checkpoint/index.ts';
import { encodePrompt, openTextTools, type TextSettings, type TextTools } from '../data/index.ts';
import { ConfigError } from '../errors.ts';
import { type JsonObject, readJsonObject } from '../formats/index.ts';
import type { Model } from '../models/index.ts';
import type { Device } from '../runtime/index.ts';
import type { Message } from '../template/index.ts';
import { StreamDecoder, type Tokenizer } from '../tokenizer/index.ts';
import { generate } from './answers.ts';
import { DecodingEngine, type EngineLimits } from './engine.ts';
import { type InferDtype, openModel } from './open-model.ts';
import { greedySampling } from './sampling.ts';
import { StopFilter } from './stop-filter.ts';
import { SuppressingChooser, type Suppression, type SuppressionReport } from './suppression.ts';
import { VocabularyIndex } from './vocabulary-index.ts';

/** A text to be suppressed, under the names in the config. */
export interface SuppressSetting {
  readonly text: string;
  readonly coefficient: number;
  readonly scope: Suppression['scope'];
  readonly max_count?: number | undefined;
}

/** The settings of generation, under their names in the config: a whole config fits. */
export interface GeneratorSettings extends TextSettings, QuantizationSettings {
  readonly do_sample: boolean;
  readonly temperature: number;
  readonly top_p: number;
  readonly top_k: number;
  readonly max_new_tokens: number;
  readonly repetition_penalty: number;
  readonly skip_special_tokens: boolean;
  readonly suppress?: readonly SuppressSetting[] | undefined;
  readonly infer_dtype: InferDtype;
  readonly seed: number;
  readonly device: Device;
  readonly threads?: number | undefined;
}

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
  release(): Promise<void>;
}

/** `eos_token_id` of generation_config.json and config.json: a number or a list. */
async function modelStopIds(folder: string): Promise<number[]> {
  const read = async (name: string): Promise<JsonObject> => {
    const file = join(folder, name);
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    return isThere ? readJsonObject(file) : {};
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
  const stopIds = stopIdsOf(text, await modelStopIds(folder));
  const threads = settings.threads ?? availableParallelism();
  const { model, decoder } = await openModel(
    folder,
    settings.adapter_name_or_path,
    { device: settings.device, threads },
    { quantization: quantizationOf(settings), inferDtype: settings.infer_dtype },
  );
  const engine = new DecodingEngine(decoder, limits);
  const suppressing = suppressingChoosers(settings, text.tokenizer);
  return {
    model,
    text,
    engine,
    stopIds,
    promptIds: (messages) => encodePrompt(text.tokenizer, text.requireTemplate(), messages),
    rawIds: (raw) => text.tokenizer.encodeWithSpecialTokens(raw),
    async answer(promptIds, options = {}) {
      const stream = new AnswerStream(text, settings, promptIds, options.onText);
      const chooser = suppressing?.();
      const [result] = await generate(engine, {
        promptIds,
        maxNewTokens: settings.max_new_tokens,
        stopIds,
        sampling: {
          ...greedySampling,
          doSample: settings.do_sample,
          temperature: settings.temperature,
          topK: settings.top_k,
          topP: settings.top_p,
          repetitionPenalty: settings.repetition_penalty,
          seed: settings.seed,
        },
        draw: options.draw ?? 0,
        ...(chooser === undefined ? {} : { chooser: () => chooser }),
        onTokens: (_, ids) => ids.some((id) => stream.push(id, stopIds.has(id))),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      }).done;
      const { ids, finishReason } = result!;
      return {
        prompt_ids: Array.from(promptIds),
        ids,
        text: stream.end(),
        finish_reason: finishReason,
        ...(chooser === undefined ? {} : { suppressed: chooser.reports }),
      };
    },
    release: () => engine.release(),
  };
}

/** Makes the chooser of an answer where texts are suppressed; the vocabulary is sorted once. */
function suppressingChoosers(
  { suppress = [], skip_special_tokens: skipSpecialTokens }: GeneratorSettings,
  tokenizer: Tokenizer,
): (() => SuppressingChooser) | undefined {
  if (suppress.length === 0) return undefined;
  const suppressions = suppress.map(({ max_count: maxCount, ...rest }): Suppression => ({ ...rest, maxCount }));
  const vocabulary = new VocabularyIndex(tokenizer, skipSpecialTokens);
  return () => new SuppressingChooser(suppressions, vocabulary);
}

/** The text of an answer as its tokens come. */
class AnswerStream {
  private readonly decoder: StreamDecoder;
  private readonly filter: StopFilter;
  private readonly onText: ((text: string) => void) | undefined;

  constructor(
    { tokenizer, template }: { readonly tokenizer: Tokenizer; readonly template: TextTools['template'] },
    settings: GeneratorSettings,
    promptIds: ArrayLike<number>,
    onText: ((text: string) => void) | undefined,
  ) {
    this.decoder = new StreamDecoder(tokenizer, {
      skipSpecialTokens: settings.skip_special_tokens,
      contextIds: promptIds,
    });
    this.filter = new StopFilter(template?.stopStrings ?? []);
    this.onText = onText;
  }

  /** Takes a token; true where a stop text is complete. The end token is no part of the text. */
  push(id: number, isEnd: boolean): boolean {
    if (!isEnd) this.tell(this.filter.push(this.decoder.push(id)));
    return this.filter.stopped;
  }

  /** Gives what was held back, and the whole text. */
  end(): string {
    this.tell(this.filter.push(this.decoder.flush()));
    this.tell(this.filter.flush());
    return this.filter.text;
  }

  private tell(text: string): void {
    if (text !== '') this.onText?.(text);
  }
}
