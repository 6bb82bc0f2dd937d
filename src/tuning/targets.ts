/** Which linear modules a `lora_target` means. */
import { ConfigError } from '../errors.ts';
import type { LinearModule, Model } from '../models/index.ts';

/**
 * The modules that the names choose: `all` is every linear module but the output layer, as LLaMA-Factory's; any other
 * name is the end of a module's name (`q_proj`, `self_attn.q_proj`), as PEFT's.
 * @throws ConfigError naming the targets that no module has, with those that there are.
 */
export function targetModules(model: Model, targets: readonly string[]): LinearModule[] {
  const wanted = new Set(targets);
  const all = wanted.delete('all') || wanted.delete('all-linear');
  const found = new Set<string>();
  const chosen = model.linearModules.filter(({ name }) => {
    const matching = [...wanted].filter((target) => isEndOf(target, name));
    for (const target of matching) found.add(target);
    return matching.length > 0 || (all && name !== model.outputModule);
  });
  const unknown = [...wanted].filter((target) => !found.has(target));
  if (unknown.length > 0) {
    throw new ConfigError('unknown-lora-target', { targets: unknown, available: shortNames(model.linearModules) });
  }
  return chosen;
}

/**
 * The full names of modules that are trained as a whole (`additional_target`): a name is the end of a module's name.
 * @throws ConfigError naming those that the model does not have.
 */
export function wholeModules(model: Model, names: readonly string[]): string[] {
  const modules = [
    ...new Set([...model.parameters.map(({ name }) => name.slice(0, name.lastIndexOf('.'))), model.outputModule]),
  ];
  const unknown = names.filter((name) => !modules.some((module) => isEndOf(name, module)));
  if (unknown.length > 0) {
    const available = [...new Set(modules.map((name) => name.slice(name.lastIndexOf('.') + 1)))];
    throw new ConfigError('unknown-additional-target', { targets: unknown, available });
  }
  return modules.filter((module) => names.some((name) => isEndOf(name, module)));
}

function isEndOf(name: string, module: string): boolean {
  return module === name || module.endsWith(`.${name}`);
}

/** The last parts of the modules' names, each once. */
export function shortNames(modules: readonly Pick<LinearModule, 'name'>[]): string[] {
  return [...new Set(modules.map(({ name }) => name.slice(name.lastIndexOf('.') + 1)))];
}
