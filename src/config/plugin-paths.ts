/** Where plugins may lie: in the folder of the configuration that names them, or below it. */
import { realpathSync } from 'node:fs';
import { dirname, extname, isAbsolute, relative, resolve } from 'node:path';
import type { ConfigProblem } from '../messages/config.ts';
import type { Provenance } from './settings.ts';

const endings = ['.js', '.mjs', '.cjs'];

/** A plugin's absolute path, or what is wrong with it. */
export type PluginPath = { readonly file: string } | { readonly problem: ConfigProblem };

/** Finds a plugin; a path in a file is relative to that file, all others to the current folder. */
export function findPlugin(path: string, { origin, where }: Provenance, configFile: string): PluginPath {
  const folder = origin === 'file' ? dirname(resolve(configFile)) : process.cwd();
  const wrong = (requirement: string, actual: string): PluginPath => ({
    problem: { code: 'plugin-path', fields: { where, path, requirement, actual } },
  });
  if (/^[a-z][a-z0-9+.-]+:/i.test(path) && !isAbsolute(path)) return wrong('a file on this machine', 'an address');
  if (!endings.includes(extname(path)))
    return wrong(`a file that ends with ${endings.join(', ')}`, extname(path) || 'no ending');
  let file: string;
  try {
    file = realpathSync(resolve(folder, path));
  } catch {
    return wrong('a file', 'no such file');
  }
  const inside = relative(realpathSync(folder), file);
  if (inside.startsWith('..') || isAbsolute(inside)) return wrong(`inside ${folder}`, 'a file outside it');
  return { file };
}
