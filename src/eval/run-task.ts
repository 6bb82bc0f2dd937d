/** `fettle eval`: one task, by its name, on one model. */
import { join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { writeJsonFile } from '../formats/index.ts';
import { type GeneratorSettings, openGenerator } from '../generate/index.ts';
import { choiceTaskNames } from './tasks/choice-form.ts';
import { runLambada } from './tasks/lambada.ts';
import { type ChoiceSettings, runChoiceTask } from './tasks/multiple-choice.ts';
import { type PerplexitySettings, runPerplexity } from './tasks/perplexity.ts';
import type { TaskProgress, TaskResult } from './tasks/task-result.ts';

/** The settings of a task, under their names in the config: a whole config fits. */
export interface TaskSettings
  extends
    GeneratorSettings,
    Omit<ChoiceSettings, 'task' | 'part'>,
    Omit<PerplexitySettings, 'task_dir' | 'max_samples' | 'seed'> {
  readonly task?: string | undefined;
  readonly save_dir?: string | undefined;
}

/** Every task. */
export const taskNames: readonly string[] = [...choiceTaskNames, 'lambada', 'perplexity'];

/** A name such as `mmlu_test` in its two parts. */
function parseTask(written: string): { readonly name: string; readonly part: string | undefined } {
  const [name = '', part] = written.split('_');
  if (!taskNames.includes(name)) throw new ConfigError('task-unknown', { task: written, choices: taskNames });
  return { name, part };
}

/**
 * Runs a task. Writes `results.json` into `save_dir` where one is named.
 * @throws ConfigError `task-unknown`; what reading the files of the task and opening the model throws.
 */
export async function runTask(
  settings: TaskSettings,
  options: { readonly onProgress?: TaskProgress } = {},
): Promise<TaskResult> {
  const { name, part } = parseTask(settings.task ?? '');
  const generator = await openGenerator(settings);
  try {
    const task = choiceTaskNames.find((known) => known === name);
    const result =
      task !== undefined
        ? await runChoiceTask(generator, { ...settings, task, part }, options.onProgress)
        : name === 'lambada'
          ? await runLambada(generator, settings, options.onProgress)
          : await runPerplexity(generator, settings, options.onProgress);
    if (settings.save_dir !== undefined) await writeJsonFile(join(settings.save_dir, 'results.json'), result);
    return result;
  } finally {
    await generator.release();
  }
}
