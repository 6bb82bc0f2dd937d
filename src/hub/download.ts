/**
 * Files of a repository in a cache on this machine: listed, downloaded once, continued where a download broke off, and
 * checked by size and checksum before they are used.
 */
import { createHash, type Hash } from 'node:crypto';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join } from 'node:path';
import { FileError, FormatError } from '../errors.ts';
import {
  cachePath,
  readError,
  readJsonFile,
  readTextFile,
  requireDiskSpace,
  writeError,
  writeFileAtomically,
  writeJsonFile,
} from '../formats/index.ts';
import { endpointOf, type HubFile, type HubOptions, hubs, type Repository } from './hub.ts';
import { ask, askJson, finally_, PassingError, reasonOf, repeatedly } from './request.ts';

/** The last known list of a repository's files, kept beside them. */
const listName = '.fettle-files.json';
/** A repository with more files than this is taken for a mistake. */
const maxFiles = 200_000;

/** Names that a path on disk may be made of; everything else is an attack or a mistake. */
function requireInside(name: string, path: string): void {
  const parts = path.split(/[\\/]/);
  const isOutside =
    isAbsolute(path) || /^[A-Za-z]:/.test(path) || path.includes('\0') || parts.includes('..') || parts.includes('');
  if (isOutside) throw new FormatError('hub-path', { name, path });
}

function cacheFolder({ cacheFolder: folder, env = process.env }: HubOptions): string {
  if (folder !== undefined) return folder;
  return cachePath('hub', env);
}

/** The folder in which the files of a repository at a revision are kept. @throws FormatError `hub-path`. */
export function repositoryFolder(repository: Repository, options: HubOptions = {}): string {
  const { hub, kind, name } = repository;
  const revision = repository.revision ?? hubs[hub].mainBranch;
  requireInside(name, name);
  requireInside(name, revision);
  return join(cacheFolder(options), hub, `${kind}s`, name.replaceAll('/', '--'), revision.replaceAll('/', '--'));
}

/**
 * The files of a repository.
 * @throws FileError `hub-unreachable`, `hub-missing`, `hub-access`, `hub-status`; FormatError `hub-answer`, `hub-path`.
 */
export async function listFiles(repository: Repository, options: HubOptions = {}): Promise<HubFile[]> {
  const list = join(repositoryFolder(repository, options), listName);
  let files: HubFile[];
  try {
    files = await askFiles(repository, options);
  } catch (error) {
    // Without a connection, what was downloaded before is as good as it was then.
    if (!(error instanceof FileError) || error.code !== 'hub-unreachable') throw error;
    const known = await readJsonFile(list).catch(() => undefined);
    if (!Array.isArray(known)) throw error;
    files = known as unknown as HubFile[];
  }
  for (const { path } of files) requireInside(repository.name, path);
  await writeJsonFile(list, files);
  return files;
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

/** @throws FileError `hub-size`, `hub-checksum`; the file is removed. */
async function verify(path: string, target: string, file: HubFile): Promise<void> {
  const actualBytes = (await sizeOf(path)) ?? 0;
  const expected = file.sha256 ?? file.gitSha1;
  let actual = expected;
  if (file.sha256 !== undefined) {
    const hash = createHash('sha256');
    await hashFile(path, hash);
    actual = hash.digest('hex');
  } else if (file.gitSha1 !== undefined) {
    const hash = createHash('sha1').update(`blob ${actualBytes}\0`);
    await hashFile(path, hash);
    actual = hash.digest('hex');
  }
  if (actualBytes === file.bytes && actual === expected) return;
  await rm(path, { force: true });
  if (actualBytes !== file.bytes)
    throw new FileError('hub-size', { file: target, expectedBytes: file.bytes, actualBytes });
  throw new FileError('hub-checksum', { file: target, expected: expected!, actual: actual! });
}

/**
 * Downloads a file into the cache, if it is not there, and returns its path. A broken download is continued, by a later
 * call too. What lies in the cache under its name is whole and has been checked.
 * @throws FileError `hub-unreachable`, `hub-missing`, `hub-access`, `hub-checksum`, `hub-size`, `disk-full`.
 */
export async function downloadFile(repository: Repository, file: HubFile, options: HubOptions = {}): Promise<string> {
  const { hub, name } = repository;
  requireInside(name, file.path);
  const target = join(repositoryFolder(repository, options), file.path);
  const checksum = file.sha256 ?? file.gitSha1 ?? '';
  const checked = join(dirname(target), `.${basename(target)}.checksum`);
  if ((await sizeOf(target)) === file.bytes && (await readTextFile(checked).catch(() => undefined)) === checksum)
    return target;
  const partial = `${target}.part`;
  try {
    await mkdir(dirname(target), { recursive: true });
  } catch (error) {
    throw readError(error, dirname(target));
  }
  await requireDiskSpace(target, file.bytes - ((await sizeOf(partial)) ?? 0));
  const url = hubs[hub].fileUrl(
    endpointOf(hub, options),
    repository,
    repository.revision ?? hubs[hub].mainBranch,
    file.path,
  );
  await finally_(
    repeatedly(
      options,
      () => appendRest(url, partial, repository, file, options),
      (error) => error instanceof PassingError,
    ),
  );
  await verify(partial, target, file);
  await rename(partial, target);
  await writeFileAtomically(checked, checksum);
  return target;
}
