/** Texts about runs: folders, processes, checkpoints, results. */

/** Rows are named up to this number; more would bury the message. */
const mostRowsNamed = 20;

function rowList(rows: readonly number[]): string {
  const shown = rows.slice(0, mostRowsNamed).join(', ');
  return rows.length > mostRowsNamed ? `${shown} and ${rows.length - mostRowsNamed} more` : shown;
}

function checkpointRest(checkpoint: string | null): string {
  return checkpoint === null ? 'No checkpoint was written before' : `The last checkpoint is intact: ${checkpoint}`;
}

export const runMessages = {
  'run-locked': (f: { dir: string; pid: number }) =>
    `${f.dir}: a run is writing here (process ${f.pid}). Wait for it, or stop it with Ctrl-C in its terminal`,
  'run-record-broken': (f: { file: string; reason: string }) =>
    `${f.file}: must be the record of a run as Fettle writes it, got a file that cannot be used: ${f.reason}. Choose another output_dir, or set overwrite_output_dir: true`,
  'run-folder-missing': (f: { key: string }) => `${f.key}: a folder for the results must be named, got none`,
  'run-config-differs': (f: { dir: string; key: string; before: string; now: string }) =>
    `${f.dir}: holds an unfinished run whose "${f.key}" is ${f.before}, got ${f.now}. Give it the old value to go on, choose another output_dir, or set overwrite_output_dir: true to replace it`,
  'run-content-differs': (f: { dir: string; what: string; step: number }) =>
    `${f.dir}: holds an unfinished run at step ${f.step} whose ${f.what} had another content than now. Restore it to go on, choose another output_dir, or set overwrite_output_dir: true to replace it`,
  'run-folder-finished': (f: { dir: string }) =>
    `${f.dir}: holds a finished run. Choose another output_dir, or set overwrite_output_dir: true to replace it`,
  'run-folder-occupied': (f: { dir: string; found: readonly string[] }) =>
    `${f.dir}: must be empty or hold a run to go on with, got ${f.found.slice(0, 5).join(', ')}${
      f.found.length > 5 ? ` and ${f.found.length - 5} more` : ''
    }. Choose another output_dir, or set overwrite_output_dir: true`,
  'run-folder-is-input': (f: { dir: string; file: string }) =>
    `${f.dir}: output_dir must not hold files that the run reads, got ${f.file}. Choose another output_dir`,
  'checkpoint-missing': (f: { where: string; checkpoint: string; reason: string }) =>
    `${f.where}: must be a checkpoint that a run can go on from, got ${f.checkpoint}: ${f.reason}`,
  'loss-not-finite': (f: {
    what: 'loss' | 'gradient norm';
    value: string;
    step: number;
    rows: readonly number[];
    checkpoint: string | null;
  }) =>
    `step ${f.step}: the ${f.what} must be finite, got ${f.value} on the batch of rows ${rowList(f.rows)}. ${checkpointRest(
      f.checkpoint,
    )}. A smaller learning_rate or max_grad_norm often helps; look at these rows with "fettle data preview"`,
  'lr-end-too-high': (f: { lrEnd: number; learningRate: number }) =>
    `lr_scheduler_kwargs: lr_end must be below learning_rate (${f.learningRate}), got ${f.lrEnd}`,
  'nothing-to-evaluate': (_: Record<string, never>) =>
    'evaluation: there must be rows to evaluate on, got none. Set eval_dataset or val_size',
  'nothing-to-train': (f: { batches: number }) => `training set: there must be at least one batch, got ${f.batches}`,
  'trainer-killed-for-memory': (f: { setting: string; peakBytes: number | null; certain: boolean }) =>
    `trainer: was killed by the system, ${f.certain ? '' : 'most likely '}because memory ran out${
      f.peakBytes === null ? '' : ` (it had needed ${(f.peakBytes / 1e9).toFixed(1)} GB)`
    }. ${f.setting}`,
  'trainer-died': (f: { how: string; output: string }) =>
    `trainer: must end with a result, got ${f.how}. What it printed last: ${f.output}`,
  'resume-other-threads': (f: { before: number; now: number }) =>
    `threads: the run was begun with ${f.before}, now it has ${f.now}: the last bits of its results may differ`,
  'resume-other-version': (f: { what: string; before: string; now: string }) =>
    `${f.what}: the run was begun with version ${f.before}, now it is ${f.now}: the last bits of its results may differ`,
  'run-replaced': (f: { dir: string; what: string }) =>
    `${f.dir}: the ${f.what} changed: the unfinished run is replaced`,
  'checkpoint-passed-over': (f: { name: string; reason: string }) =>
    `${f.name}: is passed over, because it is not whole: ${f.reason}`,
  'order-not-understood': (f: { reason: string }) => `control.jsonl: an order was not understood: ${f.reason}`,
  'internal-error': (f: { text: string }) => `trainer: ended with an unexpected error: ${f.text}`,
};
