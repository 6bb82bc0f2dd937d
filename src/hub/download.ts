/**
 * Files of a repository in the cache on this machine: listed, downloaded once, continued where a download broke off, and
 * checked by size and checksum before they are used.
 */
import { createHash, type Hash } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { FileError } from '../errors.ts';
import {
  isJsonObject,
  readError,
  readJsonFile,
  readTextFile,
  requireDiskSpace,
  writeError,
  writeFileAtomically,
  writeJsonFile,
} from '../formats/index.ts';
import { alone, listFile, rememberCommit, requireInside, type Snapshot, snapshotAt } from './cache.ts';
import { endpointOf, type HubFile, type HubOptions, hubs, isOffline, type Repository } from './hub.ts';
import { ask, askJson, finally_, PassingError, reasonOf, repeatedly } from './request.ts';

/** A repository with more files than this is taken for a mistake. */
const maxFiles = 200_000;
/** Files that arrive at the same time. */
const parallelFiles = 4;

/** A revision of a repository: its files, and where they lie on this machine. */
export interface Listing {
  readonly repository: Repository;
  /** The commit that the revision stands for; the revision itself where the hub tells none. */
  readonly commit: string;
  readonly files: readonly HubFile[];
  readonly snapshot: Snapshot;
}

/**
 * The files of a repository.
 * @throws FileError `hub-unreachable`, `hub-offline`, `hub-missing`, `hub-access`, `hub-status`; FormatError `hub-answer`, `hub-path`.
 */
export async function listFiles(repository: Repository, options: HubOptions = {}): Promise<Listing> {
  requireInside(repository.name, repository.name);
  const list = listFile(repository, options);
  let commit: string;
  let files: readonly HubFile[];
  let isNew = false;
  try {
    if (isOffline(options)) {
      throw new FileError('hub-offline', { name: repository.name, hub: hubs[repository.hub].title });
    }
    commit = await askCommit(repository, options);
    files = await askFiles({ ...repository, revision: commit }, options);
    isNew = true;
  } catch (error) {
    // Without a connection, what was downloaded before is as good as it was then.
    if (!(error instanceof FileError) || !['hub-unreachable', 'hub-offline'].includes(error.code)) throw error;
    const known = await readJsonFile(list).catch(() => undefined);
    if (!isJsonObject(known) || typeof known['commit'] !== 'string' || !Array.isArray(known['files'])) throw error;
    ({ commit } = known as { commit: string });
    files = known['files'] as unknown as HubFile[];
  }
  for (const { path } of files) requireInside(repository.name, path);
  const snapshot = snapshotAt(repository, commit, options);
  if (isNew) {
    await mkdir(dirname(list), { recursive: true });
    await writeJsonFile(list, { commit, files });
    await rememberCommit(repository, commit, options);
  }
  return { repository, commit, files, snapshot };
}

async function askCommit(repository: Repository, options: HubOptions): Promise<string> {
  const hub = hubs[repository.hub];
  const revision = repository.revision ?? hub.mainBranch;
  const url = hub.commitUrl?.(endpointOf(repository.hub, options), repository, revision);
  if (url === undefined) return revision;
  const { value } = await askJson(url, repository, options);
  const commit = isJsonObject(value as never) ? (value as Record<string, unknown>)['sha'] : undefined;
  return typeof commit === 'string' && /^[0-9a-f]{7,64}$/.test(commit) ? commit : revision;
}

async function askFiles(repository: Repository, options: HubOptions): Promise<HubFile[]> {
  const hub = hubs[repository.hub];
  const files: HubFile[] = [];
  const endpoint = endpointOf(repository.hub, options);
  let url: string | undefined = hub.listUrl(endpoint, repository, repository.revision ?? hub.mainBranch);
  while (url !== undefined && files.length < maxFiles) {
    const { value, next } = await askJson(url, repository, options);
    files.push(...hub.readFiles(value, url));
    url = next;
  }
  return files;
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

/** Adds what stands in a file to a hash. */
async function hashFile(path: string, hash: Hash): Promise<void> {
  const file = await open(path, 'r');
  try {
    for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk as Buffer);
  } finally {
    await file.close();
  }
}

/** Appends what the hub still has of a file. */
async function appendRest(
  url: string,
  path: string,
  repository: Repository,
  file: HubFile,
  options: HubOptions,
): Promise<void> {
  let have = (await sizeOf(path)) ?? 0;
  if (have > file.bytes) {
    await rm(path);
    have = 0;
  }
  if (have === file.bytes && have > 0) return;
  const response = await ask(url, repository, options, have > 0 ? { range: `bytes=${have}-` } : {});
  if (response.status === 416) {
    await response.body?.cancel();
    await rm(path, { force: true });
    throw new PassingError(new FileError('hub-status', { url, status: 416 }));
  }
  // A hub that does not continue sends the whole file again.
  if (response.status !== 206) have = 0;
  const target = await open(path, have > 0 ? 'a' : 'w');
  try {
    const reader = response.body?.getReader();
    for (let read = await reader?.read(); read !== undefined && !read.done; read = await reader?.read()) {
      const chunk = read.value as Uint8Array;
      have += chunk.length;
      if (have > file.bytes) break;
      await target.write(chunk).catch(async (error: unknown) => {
        throw await writeError(error, path, file.bytes - have);
      });
      options.onProgress?.(file.path, have, file.bytes);
    }
    await reader?.cancel();
    await target.sync();
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new PassingError(new FileError('hub-unreachable', { url, reason: reasonOf(error) }, { cause: error }));
  } finally {
    await target.close();
  }
  if (have < file.bytes)
    throw new PassingError(new FileError('hub-unreachable', { url, reason: `only ${have} of ${file.bytes} bytes` }));
}

