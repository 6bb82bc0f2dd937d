/** Texts about the command line: its refusals, and the words that commands print. */
import { formatBytes, formatDuration } from '../util/index.ts';

const didYouMean = (suggestion: string | undefined): string => (suggestion ? `. Did you mean "${suggestion}"?` : '');

export const cliMessages = {
  'unknown-command': (f: { command: string; suggestion?: string | undefined }) =>
    `fettle: unknown command "${f.command}"${didYouMean(f.suggestion)}${f.suggestion ? '' : '. "fettle --help" lists the commands'}`,
  'command-incomplete': (f: { command: string; choices: readonly string[] }) =>
    `fettle ${f.command}: one of ${f.choices.join(', ')} must follow, got nothing`,
  'unknown-flag': (f: { command: string; flag: string; suggestion?: string | undefined }) =>
    `${f.command}: unknown flag "${f.flag}"${didYouMean(f.suggestion)}${f.suggestion ? '' : `. "${f.command} --help" lists the flags`}`,
  'flag-value': (f: { command: string; reason: string }) => `${f.command}: ${f.reason}`,
  'flag-missing': (f: { command: string; flags: readonly string[] }) =>
    `${f.command}: ${f.flags.length === 1 ? f.flags[0] : `one of ${f.flags.join(', ')}`} must be given, got none`,
  'flags-exclude': (f: { command: string; flags: readonly string[] }) =>
    `${f.command}: only one of ${f.flags.join(', ')} may be given, got several`,
  'unexpected-argument': (f: { command: string; argument: string; allowed?: string }) =>
    `${f.command}: takes ${f.allowed === undefined ? 'no arguments' : `only ${f.allowed} and flags`}, got "${f.argument}"`,
  'wrong-ids': (f: { command: string; written: string; vocabularySize: number }) =>
    `${f.command}: --prompt-ids must be whole numbers from 0 to ${f.vocabularySize - 1} with commas, got "${f.written.slice(0, 80)}"`,
  'messages-file': (f: { file: string; where: string; requirement: string; actual: string }) =>
    `${f.file}: ${f.where} must be ${f.requirement}, got ${f.actual}`,
  'no-such-row': (f: { row: number }) => `row ${f.row}: must be a row of the data sets, got a number beyond the last`,
  'unexpected-error': (f: { text: string }) => `fettle: unexpected error: ${f.text}. FETTLE_DEBUG=1 shows where`,
};

/** Said on standard error where nobody reads standard output any longer and the command goes on. */
export const closedOutputText =
  'standard output: nobody reads it any longer. The command goes on, and what it makes stands in its files; Ctrl-C ends it';

/** Words of `fettle doctor`. */
export const doctorTexts = {
  node: 'Node',
  platform: 'platform',
  processor: 'processor',
  flags: 'extensions',
  memory: 'memory',
  limit: 'memory limit',
  disk: 'disk (here)',
  runtime: 'onnxruntime',
  integers: '8-bit products',
  exactIntegers: (exact: boolean) =>
    exact ? 'exact: compute: int8 can be used' : 'overflow on this processor: compute: int8 is refused',
  unknown: 'unknown',
  cores: (cores: number) => `${cores} cores`,
  free: (free: string) => `${free} free`,
  freeOf: (free: string, total: string) => `${free} free of ${total}`,
  noLibrary: (name: string) => `${name}: its library is not installed`,
  notLoadable: (reason: string) => `does not load: ${reason}. Data, template and plan commands work without it`,
};

/** Labels of derived numbers that a run tells before its start, where their names do not say enough. */
export const planLabels: Readonly<Record<string, string>> = {
  tokens: 'tokens per epoch',
  trained_tokens: 'trained tokens per epoch',
  total_steps: 'steps in all',
  step_plan: 'step as a program, or in segments',
  tokens_at_once: 'tokens of a layer at a time',
  output_layer: 'output layer',
  layer_inputs: 'inputs of layers kept in',
  weights_bytes: 'memory for weights',
  trained_bytes: 'memory for what is trained',
  optimizer_bytes: 'memory of the optimiser',
  activation_bytes: 'memory for activations',
  peak_memory_bytes: 'memory expected',
  memory_limit_bytes: 'memory limit',
  longest_cutoff_len: 'longest cutoff_len that fits',
  largest_batch: 'largest batch that fits',
  seconds_per_step: 'seconds per step',
  compute: 'arithmetic of frozen weights',
  compute_loss_error_share: 'its loss on the first batch is off f32 by',
  compute_gradient_cosine: 'its gradient and that of f32: cosine',
};

