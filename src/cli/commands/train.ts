/** `fettle train`: starts the trainer process and shows its run folder; Ctrl-C finishes the step and saves. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { compareForResume, type FettleConfig, trainingNeeds } from '../../config/index.ts';
import { withModelLength } from '../../data/index.ts';
import { RunError } from '../../errors.ts';
import { predictFileNames } from '../../eval/index.ts';
import { trainTexts } from '../../messages/cli.ts';
import { readRunRecord } from '../../run/index.ts';
import { train, withModelsThatFit } from '../../train/index.ts';
import { type Command, type CommandContext, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { INTERRUPTED } from '../failure.ts';
import { runPredictions } from '../predict-view.ts';
import { shellCommand } from '../shell-command.ts';
import { TrainView } from '../train-view.ts';

/** The command that chats with the result. */
function chatCommand(config: FettleConfig): string {
  const output = config.output_dir!;
  const model =
    config.finetuning_type === 'lora'
      ? [`model_name_or_path=${config.model_name_or_path!}`, `adapter_name_or_path=${output}`]
      : [`model_name_or_path=${output}`];
  return shellCommand(['fettle', 'chat', ...model]);
}

/** Ctrl-C: the first finishes the step and saves, the second ends at once. */
function stopOnInterrupt(context: CommandContext, run: ReturnType<typeof train>): () => boolean {
  let interrupts = 0;
  context.onInterrupt(() => {
    interrupts++;
    // Both end the run, and what goes wrong with it is told by `done`.
    if (interrupts === 1) run.stop().catch(() => undefined);
    else run.kill().catch(() => undefined);
  });
  return () => interrupts > 0;
}

/** How a training that a command started ended. */
interface Trained {
  readonly exitCode: number;
  readonly results?: object | undefined;
}

/** Trains, shows it, and hands on the object of its results. */
async function runTraining(
  context: CommandContext,
  config: FettleConfig,
  options: { readonly detach: boolean; readonly given: readonly string[]; readonly goOn: string },
): Promise<Trained> {
  const { detach, given, goOn } = options;
  const json = context.options['json'] === true;
  const people = json ? context.err : context.out;
  const view = new TrainView(people, { goOn, talk: chatCommand(config) });
  const run = train(config, { detach, given });
  const interrupted = stopOnInterrupt(context, run);
  if (detach) {
    const { pid } = await run.begun;
    people.line(trainTexts.detached(pid, join(run.folder, 'trainer_log.jsonl')));
    return { exitCode: 0 };
  }
  let told = false;
  try {
    for await (const event of run.events) {
      view.show(event);
      told ||= event.type === 'stopped';
      if (json && event.type === 'log') context.out.json(event.line);
    }
    const end = await run.done;
    if (end.state === 'stopped' && !told) view.sayHowToGoOn();
    return {
      exitCode: end.state === 'stopped' && interrupted() ? INTERRUPTED : 0,
      results: end.results ?? end.evaluation,
    };
  } catch (error) {
    // A run that was ended at once has no result: that is what was asked for.
    if (!interrupted()) throw error;
    return { exitCode: INTERRUPTED };
  } finally {
    view.clear();
  }
}

/** The configuration with the trained model in place of the one that training began with. */
function withResult(config: FettleConfig): FettleConfig {
  const output = config.output_dir!;
  if (config.finetuning_type !== 'lora') return { ...config, model_name_or_path: output, adapter_name_or_path: [] };
  const { adapter_name_or_path: before, create_new_adapter: isNew } = config;
  return { ...config, adapter_name_or_path: [...(isNew ? before : before.slice(0, -1)), output] };
}

/** A file of predictions in the folder of a run. */
const predictionFile = (config: FettleConfig, name: keyof typeof predictFileNames): string =>
  join(config.output_dir!, predictFileNames[name]);

/** Whether the folder holds this very run, trained to its end, and predictions that were ended before all were there. */
async function waitsForPredictions(config: FettleConfig, given: readonly string[]): Promise<boolean> {
  const folder = config.output_dir!;
  if (!config.do_train || !config.do_predict) return false;
  if (!existsSync(predictionFile(config, 'journal')) || existsSync(predictionFile(config, 'results'))) return false;
  const record = await readRunRecord(folder).catch(() => undefined);
  if (record?.state !== 'done') return false;
  const asked = await withModelLength(config, given.includes('cutoff_len'), []);
  return compareForResume(record.config as unknown as FettleConfig, asked) === undefined;
}

/** A training must not end with the refusal of its predictions. @throws RunError `answers-before-training` */
function refuseAnswersThere(config: FettleConfig): void {
  if (!config.do_train || !config.do_predict || config.overwrite_output_dir) return;
  const found = (['journal', 'predictions'] as const)
    .map((name) => predictionFile(config, name))
    .find((file) => existsSync(file));
  if (found !== undefined) throw new RunError('answers-before-training', { dir: config.output_dir!, file: found });
}

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag, { flags: '--detach', description: 'let the run go on when this terminal closes' }],
  notes: [
    'An unfinished run in output_dir goes on by itself. Ctrl-C finishes the running step and saves; a second one ends',
    'at once. docs/config.md lists all keys.',
    '',
    'Examples:',
    '  fettle train train.yaml',
    '  fettle train train.yaml learning_rate=1e-4 output_dir=saves/second',
  ],
  async run(context) {
    const { config, given } = await openCommandConfig(context, trainingNeeds, (loaded, hub) =>
      withModelsThatFit(loaded.config, { isGiven: (key) => loaded.given.some((name) => name === key), hub }),
    );
    const detach = context.options['detach'] === true || config.detach;
    const goOn = shellCommand(['fettle', 'train', ...context.arguments]);
    let results: object | undefined;
    if ((config.do_train || config.do_eval) && !(await waitsForPredictions(config, given))) {
      refuseAnswersThere(config);
      const trained = await runTraining(context, config, { detach, given, goOn });
      if (trained.exitCode !== 0 || detach || !config.do_predict) {
        if (context.options['json'] === true && trained.results !== undefined) context.out.json(trained.results);
        return trained.exitCode;
      }
      ({ results } = trained);
    }
    // Predictions of what was trained; their numbers stand in one object with those of the training.
    const { exitCode, end } = await runPredictions(context, config.do_train ? withResult(config) : config, goOn);
    if (context.options['json'] === true) context.out.json({ ...results, ...end.results });
    return exitCode;
  },
};
