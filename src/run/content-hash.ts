/**
 * SHA-256 of whole files, remembered by path, size, times and inode, so that a large base model is read once. Two files
 * are the same only if every byte is.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { cachePath, readError, writeFileAtomically } from '../formats/index.ts';

/** A file younger than this may still change within the clock's grain: its hash is not remembered. */
const youngestRememberedMs = 2_000;
/** Beyond this many entries the oldest go: enough for every file of some hundred checkpoints. */
const maxRememberedFiles = 4_096;
/** Large blocks keep the event loop free for reading while the hash is computed. */
const readBlockBytes = 4 << 20;

function cacheFile(): string {
  return cachePath('content-hashes.json');
}

async function readCache(): Promise<Map<string, string>> {
  try {
    const value = JSON.parse(await readFile(cacheFile(), 'utf8')) as Record<string, unknown>;
    return new Map(Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  } catch {
    return new Map();
  }
}

async function hashOne(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const block of createReadStream(path, { highWaterMark: readBlockBytes })) hash.update(block as Buffer);
  return hash.digest('hex');
}

/**
 * The SHA-256 of each file, hex, in the order of `paths`.
 * @throws FileError `file-unreadable`.
 */
export async function hashFiles(paths: readonly string[]): Promise<string[]> {
  const known = await readCache();
  let learned = false;
  const digests: string[] = [];
  for (const path of paths) {
    try {
      const real = await realpath(path);
      const { size, mtimeNs, ctimeNs, mtimeMs, ino } = await stat(real, { bigint: true });
      const key = `${real}|${size}|${mtimeNs}|${ctimeNs}|${ino}`;
      let digest = known.get(key);
      if (digest === undefined) {
        digest = await hashOne(real);
        if (Date.now() - Number(mtimeMs) > youngestRememberedMs) {
          known.set(key, digest);
          learned = true;
        }
      }
      digests.push(digest);
    } catch (error) {
      throw readError(error, path);
    }
  }
  if (learned) {
    const kept = [...known].slice(-maxRememberedFiles);
    // A cache that cannot be written only costs the next start its time.
    await writeFileAtomically(cacheFile(), JSON.stringify(Object.fromEntries(kept))).catch(() => undefined);
  }
  return digests;
}

/** One SHA-256 over names and contents of files: equal only if all are. Names are those given, not full paths. */
export async function hashNamedFiles(files: readonly { name: string; path: string }[]): Promise<string> {
  const digests = await hashFiles(files.map(({ path }) => path));
  const hash = createHash('sha256');
  for (const [index, { name }] of files.entries()) hash.update(`${name}\0${digests[index]!}\n`);
  return hash.digest('hex');
}