/** Words of a training run. */
export const trainTexts = {
  resuming: (step: number, total: number, checkpoint: string | null) =>
    `resuming at step ${step} of ${total}${checkpoint === null ? '' : ` from ${checkpoint}`}`,
  quantizing: (left: string | undefined) =>
    `quantising the frozen weights, once for all runs${left === undefined ? '' : `, ${left} left`}`,
  progress: (f: { step: number; total: number; loss?: string; speed?: string; left?: string }) =>
    [
      `step ${f.step}/${f.total}`,
      ...(f.loss === undefined ? [] : [`loss ${f.loss}`]),
      ...(f.speed === undefined ? [] : [`${f.speed} tokens/s`]),
      ...(f.left === undefined ? [] : [`${f.left} left`]),
    ].join('  '),
  trained: (f: {
    step: number;
    total: number;
    loss: string;
    rate: string;
    norm?: string;
    speed?: string;
    left: string;
  }) =>
    [
      `step ${f.step}/${f.total}`,
      `loss ${f.loss}`,
      `lr ${f.rate}`,
      ...(f.norm === undefined ? [] : [`grad_norm ${f.norm}`]),
      ...(f.speed === undefined ? [] : [`${f.speed} tokens/s`]),
      `${f.left} left`,
    ].join('  '),
  evaluated: (step: number, total: number, loss: string) => `step ${step}/${total}  eval_loss ${loss}`,
  evaluatedAlone: (loss: string) => `done: eval_loss ${loss}`,
  evaluating: 'evaluating',
  saving: 'saving',
  checkpoint: (folder: string, best: boolean) => `checkpoint ${folder}${best ? ' (best so far)' : ''}`,
  control: (step: number, command: string) => `step ${step}: obeyed ${command}`,
  stopping: (left: string | undefined) =>
    `finishing the step under way${left === undefined ? '' : ` (about ${left})`}, then saving. Ctrl-C again ends at once`,
  stopped: (step: number, total: number, checkpoint: string | null) =>
    `stopped after step ${step} of ${total}${checkpoint === null ? '' : `, saved in ${checkpoint}`}`,
  goOn: (command: string) => `go on with: ${command}`,
  done: (loss: string, time: string) => `done: train_loss ${loss} in ${time}`,
  files: (files: readonly string[]) => files.join('\n'),
  talk: (command: string) => `talk to it: ${command}`,
  detached: (pid: number, log: string) => `process ${pid} trains on its own; its log is ${log}`,
};

/** Words of an export. */
export const exportTexts = {
  quantizedBase: (bits: number, percent: string): string =>
    `The adapter was trained on weights in ${bits} bits and is merged into the full-precision ones, which differ from those by ${percent} % of their size: the merged model answers a little otherwise than the trained one (compare eval_loss with and without quantization_bit: ${bits})`,
  progress: (tensor: string) => `writing ${tensor}`,
  done: (folder: string, parameters: string, size: string, files: number) =>
    `${folder}: ${parameters} parameters, ${size}, ${files} files`,
};

/** Words of `fettle data preview`. */
export const previewTexts = {
  title: 'What is trained',
  row: (row: number, place: string, tokens: number, trained: number) =>
    `row ${row}  ${place}  ${tokens} tokens, ${trained} trained`,
  dropped: (rule: string, reason: string | undefined) =>
    `dropped: ${rule}${reason === undefined ? '' : ` (${reason})`}`,
  trained: 'trained',
  untrained: 'not trained',
  hover: 'Point at a token to see its id, bytes, label and weight, and why it is trained or not.',
  token: (f: {
    position: number;
    id: number;
    bytes: string;
    label: number;
    weight: number;
    why?: string | undefined;
  }) =>
    `token ${f.position}: id ${f.id}, bytes ${f.bytes}, label ${f.label}, weight ${f.weight}${
      f.why === undefined ? '' : `: ${f.why}`
    }`,
  /** Why a token is trained or not. */
  reasons: {
    prompt: 'prompt, header of the answer included',
    answer: 'answer',
    end: 'end of the answer',
    'after-end': 'after the end of the answer',
    'not-trained': 'answer marked as not trained',
    history: 'earlier answer (mask_history)',
    'outside-span': 'outside the trained spans',
  },
  rowNumber: (written: string) => `--row must be a whole number from 0 on, got "${written}"`,
};

/** Words of `fettle data check`. */
export const checkTexts = {
  /** The message names file and line itself. */
  finding: (f: { rule: string; severity: string; message: string }) => `${f.message} [${f.severity}: ${f.rule}]`,
  summary: (errors: number, warnings: number) => `${errors} errors, ${warnings} warnings`,
  fixed: (f: { file: string; rows: number; left_out: number; changed: number }) =>
    `${f.file}: ${f.rows} rows written, ${f.changed} of them repaired, ${f.left_out} left out`,
};

