/** Where files are kept that can be made or downloaded again. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** A folder of the cache: below FETTLE_CACHE, else XDG_CACHE_HOME/fettle, else ~/.cache/fettle. It may not exist yet. */
export function cachePath(name: string, env: NodeJS.ProcessEnv = process.env): string {
  const root = env['FETTLE_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'fettle');
  return join(root, name);
}
