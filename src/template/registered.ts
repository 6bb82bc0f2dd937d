/** Templates of plugins, by name: beside the built-in ones. */
import { ConfigError } from '../errors.ts';
import { builtinTemplateNames } from './suggest.ts';
import type { Wording } from './wording.ts';

const registered = new Map<string, Wording>();

/** Adds a template that `template: NAME` then finds. @throws ConfigError `plugin-name-taken` for the name of a built-in one. */
export function registerTemplate(name: string, wording: Wording): void {
  if (builtinTemplateNames().includes(name)) throw new ConfigError('plugin-name-taken', { kind: 'template', name });
  registered.set(name, { ...wording, name });
}

/** The template of a plugin by its name. */
export function registeredTemplate(name: string): Wording | undefined {
  return registered.get(name);
}
