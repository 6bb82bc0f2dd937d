/**
 * Whom answers come from, behind one face: a model of ours, a server, a function, or the journal of an earlier comparison.
 * Whatever is computed or paid for is written to the journal before it is used.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { FettleConfig } from '../../config/index.ts';
import { ConfigError, DataError } from '../../errors.ts';
import {
  Account,
  type ChatMessage,
  type ChatRequest,
  defaultConcurrency,
  type EndpointOptions,
  type Journal,
  type JournalEntry,
  messagesKey,
  openEndpoint,
  readJournal,
  requestKey,
  type Spending,
} from '../../endpoint/index.ts';
import { openGenerator } from '../../generate/index.ts';
import { withLocalModels } from '../../hub/index.ts';
import { hashNamedFiles } from '../../run/index.ts';

/** The settings of one system or of the judge, as the configuration has them. */
export type ParticipantSettings = NonNullable<FettleConfig['judge']>;

/** What a participant is asked. */
export interface Ask {
  readonly messages: readonly ChatMessage[];
  readonly maxTokens: number;
  /** 0: the most probable answer. */
  readonly temperature: number;
  readonly topP?: number | undefined;
  readonly seed?: number | undefined;
}

/** An answer and where it stands in the journal. */
export interface Told {
  readonly key: string;
  readonly text: string;
  readonly finishReason: string | null;
}

/** Answers one question; for judges and systems that are functions. */
export type Respond = (ask: Ask) => Promise<string> | string;

/** Someone who answers. */
export interface Participant {
  readonly name: string;
  /** `model`, `server`, `function` or `file`, and its name: for the report. */
  readonly kind: 'model' | 'server' | 'function' | 'file';
  readonly title: string;
  /** Questions that are worth asking at once. */
  readonly atOnce: number;
  tell(ask: Ask, signal?: AbortSignal): Promise<Told>;
  readonly spending: Spending;
  close(): Promise<void>;
}

/** What every participant is opened with. */
export interface Surroundings {
  readonly config: FettleConfig;
  readonly journal: Journal;
  /** Functions by the name of their participant. */
  readonly functions: ReadonlyMap<string, Respond>;
  /** Functions that plugins registered, by name. */
  readonly plugins: ReadonlyMap<string, Respond>;
  readonly endpoint?: Pick<EndpointOptions, 'fetch' | 'clock' | 'random' | 'env'> | undefined;
}

const withSystem = (ask: Ask, system: string | undefined): Ask =>
  system === undefined || ask.messages.some(({ role }) => role === 'system')
    ? ask
    : { ...ask, messages: [{ role: 'system', content: system }, ...ask.messages] };

/** Questions to functions under way at once: they may ask a server of their own. */
const functionsAtOnce = 8;
/** Answers that our engine computes in one batch. */
const answersInBatch = 8;

/**
 * Opens a participant.
 * @param name the system's name, or `judge`
 * @throws ConfigError, and what opening a model, a server or a journal throws.
 */
export async function openParticipant(
  name: string,
  settings: ParticipantSettings,
  around: Surroundings,
): Promise<Participant> {
  const given = around.functions.get(name);
  if (given !== undefined) return fromFunction(name, name, given, settings, around);
  if (settings.plugin !== undefined) {
    const plugin = around.plugins.get(settings.plugin);
    if (plugin === undefined) {
      throw new ConfigError('pk-plugin-missing', { name, plugin: settings.plugin, known: [...around.plugins.keys()] });
    }
    return fromFunction(name, settings.plugin, plugin, settings, around);
  }
  if (settings.answers !== undefined) return fromJournal(name, settings.answers, settings);
  if (settings.model !== undefined) return fromServer(name, settings.model, settings, around);
  return fromModel(name, settings, around);
}

function fromServer(name: string, model: string, settings: ParticipantSettings, around: Surroundings): Participant {
  const concurrency = settings.concurrency ?? defaultConcurrency;
  const endpoint = openEndpoint({
    scope: name,
    provider: settings.provider,
    baseUrl: settings.base_url,
    keyVariable: settings.api_key_env,
    concurrency,
    timeoutMs: settings.timeout === undefined ? undefined : settings.timeout * 1000,
    price: settings.price,
    journal: around.journal,
    ...around.endpoint,
  });
  return {
    name,
    kind: 'server',
    title: model,
    atOnce: concurrency,
    async tell(ask, signal) {
      const { messages, maxTokens, temperature, topP, seed } = withSystem(ask, settings.system);
      const request: ChatRequest = { model, messages, maxTokens, temperature, topP, seed, extra: settings.extra };
      return endpoint.ask(request, signal);
    },
    get spending() {
      return endpoint.spending;
    },
    close: async () => undefined,
  };
}

