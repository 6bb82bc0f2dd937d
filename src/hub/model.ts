/** The models of a hub: which of their files are needed, and the folder on this machine that a name stands for. */
import { dirname, isAbsolute, join } from 'node:path';
import { FileError } from '../errors.ts';
import { isThere } from '../formats/index.ts';
import { cachedSnapshot } from './cache.ts';
import { downloadFiles, listFiles } from './download.ts';
import { type HubFile, type HubName, type HubOptions, hubs, isOffline, type Repository } from './hub.ts';

const small =
  /(^|\/)(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|adapter_config|fettle_template|(model\.safetensors|pytorch_model\.bin)\.index)\.json$|(^|\/)(merges\.txt|chat_template\.jinja|LICENSE[^/]*|README\.md|NOTICE[^/]*)$|\.(model|tiktoken)$/i;
/** Weights by preference: safetensors, then PyTorch's own files. */
const weightKinds = [/\.safetensors$/i, /\.bin$/i];
const ownWeights = /^(model|adapter_model|pytorch_model)/i;
const shard = /-\d+-of-\d+\.(safetensors|bin)$/i;

/** Which files of a model are needed: those at its top level; consolidated copies of the weights are left out. */
export function chooseModelFiles(files: readonly HubFile[]): HubFile[] {
  const top = files.filter(({ path }) => !path.includes('/'));
  return [...top.filter(({ path }) => small.test(path)), ...chooseWeights(top)].sort((a, b) =>
    a.path < b.path ? -1 : 1,
  );
}

function chooseWeights(top: readonly HubFile[]): HubFile[] {
  for (const kind of weightKinds) {
    const tensors = top.filter(({ path }) => kind.test(path));
    const own = tensors.filter(({ path }) => ownWeights.test(path));
    // transformers: a single file goes before shards
    const single = own.filter(({ path }) => /^(model|adapter_model|pytorch_model)\.\w+$/i.test(path));
    if (single.length > 0) return single;
    const sharded = own.filter(({ path }) => shard.test(path));
    if (sharded.length > 0) return sharded;
    // training_args.bin and the like are no weights
    if (kind === weightKinds[0] && tensors.length > 0) return own.length > 0 ? own : tensors;
  }
  return [];
}

/** Whether one of the chosen files holds weights. */
export function isWeightsFile({ path }: HubFile): boolean {
  return !small.test(path);
}

/** What of a model is wanted: all that is read, or only what tells its shape, its tokenizer and its template. */
export type ModelPart = 'all' | 'without weights';

/**
 * Downloads a model and returns its folder, which is a `model_name_or_path`.
 * @throws FileError `hub-no-weights` where it has none that are read, and what `listFiles` and `downloadFiles` throw.
 */
export async function downloadModel(
  name: string,
  hub: HubName,
  revision: string | undefined,
  options: HubOptions = {},
  part: ModelPart = 'all',
): Promise<string> {
  const repository: Repository = { hub, kind: 'model', name, revision };
  const listing = await listFiles(repository, options);
  const chosen = chooseModelFiles(listing.files);
  const files = part === 'all' ? chosen : chosen.filter((file) => !isWeightsFile(file));
  if (part === 'all' && !files.some(({ path }) => weightKinds.some((kind) => kind.test(path)))) {
    throw new FileError('hub-no-weights', { name, hub: hubs[hub].title });
  }
  await downloadFiles(listing, files, options);
  return listing.snapshot.folder;
}

/** Which hub a name without a folder stands for, and how it is asked; names as in the config. */
export interface ModelSource {
  /** Left out: ModelScope where USE_MODELSCOPE_HUB is set, else Hugging Face. */
  readonly hub?: HubName | undefined;
  readonly model_revision?: string | undefined;
  readonly offline?: boolean | undefined;
}

/** Whether a text can be the name of a model on a hub: `name` or `organisation/name`. */
export function isModelName(text: string): boolean {
  return /^[\w-][\w.-]*(\/[\w-][\w.-]*)?$/.test(text) && !isAbsolute(text);
}

