/** A model before it is downloaded: its small files on this machine, of its weights only what their headers say. */
import type { RemoteFiles } from '../formats/index.ts';
import { downloadFile, downloadFiles, type Listing, listFiles, presentBytes } from './download.ts';
import { type HubFile, type HubOptions, hubs, isOffline } from './hub.ts';
import {
  chooseModelFiles,
  fetchModel,
  findModel,
  hubOf,
  isModelName,
  isWeightsFile,
  type ModelNames,
  type ModelSource,
  withCacheFolder,
} from './model.ts';
import { FileError } from '../errors.ts';
import { isThere } from '../formats/index.ts';
import { type RemoteSource, remoteSource } from './remote-source.ts';

/** What a download would bring. */
export interface PendingDownload {
  readonly name: string;
  /** The hub's name for people. */
  readonly hub: string;
  /** Files of weights, those in the cache included. */
  readonly files: number;
  readonly bytes: number;
  /** Files, and bytes of these and of broken downloads, that are in the cache. */
  readonly cachedFiles: number;
  readonly cachedBytes: number;
  /** Bytes of the weights' files that were read so far, headers and nothing else. */
  readonly bytesRead: () => number;
}

/** A model whose weights may be elsewhere. */
export interface ModelOutline {
  /** The folder of what is on this machine. */
  readonly folder: string;
  /** Files of weights that are not; none where all are. */
  readonly remote: RemoteFiles;
  readonly download: PendingDownload | undefined;
}

/**
 * The outline of a model that is given by its path or its name: brings all but the weights from its hub. A path, and a model
 * that lies whole in the cache, have nothing that is elsewhere.
 * @throws FileError `hub-offline` and as `downloadModel`.
 */
export async function outlineModel(
  nameOrPath: string,
  source: ModelSource = {},
  options: HubOptions = {},
): Promise<ModelOutline> {
  const whole = (folder: string): ModelOutline => ({ folder, remote: new Map(), download: undefined });
  if ((await isThere(nameOrPath)) || !isModelName(nameOrPath)) return whole(nameOrPath);
  const hubOptions: HubOptions = { ...options, offline: source.offline === true || isOffline(options) };
  const hub = hubOf(source, options.env);
  let listing: Listing;
  try {
    listing = await listFiles({ hub, kind: 'model', name: nameOrPath, revision: source.model_revision }, hubOptions);
  } catch (error) {
    // Python's library may have brought it, so that we know no list
    const cached = await findModel(nameOrPath, source, options);
    if (cached === undefined || !(error instanceof FileError)) throw error;
    if (!['hub-unreachable', 'hub-offline'].includes(error.code)) throw error;
    return whole(cached);
  }
  const chosen = chooseModelFiles(listing.files);
  const weights = chosen.filter(isWeightsFile);
  if (weights.length === 0) throw new FileError('hub-no-weights', { name: nameOrPath, hub: hubs[hub].title });
  await downloadFiles(
    listing,
    chosen.filter((file) => !isWeightsFile(file)),
    hubOptions,
  );
  return outlineWeights(listing, weights, hubOptions);
}

async function outlineWeights(
  listing: Listing,
  weights: readonly HubFile[],
  options: HubOptions,
): Promise<ModelOutline> {
  const { name, hub } = listing.repository;
  const remote = new Map<string, RemoteSource>();
  let cachedBytes = 0;
  for (const file of weights) {
    const present = await presentBytes(listing, file);
    cachedBytes += present.bytes;
    if (present.isWhole) await downloadFile(listing, file, options);
    else remote.set(file.path, remoteSource(listing, file, options));
  }
  const { folder } = listing.snapshot;
  if (remote.size === 0) return { folder, remote, download: undefined };
  if (isOffline(options)) throw new FileError('hub-offline', { name, hub: hubs[hub].title });
  const download: PendingDownload = {
    name,
    hub: hubs[hub].title,
    files: weights.length,
    bytes: weights.reduce((sum, { bytes }) => sum + bytes, 0),
    cachedFiles: weights.length - remote.size,
    cachedBytes,
    bytesRead: () => [...remote.values()].reduce((sum, { bytesRead }) => sum + bytesRead(), 0),
  };
  return { folder, remote, download };
}

/** A config whose base model may be an outline. */
export interface OutlinedConfig<C> {
  readonly config: C;
  readonly remote: RemoteFiles;
  readonly download: PendingDownload | undefined;
}

/**
 * A config with folders of this machine in place of the names of models: adapters are downloaded, of the base model all but
 * its weights.
 * @throws FileError as `outlineModel` and `fetchModel`.
 */
export async function withOutline<C extends ModelNames>(
  config: C,
  options: HubOptions = {},
): Promise<OutlinedConfig<C>> {
  const hubOptions = withCacheFolder(config, options);
  const folders: string[] = [];
  for (const name of config.adapter_name_or_path) {
    folders.push(await fetchModel(name, { ...config, model_revision: undefined }, hubOptions));
  }
  const { model_name_or_path: model } = config;
  const base = model === undefined ? undefined : await outlineModel(model, config, hubOptions);
  return {
    config: {
      ...config,
      ...(base === undefined ? {} : { model_name_or_path: base.folder }),
      adapter_name_or_path: folders,
    },
    remote: base?.remote ?? new Map(),
    download: base?.download,
  };
}