/** A participant whose answers are made in this process by `make`, and kept in the journal under `identity`. */
function journaled(
  about: Pick<Participant, 'name' | 'kind' | 'title' | 'atOnce'>,
  system: string | undefined,
  identity: object,
  { journal }: Surroundings,
  make: (ask: Ask, signal: AbortSignal | undefined) => Promise<Omit<JournalEntry, 'key' | 'scope'>>,
  close: () => Promise<void> = async () => undefined,
): Participant {
  const account = new Account(undefined);
  const underWay = new Map<string, Promise<Told>>();
  const tellAnew = async (key: string, ask: Ask, signal: AbortSignal | undefined): Promise<Told> => {
    signal?.throwIfAborted();
    account.sent();
    const answer = await make(ask, signal);
    await journal.append({ key, scope: about.name, asked: messagesKey(ask.messages), ...answer });
    account.answered(answer.usage, false);
    return { key, text: answer.text, finishReason: answer.finishReason };
  };
  return {
    ...about,
    async tell(question, signal) {
      const ask = withSystem(question, system);
      const key = requestKey(about.name, { ...identity, ...ask });
      const known = journal.get(key);
      if (known !== undefined) {
        account.answered(known.usage, true);
        return known;
      }
      const told = underWay.get(key) ?? tellAnew(key, ask, signal).finally(() => underWay.delete(key));
      underWay.set(key, told);
      return told;
    },
    get spending() {
      return account.spending;
    },
    close,
  };
}

function fromFunction(
  name: string,
  title: string,
  respond: Respond,
  settings: ParticipantSettings,
  around: Surroundings,
): Participant {
  const usage = { promptTokens: 0, completionTokens: 0 };
  return journaled(
    { name, kind: 'function', title, atOnce: functionsAtOnce },
    settings.system,
    { function: title },
    around,
    async (ask) => {
      const text: unknown = await respond(ask);
      if (typeof text !== 'string') throw new DataError('pk-function-answer', { name, actual: typeof text });
      return { text, finishReason: 'stop', usage };
    },
  );
}

/** Files of a model's or an adapter's folder that its answers depend on. */
const modelFiles = /\.(?:json|jinja|safetensors|bin|model|txt)$/;

async function contentOf(folder: string): Promise<string> {
  // Names that are no folder are refused by the one who opens the model, in better words.
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const files = entries
    .filter((entry) => !entry.isDirectory() && modelFiles.test(entry.name))
    // What a run writes about itself changes without the model.
    .filter(({ name }) => !/^(?:run|.*_results|trainer_state)\.json$/.test(name))
    .map(({ name }) => ({ name, path: join(folder, name) }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return hashNamedFiles(files);
}

async function fromModel(name: string, settings: ParticipantSettings, around: Surroundings): Promise<Participant> {
  const { config } = around;
  const named = settings.model_name_or_path ?? config.model_name_or_path;
  if (named === undefined) throw new ConfigError('pk-model-missing', { name });
  const isOwn = settings.model_name_or_path !== undefined || settings.adapter_name_or_path !== undefined;
  const local = await withLocalModels(
    {
      ...config,
      model_name_or_path: named,
      adapter_name_or_path: isOwn ? (settings.adapter_name_or_path ?? []) : config.adapter_name_or_path,
    },
    around.endpoint?.env === undefined ? {} : { env: around.endpoint.env },
  );
  const [folder, adapters] = [local.model_name_or_path, local.adapter_name_or_path];
  const template = settings.template ?? config.template;
  const contents = await Promise.all([folder, ...adapters].map(contentOf));
  // The same settings give the same text; which model it is, its files say.
  const identity = { contents, template, penalty: config.repetition_penalty, top_k: config.top_k };
  let generator: ReturnType<typeof openGenerator> | undefined;
  const open = async (ask: Ask): ReturnType<typeof openGenerator> =>
    openGenerator({
      ...local,
      template,
      do_sample: ask.temperature > 0,
      temperature: ask.temperature,
      top_p: ask.topP ?? 1,
      max_new_tokens: ask.maxTokens,
      seed: ask.seed ?? config.seed,
    });
  return journaled(
    { name, kind: 'model', title: [named, ...adapters].join(' + '), atOnce: answersInBatch },
    settings.system,
    identity,
    around,
    async (ask, signal) => {
      // Opened with the first question that the journal does not answer; every ask of a participant has the same sampling.
      const model = await (generator ??= open(ask));
      const ids = model.promptIds(ask.messages);
      const answer = await model.answer(ids, signal === undefined ? {} : { signal });
      if (answer.finish_reason === 'aborted') signal?.throwIfAborted();
      return {
        text: answer.text,
        finishReason: answer.finish_reason,
        usage: { promptTokens: answer.prompt_ids.length, completionTokens: answer.ids.length },
      };
    },
    async () => {
      const opened = generator;
      generator = undefined;
      await (await opened)?.release();
    },
  );
}

/** The answers of an earlier comparison, whoever gave them; what does not stand there cannot be answered. */
async function fromJournal(name: string, file: string, settings: ParticipantSettings): Promise<Participant> {
  const byMessages = new Map([...(await readJournal(file)).values()].map((entry) => [entry.asked, entry]));
  const account = new Account(undefined);
  return {
    name,
    kind: 'file',
    title: file,
    atOnce: functionsAtOnce,
    async tell(ask) {
      const entry = byMessages.get(messagesKey(withSystem(ask, settings.system).messages));
      if (entry === undefined) throw new DataError('pk-judgment-missing', { name, file });
      account.answered(entry.usage, true);
      return entry;
    },
    get spending() {
      return account.spending;
    },
    close: async () => undefined,
  };
}