/** The hub that names are looked up on. */
export function hubOf({ hub }: ModelSource, env: NonNullable<HubOptions['env']> = process.env): HubName {
  return (
    hub ?? (['1', 'true'].includes((env['USE_MODELSCOPE_HUB'] ?? '').toLowerCase()) ? 'modelscope' : 'huggingface')
  );
}

/**
 * The folder of a model that is given by its path or its name: the path where it is one, else the copy in the cache, without
 * asking the hub; undefined where there is neither.
 */
export async function findModel(
  nameOrPath: string,
  source: ModelSource = {},
  options: HubOptions = {},
): Promise<string | undefined> {
  if (await isThere(nameOrPath)) return nameOrPath;
  if (!isModelName(nameOrPath)) return undefined;
  const repository: Repository = {
    hub: hubOf(source, options.env),
    kind: 'model',
    name: nameOrPath,
    revision: source.model_revision,
  };
  const folder = (await cachedSnapshot(repository, options))?.folder;
  if (folder === undefined) return undefined;
  const needed = await Promise.all(['config.json', 'adapter_config.json'].map((file) => isThere(join(folder, file))));
  return needed.includes(true) ? folder : undefined;
}

/** What a hub says, or what is said of it, where a name is none of its models; a guest is told 401 for those. */
const unanswered: ReadonlySet<string> = new Set(['hub-unreachable', 'hub-offline', 'hub-missing', 'hub-access']);

/**
 * The folder of a model that is given by its path or its name, for a command: a name is brought up to date from its hub.
 * Without a connection the copy in the cache serves. A path that leads nowhere and cannot be a name is given back as it is.
 * @throws FileError as `downloadModel`; `hub-folder` where a folder of this machine was meant, by the looks of it.
 */
export async function fetchModel(
  nameOrPath: string,
  source: ModelSource = {},
  options: HubOptions = {},
  part: ModelPart = 'all',
): Promise<string> {
  if ((await isThere(nameOrPath)) || !isModelName(nameOrPath)) return nameOrPath;
  const hubOptions: HubOptions = { ...options, offline: source.offline === true || isOffline(options) };
  const cached = await findModel(nameOrPath, source, options);
  if (hubOptions.offline === true && cached !== undefined) return cached;
  try {
    return await downloadModel(nameOrPath, hubOf(source, options.env), source.model_revision, hubOptions, part);
  } catch (error) {
    if (!(error instanceof FileError) || !unanswered.has(error.code)) throw error;
    if (cached !== undefined && error.code === 'hub-unreachable') return cached;
    // `saves/run` beside a folder `saves` was hardly meant as a name
    const parent = dirname(nameOrPath);
    if (parent === '.' || !(await isThere(parent))) throw error;
    throw new FileError('hub-folder', { path: nameOrPath, parent, reason: error.message }, { cause: error });
  }
}

/** The keys of a config that name models. */
export interface ModelNames extends ModelSource {
  readonly model_name_or_path?: string | undefined;
  readonly adapter_name_or_path: readonly string[];
  readonly cache_dir?: string | undefined;
}

/** What the config says about the cache. */
export function withCacheFolder({ cache_dir: cacheFolder }: ModelNames, options: HubOptions): HubOptions {
  return cacheFolder === undefined ? options : { ...options, cacheFolder };
}

/**
 * A config with folders of this machine in place of the names of models, which are downloaded.
 * @throws FileError as `fetchModel`.
 */
export async function withLocalModels<C extends ModelNames>(
  config: C,
  options: HubOptions = {},
  part: ModelPart = 'all',
): Promise<C> {
  const { model_name_or_path: model, adapter_name_or_path: adapters } = config;
  const hubOptions = withCacheFolder(config, options);
  // a revision is the base's
  const ofAdapters: ModelSource = { ...config, model_revision: undefined };
  const folders: string[] = [];
  for (const name of adapters) folders.push(await fetchModel(name, ofAdapters, hubOptions, part));
  return {
    ...config,
    ...(model === undefined ? {} : { model_name_or_path: await fetchModel(model, config, hubOptions, part) }),
    adapter_name_or_path: folders,
  };
}
