/**
 * Where the files of a repository lie on this machine: the folders that Hugging Face's and ModelScope's Python libraries use,
 * so that what one of them has downloaded is not downloaded again. Source: huggingface_hub 1.x `file_download.py`
 * (`blobs`, `refs`, `snapshots`), modelscope 1.2x `snapshot_download`.
 */
import { lstat, mkdir, open, readFile, rename, rm, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { FormatError } from '../errors.ts';
import { cachePath, isThere, readTextFile, writeFileAtomically } from '../formats/index.ts';
import { type HubFile, type HubOptions, hubs, type Repository } from './hub.ts';

/** Names that a path on disk may be made of; everything else is an attack or a mistake. @throws FormatError `hub-path` */
export function requireInside(name: string, path: string): void {
  const parts = path.split(/[\\/]/);
  const isOutside =
    isAbsolute(path) || /^[A-Za-z]:/.test(path) || path.includes('\0') || parts.includes('..') || parts.includes('');
  if (isOutside) throw new FormatError('hub-path', { name, path });
}

/** The folder of all downloads of a hub. */
export function hubCacheFolder(hub: Repository['hub'], { cacheFolder, env = process.env }: HubOptions = {}): string {
  if (cacheFolder !== undefined) return cacheFolder;
  if (hub === 'modelscope') return env['MODELSCOPE_CACHE'] ?? join(homedir(), '.cache', 'modelscope', 'hub');
  return env['HF_HUB_CACHE'] ?? env['HUGGINGFACE_HUB_CACHE'] ?? join(huggingFaceHome(env), 'hub');
}

/** Where Hugging Face's tools keep what belongs to a user. */
export function huggingFaceHome(env: NonNullable<HubOptions['env']>): string {
  return env['HF_HOME'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'huggingface');
}

/** The folder of a repository with all its revisions. @throws FormatError `hub-path`. */
function repositoryFolder({ hub, kind, name, revision }: Repository, options: HubOptions): string {
  requireInside(name, name);
  if (revision !== undefined) requireInside(name, revision);
  const root = hubCacheFolder(hub, options);
  // ModelScope's library cannot have a point in the name of a folder
  if (hub === 'modelscope')
    return join(root, `${kind}s`, ...name.split('/').map((part) => part.replaceAll('.', '___')));
  return join(root, [`${kind}s`, ...name.split('/')].join('--'));
}

const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** A revision of a repository in the cache: the folder in which its files have their own names. */
export interface Snapshot {
  readonly folder: string;
  /** Where a downloaded file lies and how a snapshot names it: the same path where the hub keeps no versions apart. */
  blobOf(file: HubFile): string;
  /** Makes a downloaded blob appear under its name. */
  publish(file: HubFile): Promise<void>;
}

/** The snapshot of a revision whose commit is known. */
export function snapshotAt(repository: Repository, commit: string, options: HubOptions = {}): Snapshot {
  const root = repositoryFolder(repository, options);
  requireInside(repository.name, commit);
  if (repository.hub === 'modelscope') {
    const blobOf = ({ path }: HubFile): string => join(root, path);
    return { folder: root, blobOf, publish: async () => {} };
  }
  const folder = join(root, 'snapshots', commit);
  const blobOf = ({ path, sha256, gitSha1 }: HubFile): string =>
    // A hub that gives no hash: the file lies in the snapshot itself.
    (sha256 ?? gitSha1) === undefined ? join(folder, path) : join(root, 'blobs', (sha256 ?? gitSha1)!);
  return {
    folder,
    blobOf,
    async publish(file) {
      const target = join(folder, file.path);
      const blob = blobOf(file);
      if (target === blob || (await isThere(target))) return;
      await mkdir(dirname(target), { recursive: true });
      await rm(target, { force: true });
      try {
        await symlink(relative(dirname(target), blob), target);
      } catch {
        // Windows without the right to make links: the library moves the file, too.
        await rename(blob, target);
      }
    },
  };
}

/** Remembers which commit a branch or tag stands for, as Python's library does. */
export async function rememberCommit(repository: Repository, commit: string, options: HubOptions = {}): Promise<void> {
  if (repository.hub === 'modelscope') return;
  const revision = repository.revision ?? hubs[repository.hub].mainBranch;
  if (revision === commit) return;
  const file = join(repositoryFolder(repository, options), 'refs', revision);
  if ((await readTextFile(file).catch(() => undefined)) === commit) return;
  await mkdir(dirname(file), { recursive: true });
  await writeFileAtomically(file, commit);
}

/** The snapshot that the cache has of a revision, or undefined; asks no hub. @throws FormatError `hub-path`. */
export async function cachedSnapshot(repository: Repository, options: HubOptions = {}): Promise<Snapshot | undefined> {
  const root = repositoryFolder(repository, options);
  const revision = repository.revision ?? hubs[repository.hub].mainBranch;
  let commit = revision;
  if (repository.hub === 'huggingface' && !isCommit(revision)) {
    commit = (await readTextFile(join(root, 'refs', revision)).catch(() => '')).trim();
    if (!isCommit(commit)) return undefined;
  }
  const snapshot = snapshotAt(repository, commit, options);
  return (await isThere(snapshot.folder)) ? snapshot : undefined;
}

/** The last known list of a revision's files: what is used where the hub does not answer. */
export function listFile({ hub, kind, name, revision }: Repository, options: HubOptions): string {
  const parts = [hub, `${kind}s`, ...name.split('/'), revision ?? hubs[hub].mainBranch];
  return join(ownFolder('hub-lists', '', options), `${parts.join('--').replaceAll('/', '--')}.json`);
}

/** The folder of what was read of files that are not downloaded. */
export function headersFolder(options: HubOptions): string {
  return ownFolder('hub-headers', 'headers', options);
}

/** A folder of ours: of Fettle's cache, or below the folder of downloads that somebody has named. */
function ownFolder(name: string, below: string, { cacheFolder, env = process.env }: HubOptions): string {
  return cacheFolder === undefined ? cachePath(name, { ...env }) : join(cacheFolder, '.fettle', below);
}

/** Between two looks at a lock that another process holds. */
const lockLookMs = 200;

/**
 * Runs `work` while no other process of Fettle does the same for `path`. A lock whose process has ended is taken over.
 * (Python's libraries lock with the operating system's locks, which Node does not have.)
 */
export async function alone<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = join(dirname(path), `.${basename(path)}.fettle-lock`);
  await mkdir(dirname(lock), { recursive: true });
  for (;;) {
    try {
      const handle = await open(lock, 'wx');
      await handle.write(String(process.pid));
      await handle.close();
      break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      if (await isAbandoned(lock)) await rm(lock, { force: true });
      else await new Promise((resolve) => void setTimeout(resolve, lockLookMs));
    }
  }
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

/** A process that has just made its lock has not yet written its number. */
const youngLockMs = 2_000;

async function isAbandoned(lock: string): Promise<boolean> {
  try {
    const owner = Number(await readFile(lock, 'utf8'));
    if (owner > 0) {
      if (owner === process.pid) return false;
      process.kill(owner, 0);
      return false;
    }
    return Date.now() - (await lstat(lock)).mtimeMs > youngLockMs;
  } catch (error) {
    // no such process: its lock is nobody's; a lock that is gone is looked for again
    return error instanceof Error && 'code' in error && error.code === 'ESRCH';
  }
}
