/**
 * What can be said of a config's data sets and template before anything is loaded: told together with the first thing that
 * went wrong, so that one start shows all of it.
 */
import { ConfigError, FettleError } from '../errors.ts';
import {
  builtinTemplateNames,
  nearestTemplateNames,
  type OwnTemplate,
  readOwnTemplate,
  registeredTemplate,
} from '../template/index.ts';
import { errorOf, joinErrors } from './joined-errors.ts';
import { findDatasets } from './registry.ts';

/** The settings that are looked at. */
export interface InputSettings {
  readonly dataset: readonly string[];
  readonly eval_dataset: readonly string[];
  readonly dataset_dir: string;
  readonly template?: string | OwnTemplate | undefined;
}

function requireTemplateName(template: InputSettings['template']): void {
  if (typeof template === 'object') readOwnTemplate(template);
  if (typeof template !== 'string' || builtinTemplateNames().includes(template)) return;
  if (registeredTemplate(template) !== undefined) return;
  throw new ConfigError('template-unknown', { name: template, nearest: nearestTemplateNames(template) });
}

/** Data sets that are not there, and a template that is none. Nothing is downloaded. */
export async function inputProblems(settings: InputSettings): Promise<FettleError[]> {
  const problems = [await errorOf(() => requireTemplateName(settings.template))];
  for (const key of ['dataset', 'eval_dataset'] as const) {
    for (const name of settings[key]) {
      problems.push(await errorOf(() => findDatasets([name], settings.dataset_dir, [], key)));
    }
  }
  return problems.filter((problem) => problem !== undefined);
}

/** Does something; where it is refused, what else is wrong with the inputs is told with it. */
export async function withInputProblems<T>(settings: InputSettings, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof FettleError)) throw error;
    throw joinErrors([error, ...(await inputProblems(settings))]);
  }
}
