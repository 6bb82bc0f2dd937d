/** `fettle train`: starts the trainer process and shows its run folder; Ctrl-C finishes the step and saves. */
import { join } from 'node:path';
import { type FettleConfig, trainingNeeds } from '../../config/index.ts';
import { trainTexts } from '../../messages/cli.ts';
import { train } from '../../train/index.ts';
import { type Command, type CommandContext, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { INTERRUPTED } from '../failure.ts';
import { TrainView } from '../train-view.ts';

/** An argument as a shell takes it. */
function quoted(argument: string): string {
  return /^[\w@%+=:,./~-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}

/** The command that chats with the result. */
function chatCommand(config: FettleConfig): string {
  const output = config.output_dir!;
  const model =
    config.finetuning_type === 'lora'
      ? [`model_name_or_path=${config.model_name_or_path!}`, `adapter_name_or_path=${output}`]
      : [`model_name_or_path=${output}`];
  return ['fettle', 'chat', ...model].map(quoted).join(' ');
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
    const { config, given } = await openCommandConfig(context, trainingNeeds);
    const json = context.options['json'] === true;
    const people = json ? context.err : context.out;
    const detach = context.options['detach'] === true || config.detach;
    const view = new TrainView(people, {
      goOn: ['fettle', 'train', ...context.arguments].map(quoted).join(' '),
      talk: chatCommand(config),
    });
    const run = train(config, { detach, given });
    const interrupted = stopOnInterrupt(context, run);
    if (detach) {
      const { pid } = await run.begun;
      people.line(trainTexts.detached(pid, join(run.folder, 'trainer_log.jsonl')));
      return 0;
    }
    let told = false;
    try {
      for await (const event of run.events) {
        view.show(event);
        told ||= event.type === 'stopped';
        if (json && event.type === 'log') context.out.json(event.line);
      }
      const end = await run.done;
      const results = end.results ?? end.evaluation;
      if (json && results !== undefined) context.out.json(results);
      if (end.state === 'stopped' && !told) view.sayHowToGoOn();
      return end.state === 'stopped' && interrupted() ? INTERRUPTED : 0;
    } catch (error) {
      // A run that was ended at once has no result: that is what was asked for.
      if (!interrupted()) throw error;
      return INTERRUPTED;
    } finally {
      view.clear();
    }
  },
};