/** Words of `fettle plan`. */
export const planTexts = {
  fits: (peak: string, limit: string) => `fits: ${peak} of ${limit}`,
  tooLarge: (peak: string, limit: string) => `does not fit: ${peak} of ${limit}`,
  noData: 'without a data set no step can be timed',
  searching: 'planning, and looking for the longest rows and the largest batches that fit',
  download: (f: {
    name: string;
    hub: string;
    files: number;
    bytes: number;
    cachedFiles: number;
    cachedBytes: number;
    bytesRead: () => number;
  }) =>
    `training will download the weights of ${f.name} from ${f.hub}: ${f.files} ${f.files === 1 ? 'file' : 'files'}, ${formatBytes(f.bytes)}; in the cache ${f.cachedFiles} of them, ${formatBytes(f.cachedBytes)}; read for this plan ${formatBytes(f.bytesRead())}`,
};

/** Words of `fettle data stats`. */
export const statsTexts = {
  all: 'all data sets',
  rows: 'rows',
  dropped: 'dropped',
  sequences: 'sequences',
  tokens: 'tokens',
  trained: 'trained tokens',
  length: 'length in tokens',
  prompt: 'prompt',
  response: 'response',
  turns: 'rows by assistant turns',
  languages: 'rows by script',
  title: (names: string) => `Tokens per sequence: ${names}`,
  subtitle: (sequences: number, trained: number) =>
    `${sequences} sequences, ${(trained * 100).toFixed(1)} % of their tokens trained`,
  median: (value: number) => `median ${value}`,
  trainedShare: (count: string, share: number) => `${count} (${(share * 100).toFixed(1)} %)`,
  summary: (f: { min: number; median: number; mean: number; p90: number; p99: number; max: number }) =>
    `min ${f.min}, median ${f.median}, mean ${f.mean}, 90 % ${f.p90}, 99 % ${f.p99}, max ${f.max}`,
  plotName: (file: string) => `--plot must end in .svg or .png, got "${file}"`,
};

/** Words of `fettle chat`. */
export const chatTexts = {
  help: [
    '/clear begins anew, /retry answers again, /save FILE keeps the conversation, /system TEXT sets the system text, /exit ends;',
    'a line that ends in \\ goes on in the next; Ctrl-C ends an answer.',
  ].join('\n'),
  prompt: '> ',
  cleared: 'a new conversation begins',
  nothingToRetry: 'there is no question yet',
  unknown: (command: string) =>
    `${command} is no command of the chat: there are /clear, /retry, /save, /system, /help and /exit`,
  saved: (file: string) => `saved in ${file}`,
  saveWhere: '/save needs the name of a file: /save chat.json',
  exists: (file: string) => `${file} is there already: choose another name`,
  nothingToSave: 'there is nothing to save yet',
  tooLong: (tokens: number, known: number) =>
    `the prompt has ${tokens} tokens, the model knows ${known}: the answer may be of no use, and takes long. Shorten it (/clear in a chat)`,
  systemSet: 'the system text is set',
  systemGone: 'there is no system text of the chat any more',
};

/** Words of `fettle data prepare`. */
export const prepareTexts = {
  written: (f: { folder: string; rows_valid: number; rows_read: number; identity: string }) =>
    `${f.folder}: ${f.rows_valid} of ${f.rows_read} rows written (sha256 of all that made them: ${f.identity})`,
};

/** Words of `fettle data proof`. */
export const proofTexts = {
  template: 'template',
  compared: "compared with the model's own",
  yes: 'yes',
  no: 'no',
  conversations: 'conversations',
  sequences: 'sequences',
  turns: 'trained turns',
  splits: 'splits between prompt and answer',
  own: 'turns in a sequence of their own',
  refused: 'rows that the template refuses',
  proven: 'Every prompt at inference is how the trained ids begin.',
  broken: (counts: Readonly<Record<string, number>>) =>
    `mismatches: ${Object.entries(counts)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ')}`,
};

/** Words of `fettle download`. */
export const downloadTexts = {
  hub: (hub: string) => `--hub must be huggingface or modelscope, got "${hub}"`,
  begins: (path: string, total: number) => `downloading ${path} (${formatBytes(total)})`,
  progress: (bytes: number, total: number, perSecond: number) =>
    `${formatBytes(bytes)} of ${formatBytes(total)}${
      perSecond > 0 ? `, ${formatDuration((total - bytes) / perSecond)} left` : ''
    }`,
};
