/** What a finished run leaves besides its model: results, the loss curve, Hugging Face's trainer state. */
import { readFile } from 'node:fs/promises';
import { writeFileAtomically, writeJsonFile } from '../formats/index.ts';
import { checkpointName, type EvalResults, runPaths, type TrainResults } from '../run/index.ts';
import type { LoopSettings } from './settings.ts';
import type { HistoryEntry, LoopState } from './state.ts';

/** The object of `train_results.json`. */
export function trainResults(
  state: LoopState,
  epoch: number,
  dataPlan: Readonly<Record<string, unknown>>,
): TrainResults {
  const seconds = Math.max(state.seconds, 1e-9);
  return {
    epoch,
    train_loss: state.step === 0 ? 0 : state.lossTotal / state.step,
    train_runtime: Number(state.seconds.toFixed(4)),
    train_samples_per_second: Number((state.samples / seconds).toFixed(3)),
    train_steps_per_second: Number((state.step / seconds).toFixed(3)),
    data_plan: dataPlan,
  };
}

/** The object of `eval_results.json` from an entry of the history. */
export function evalResults(entry: HistoryEntry): EvalResults {
  return {
    epoch: entry.epoch,
    eval_loss: entry.eval_loss!,
    eval_runtime: Number((entry.eval_runtime ?? 0).toFixed(4)),
    eval_samples_per_second: Number((entry.eval_samples_per_second ?? 0).toFixed(3)),
    eval_steps_per_second: Number((entry.eval_steps_per_second ?? 0).toFixed(3)),
  };
}

/** The object of `trainer_state.json`, with the fields of transformers' TrainerState. */
export function trainerState(
  state: LoopState,
  settings: LoopSettings,
  about: { folder: string; batchSize: number; epoch: number },
): Record<string, unknown> {
  const { bestSaved } = state;
  return {
    best_global_step: bestSaved?.step ?? null,
    best_metric: bestSaved?.metric ?? state.best?.metric ?? null,
    best_model_checkpoint: bestSaved === null ? null : `${about.folder}/${checkpointName(bestSaved.step)}`,
    epoch: about.epoch,
    eval_steps: settings.evaluation.steps,
    global_step: state.step,
    is_hyper_param_search: false,
    is_local_process_zero: true,
    is_world_process_zero: true,
    log_history: state.history,
    logging_steps: settings.logging.steps,
    max_steps: settings.totalSteps,
    num_input_tokens_seen: state.tokens,
    num_train_epochs: Math.ceil(settings.totalSteps / settings.stepsPerEpoch),
    save_steps: settings.saving.steps,
    stateful_callbacks: {},
    total_flos: 0,
    train_batch_size: about.batchSize,
    trial_name: null,
    trial_params: null,
  };
}

/** Writes the results files; `all_results.json` keeps what other commands have added to it. */
export async function writeResults(
  folder: string,
  results: { train?: TrainResults; evaluation?: EvalResults },
): Promise<void> {
  const paths = runPaths(folder);
  if (results.train !== undefined) await writeJsonFile(paths.trainResults, results.train);
  if (results.evaluation !== undefined) await writeJsonFile(paths.evalResults, results.evaluation);
  let before: Record<string, unknown> = {};
  try {
    before = JSON.parse(await readFile(paths.allResults, 'utf8')) as Record<string, unknown>;
  } catch {
    // None yet.
  }
  await writeJsonFile(paths.allResults, { ...before, ...results.evaluation, ...results.train });
}

/** Draws the loss curve as SVG and PNG. Returns the paths. */
export async function plotLoss(
  folder: string,
  history: readonly HistoryEntry[],
  name: string | undefined,
): Promise<string[]> {
  // The renderer takes memory that a run without pictures should not need.
  const { legendText, lossCurve, svgToPng } = await import('../charts/index.ts');
  const paths = runPaths(folder);
  const svg = lossCurve(history, name === undefined ? {} : { title: `Training loss: ${name}` });
  await writeFileAtomically(paths.lossDrawing, svg);
  const { png, legend } = await svgToPng(svg);
  await writeFileAtomically(paths.lossPicture, png);
  if (legend.length === 0) return [paths.lossPicture, paths.lossDrawing];
  // A run name in another script than the picture's font has: a number stands for it there.
  const legendFile = paths.lossPicture.replace(/\.png$/, '.legend.txt');
  await writeFileAtomically(legendFile, legendText(legend));
  return [paths.lossPicture, paths.lossDrawing, legendFile];
}
