/** What every recipe does between its data and model and its results: the loop with its files around it. */
import { join } from 'node:path';
import { writeJsonFile } from '../formats/index.ts';
import { adamw, type Optimizer, sgd } from '../optim/index.ts';
import { checkpointName, runPaths, type TrainResults } from '../run/index.ts';
import { restoreTensors, rotateCheckpoints, writeCheckpointFolder } from './checkpoint.ts';
import { evaluate, evaluationEntry } from './evaluate.ts';
import type { TrainerData, TrainerModel } from './job.ts';
import { epochOf, isBetter, trainLoop } from './loop.ts';
import { openReporter, type Reporter, type ScalarSink } from './reporter.ts';
import { evalResults, plotLoss, trainerState, trainResults, writeResults } from './results.ts';
import type { BegunRun, Session } from './session.ts';
import type { LoopSettings } from './settings.ts';
import type { HistoryEntry, LoopState } from './state.ts';

/** How a run ended. */
export type RunEnd =
  | { readonly kind: 'done'; readonly results: TrainResults; readonly files: readonly string[] }
  | { readonly kind: 'stopped'; readonly step: number; readonly totalSteps: number; readonly checkpoint: string };

/** What a recipe hands over. */
export interface TrainingParts {
  readonly session: Session;
  readonly data: TrainerData;
  readonly model: TrainerModel;
  readonly optimizer: Optimizer;
  readonly settings: LoopSettings;
  readonly run: BegunRun;
  readonly stopRequested: () => boolean;
  readonly sinks?: readonly ScalarSink[];
}

/** The update rule that the config asks for, over the model's parameters. */
export function createOptimizer(session: Session, model: TrainerModel): Optimizer {
  const { config } = session;
  const common = { weightDecay: config.weight_decay, ...(model.decays === undefined ? {} : { decays: model.decays }) };
  const { parameters } = model.engine;
  switch (config.optim) {
    case 'adamw_torch':
      return adamw(parameters, {
        ...common,
        beta1: config.adam_beta1,
        beta2: config.adam_beta2,
        epsilon: config.adam_epsilon,
      });
    case 'sgd':
      return sgd(parameters, common);
  }
}

/** Trains to the end or to a stop, and leaves in the folder what the contract promises. */
export async function runTraining(parts: TrainingParts): Promise<RunEnd> {
  const { session, data, model, optimizer, settings, run, stopRequested, sinks = [] } = parts;
  const { config, folder, keeper, threads } = session;
  const { state } = run;
  const now = () => performance.now();
  let lastCheckpoint = run.checkpoint;
  const reporter = openReporter({
    folder,
    totalSteps: settings.totalSteps,
    keeper,
    sinks,
    secondsBefore: state.seconds,
    tokensBefore: state.tokens,
    now,
  });
  const about = () => ({
    folder: config.output_dir ?? folder,
    batchSize: config.per_device_train_batch_size,
    epoch: epochOf(state, data.batchesPerEpoch),
  });
  const saveModel = async (to: string) => {
    await model.save(to);
    await data.save(to);
  };

  const save = async (): Promise<string> => {
    const { lastEvaluation } = state;
    if (lastEvaluation?.step === state.step && isBetter(settings, lastEvaluation.loss, state.bestSaved)) {
      state.bestSaved = { metric: lastEvaluation.loss, step: state.step };
    }
    const name = await writeCheckpointFolder(folder, {
      runId: run.id,
      state,
      parameters: model.engine.parameters,
      optimizer,
      seed: settings.seed,
      threads,
      form: model.form,
      hashes: run.hashes,
      saveModel,
      trainerState: trainerState(state, settings, about()),
    });
    lastCheckpoint = join(folder, name);
    await rotateCheckpoints(folder, settings.saving.keep, settings.loadBest ? state.bestSaved?.step : undefined);
    return lastCheckpoint;
  };

  try {
    const end = await trainLoop(
      {
        engine: model.engine,
        optimizer,
        batches: data,
        settings,
        reporter,
        control: run.control,
        replay: run.replay,
        save,
        recordControl: (control) => run.recordControl(control),
        stopRequested,
        lastCheckpoint: () => lastCheckpoint,
        now,
      },
      state,
    );
    if (end.kind === 'stopped') {
      const stopped = { step: state.step, totalSteps: settings.totalSteps, checkpoint: end.checkpoint };
      await reporter.enter('stopped');
      reporter.say({ type: 'stopped', ...stopped });
      return { kind: 'stopped', ...stopped };
    }
    await reporter.enter('saving');
    if (end.keepBest && state.bestSaved !== null && state.bestSaved.step !== state.step) {
      await restoreTensors(join(folder, checkpointName(state.bestSaved.step)), model.engine.parameters);
    }
    const files = await leaveResults(parts, reporter, saveModel, end.keepBest);
    const results = trainResults(state, about().epoch, data.plan);
    await writeResults(folder, { train: results });
    await keeper.write({ state: 'done', step: state.step });
    reporter.say({ type: 'state', state: 'done' });
    reporter.say({ type: 'done', results, files });
    return { kind: 'done', results, files };
  } finally {
    await reporter.close();
  }
}

async function leaveResults(
  parts: TrainingParts,
  reporter: Reporter,
  saveModel: (folder: string) => Promise<void>,
  keepBest: boolean,
): Promise<string[]> {
  const { session, data, model, settings, run } = parts;
  const { config, folder } = session;
  const { state } = run;
  const epoch = epochOf(state, data.batchesPerEpoch);
  await saveModel(folder);
  const files = [folder];
  if (config.do_eval && data.evaluation.length > 0) {
    const kept = keepBest && state.bestSaved !== null ? state.bestSaved.step : state.step;
    const evaluation = evalResults(await evaluationOf(kept, model, data, reporter, state, epoch));
    await writeResults(folder, { evaluation });
  }
  const about = { folder: config.output_dir ?? folder, batchSize: config.per_device_train_batch_size, epoch };
  const { data_plan: _, ...summary } = trainResults(state, epoch, data.plan);
  // Hugging Face's history ends with the results; the checkpoints' histories do not have them yet.
  const history = [...state.history, { step: state.step, total_flos: 0, ...summary }];
  await writeJsonFile(runPaths(folder).trainerState, {
    ...trainerState(state, settings, about),
    log_history: history,
  });
  if (config.plot_loss) files.push(...(await plotLoss(folder, state.history, config.run_name)));
  return files;
}

/** The evaluation of the weights that stay, which are those of step `kept`: the one that was made then, or a new one. */
async function evaluationOf(
  kept: number,
  model: TrainerModel,
  data: TrainerData,
  reporter: Reporter,
  state: LoopState,
  epoch: number,
): Promise<HistoryEntry> {
  const made = state.history.find(({ step, eval_loss: loss }) => step === kept && loss !== undefined);
  if (made !== undefined) return made;
  await reporter.enter('evaluating');
  const result = (await evaluate(model.engine, data.evaluation, () => performance.now()))!;
  const entry = evaluationEntry(result, kept, epoch);
  state.history.push(entry);
  await reporter.log(entry, state, {});
  await reporter.enter('saving');
  return entry;
}
