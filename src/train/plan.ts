/** What is told before the first step: every number that follows from config, data and model. */
import { RunError } from '../errors.ts';
import type { PlanEntry } from '../run/index.ts';
import type { TrainerData, TrainerModel } from './job.ts';
import type { Session } from './session.ts';
import type { LoopSettings } from './settings.ts';

/**
 * Says the plan of a run.
 * @throws RunError `nothing-to-train` where there is no batch.
 */
export function announcePlan(session: Session, data: TrainerData, model: TrainerModel, settings: LoopSettings): void {
  if (data.batchesPerEpoch === 0) throw new RunError('nothing-to-train', { batches: 0 });
  const { config, threads } = session;
  const dataEntries = Object.entries(data.plan).filter(
    (entry): entry is [string, number | string] => typeof entry[1] === 'number' || typeof entry[1] === 'string',
  );
  const trained = model.engine.parameters.reduce((sum, { data: values }) => sum + values.length, 0);
  const entries: PlanEntry[] = [
    ...dataEntries.map(([name, value]) => ({ name, value })),
    { name: 'trained_parameters', value: trained },
    ...model.plan,
    { name: 'batch_size', value: config.per_device_train_batch_size },
    { name: 'gradient_accumulation_steps', value: settings.accumulation },
    { name: 'batches_per_epoch', value: data.batchesPerEpoch },
    { name: 'warmup_steps', value: settings.warmupSteps },
    { name: 'learning_rate', value: settings.learningRate },
    { name: 'lr_scheduler_type', value: config.lr_scheduler_type },
    { name: 'threads', value: threads },
    { name: 'output_dir', value: session.folder },
  ];
  // What stands in two places, as steps do, is told once, as the loop has it.
  const own: PlanEntry[] = [
    { name: 'steps_per_epoch', value: settings.stepsPerEpoch },
    { name: 'total_steps', value: settings.totalSteps },
  ];
  const named = new Set(own.map(({ name }) => name));
  session.say({ type: 'plan', entries: [...entries.filter(({ name }) => !named.has(name)), ...own] });
}