async function checksumOf(path: string, { sha256, gitSha1 }: HubFile): Promise<string | undefined> {
  if ((sha256 ?? gitSha1) === undefined) return undefined;
  const hash =
    sha256 === undefined ? createHash('sha1').update(`blob ${(await sizeOf(path)) ?? 0}\0`) : createHash('sha256');
  await hashFile(path, hash);
  return hash.digest('hex');
}

/** @throws FileError `hub-size`, `hub-checksum`; the file is removed. */
async function verify(path: string, target: string, file: HubFile): Promise<void> {
  const actualBytes = (await sizeOf(path)) ?? 0;
  const expected = file.sha256 ?? file.gitSha1;
  const actual = await checksumOf(path, file);
  if (actualBytes === file.bytes && actual === expected) return;
  await rm(path, { force: true });
  if (actualBytes !== file.bytes)
    throw new FileError('hub-size', { file: target, expectedBytes: file.bytes, actualBytes });
  throw new FileError('hub-checksum', { file: target, expected: expected!, actual: actual! });
}

/**
 * Whether a file of the cache is the one that the hub has. A blob is named by its own checksum and appears whole; a file under
 * its own name (ModelScope) is hashed once, and a small file beside it remembers that.
 */
async function isWhole(blob: string, file: HubFile): Promise<boolean> {
  if ((await sizeOf(blob)) !== file.bytes) return false;
  const checksum = file.sha256 ?? file.gitSha1;
  if (checksum === undefined || basename(blob) === checksum) return true;
  const checked = checksumFile(blob);
  if ((await readTextFile(checked).catch(() => undefined)) === checksum) return true;
  if ((await checksumOf(blob, file)) !== checksum) return false;
  await writeFileAtomically(checked, checksum);
  return true;
}

function checksumFile(path: string): string {
  return join(dirname(path), `.${basename(path)}.checksum`);
}

/** The name that Python's library gives to what has not arrived whole. */
const partialOf = (blob: string): string => `${blob}.incomplete`;

/** What the cache has of a file: it whole, or the bytes of a broken download. */
export async function presentBytes(
  { snapshot }: Listing,
  file: HubFile,
): Promise<{ readonly isWhole: boolean; readonly bytes: number }> {
  const blob = snapshot.blobOf(file);
  if (await isWhole(blob, file)) return { isWhole: true, bytes: file.bytes };
  return { isWhole: false, bytes: Math.min(file.bytes, (await sizeOf(partialOf(blob))) ?? 0) };
}

/**
 * Downloads a file into the cache, if it is not there, and returns its path. A broken download is continued, by a later
 * call too. What lies in the cache under its name is whole and has been checked.
 * @throws FileError `hub-unreachable`, `hub-offline`, `hub-missing`, `hub-access`, `hub-checksum`, `hub-size`, `disk-full`.
 */
export async function downloadFile(listing: Listing, file: HubFile, options: HubOptions = {}): Promise<string> {
  const { repository, commit, snapshot } = listing;
  const { hub, name } = repository;
  requireInside(name, file.path);
  const target = join(snapshot.folder, file.path);
  const blob = snapshot.blobOf(file);
  if (!(await isWhole(blob, file))) {
    if (isOffline(options)) throw new FileError('hub-offline', { name, hub: hubs[hub].title });
    try {
      await mkdir(dirname(blob), { recursive: true });
    } catch (error) {
      throw readError(error, dirname(blob));
    }
    await alone(blob, async () => {
      // another process may have brought it meanwhile
      if (!(await isWhole(blob, file))) await fetchBlob(repository, commit, file, blob, target, options);
    });
  }
  await snapshot.publish(file);
  return target;
}

async function fetchBlob(
  repository: Repository,
  commit: string,
  file: HubFile,
  blob: string,
  target: string,
  options: HubOptions,
): Promise<void> {
  const { hub } = repository;
  const partial = partialOf(blob);
  await requireDiskSpace(blob, file.bytes - ((await sizeOf(partial)) ?? 0));
  const url = hubs[hub].fileUrl(endpointOf(hub, options), repository, commit, file.path);
  await finally_(
    repeatedly(
      options,
      () => appendRest(url, partial, repository, file, options),
      (error) => error instanceof PassingError,
    ),
  );
  await verify(partial, target, file);
  await rename(partial, blob);
  const checksum = file.sha256 ?? file.gitSha1;
  if (checksum !== undefined && basename(blob) !== checksum) await writeFileAtomically(checksumFile(blob), checksum);
}

/** Downloads files, some at a time, and returns their paths in order. @throws as `downloadFile` */
export async function downloadFiles(
  listing: Listing,
  files: readonly HubFile[],
  options: HubOptions = {},
): Promise<string[]> {
  const paths: string[] = [];
  let next = 0;
  const controller = new AbortController();
  const work = async (): Promise<void> => {
    while (next < files.length && !controller.signal.aborted) {
      const index = next++;
      try {
        paths[index] = await downloadFile(listing, files[index]!, options);
      } catch (error) {
        controller.abort();
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: Math.min(parallelFiles, files.length) }, work));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  return paths;
}
