/**
 * Tokenised rows that a plan leaves in the cache for the training that follows its download, in a process of its own: rows are tokenised once.
 * They are used only where everything that made them is the same. Whoever uses them takes them away first, so that no other start reads
 * what is being removed.
 */
import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FileError } from '../errors.ts';
import { cachePath } from '../formats/index.ts';
import { dataIdentity, prepareData } from './prepare.ts';
import type { RowEncoder } from './row-encoder.ts';
import type { DataSettings } from './settings.ts';

/** A download that takes longer than this has most likely been given up: its rows are tokenised again. */
const longestKeptMs = 3 * 24 * 60 * 60 * 1000;

const placeOf = (name = ''): string => join(cachePath('planned-data'), name);

/** What cannot be removed costs room in the cache and nothing else. */
const remove = (folder: string): Promise<void> => rm(folder, { recursive: true, force: true }).catch(() => undefined);

async function removeOld(): Promise<void> {
  for (const name of await readdir(placeOf()).catch(() => [])) {
    const { mtimeMs } = await stat(placeOf(name)).catch(() => ({ mtimeMs: Infinity }));
    if (Date.now() - mtimeMs > longestKeptMs) await remove(placeOf(name));
  }
}

/** Moves `from` to a place that nobody else uses; undefined where there is nothing. */
async function take(from: string): Promise<string | undefined> {
  const own = `${from}.${randomUUID()}`;
  return rename(from, own).then(
    () => own,
    () => undefined,
  );
}

/** Tokenises the rows into a folder; false where it cannot be written. */
async function isPrepared(folder: string, settings: DataSettings, encoder: RowEncoder): Promise<boolean> {
  try {
    await prepareData(folder, settings, encoder);
    return true;
  } catch (error) {
    if (error instanceof FileError) return false;
    throw error;
  }
}

/**
 * Hands on settings that read rows tokenised into the cache, and leaves them there for `withPlannedData`. Settings that name prepared data of their own
 * stay as they are, also where the cache cannot be written.
 * @throws DataError as `prepareData`; what `use` throws
 */
export async function keepPlannedData<S extends DataSettings, T>(
  settings: S,
  encoder: RowEncoder,
  use: (settings: S) => Promise<T>,
): Promise<T> {
  if (settings.tokenized_path !== undefined) return use(settings);
  await removeOld();
  const place = placeOf(await dataIdentity(settings, encoder));
  const left = await take(place);
  const own = left ?? `${place}.${randomUUID()}`;
  try {
    if (left === undefined && !(await isPrepared(own, settings, encoder))) return await use(settings);
    const result = await use({ ...settings, tokenized_path: own });
    await rename(own, place).catch(() => undefined);
    return result;
  } finally {
    await remove(own);
  }
}

/** Hands on settings that read what a plan has left, where there is something; it goes when `use` has ended. */
export async function withPlannedData<S extends DataSettings, T>(
  settings: S,
  encoder: RowEncoder,
  use: (settings: S) => Promise<T>,
): Promise<T> {
  // Hardly ever is there any: then the files of the data are not read for their hash.
  const isAny = settings.tokenized_path === undefined && (await readdir(placeOf()).catch(() => [])).length > 0;
  const own = isAny ? await take(placeOf(await dataIdentity(settings, encoder))) : undefined;
  if (own === undefined) return use(settings);
  try {
    return await use({ ...settings, tokenized_path: own });
  } finally {
    await remove(own);
  }
}
