/** Texts about predictions, comparisons and tasks: refusals, and the words of their results. */

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

const answersOf = (n: number): string => `${n} ${n === 1 ? 'answer' : 'answers'}`;

const otherFolder = 'choose another output_dir, or set overwrite_output_dir: true to replace what is there';

/** Refusals. */
export const evalMessages = {
  'answers-of-other-setting': (f: { dir: string; answers: number; key: string; before: string; now: string }) =>
    `${f.dir}: holds ${answersOf(f.answers)} for which "${f.key}" was ${f.before}, got ${f.now}. Give it the old value to go on, ${otherFolder}`,
  'answers-of-other-content': (f: { dir: string; answers: number; what: 'model' | 'questions' | 'ends' }) =>
    `${f.dir}: holds ${answersOf(f.answers)} for which the content of ${
      { model: 'the model', questions: 'the data set', ends: 'the template' }[f.what]
    } was another than now. Restore it to go on, ${otherFolder}`,
  'answers-unknown': (f: { dir: string; file: string }) =>
    `${f.dir}: must hold no answers, or answers of the same settings, got ${f.file}, which does not say how it was made. Choose another output_dir, or set overwrite_output_dir: true to replace it`,
  'answers-before-training': (f: { dir: string; file: string }) =>
    `${f.dir}: do_predict after training would replace the answers that are there, got ${f.file}. Choose another output_dir, move them away, or set overwrite_output_dir: true to begin anew`,
  'study-needs': (_: object) => 'suppress: the texts to be suppressed must be given, got none',
  'task-unknown': (f: { task: string; choices: readonly string[] }) =>
    `task: must be one of ${f.choices.join(', ')}, got "${f.task}"`,
  'task-part': (f: { task: string; part: string; choices: readonly string[] }) =>
    `task: the part of ${f.task} must be one of ${f.choices.join(', ')}, got "${f.part}"`,
  'task-files': (f: { folder: string; name: string; part: string }) =>
    `task_dir: ${f.folder} must hold the files of ${f.name} (${f.part}), got none. Put them there as their authors publish them, e.g. ${f.name}/dev and ${f.name}/test`,
  'task-subject': (f: { task: string; subject: string; choices: readonly string[] }) =>
    `subjects: must be subjects of ${f.task}, got "${f.subject}". There are ${f.choices.join(', ').slice(0, 400)}`,
  'task-answer': (f: { file: string; line: number; actual: string }) =>
    `${f.file}:${f.line}: the answer must be A, B, C or D, got ${JSON.stringify(f.actual.slice(0, 80))}. A part without published answers cannot be scored`,
  'compare-systems': (_: object) =>
    'adapter_name_or_path: an adapter to compare with its base, or two systems, must be named, got neither',
  'compare-kind': (f: { system: string }) =>
    `systems: ${f.system} must be a model on this machine or a file of answers, got a server. fettle pk compares servers`,
  'compare-answers': (f: { where: string }) =>
    `${f.where}: must be an object with predict and label, as fettle predict writes them, got something else`,
  'compare-rows': (f: { first: string; rows: number; system: string; found: number; row: number }) =>
    `systems: ${f.system} must have answered the same rows as ${f.first}, got ${f.found} rows beside ${f.rows}, the first other one at row ${f.row}`,
  'task-text': (f: { where: string }) => `${f.where}: must be a row with a text under "text", got none`,
};

/** Words of results, in files and on screen. */
export const evalTexts = {
  unmapped: 'unmapped',
  rightLabel: 'right label',
  predictedLabel: 'predicted label',
  accuracy: (accuracy: number, ci: readonly [number, number] | null, n: number, unmapped: number) =>
    `accuracy ${percent(accuracy)}${ci === null ? '' : ` (95 %: ${percent(ci[0])} to ${percent(ci[1])})`}, n = ${n}, unmapped ${unmapped}`,
};

const intervalText = (ci: readonly [number, number] | null, show: (value: number) => string): string =>
  ci === null ? '' : `  (95 %: ${show(ci[0])} to ${show(ci[1])})`;

/** Words of `fettle predict`. */
export const predictTexts = {
  resuming: (done: number, total: number) => `resuming: ${done} of ${total} rows are answered`,
  progress: (done: number, total: number, tokensPerSecond: string, left: string) =>
    `row ${done}/${total}  ${tokensPerSecond} tokens/s  ${left} left`,
  stopped: (done: number, total: number) => `stopped: ${done} of ${total} rows are answered and kept`,
  goOn: (command: string) => `go on with: ${command}`,
  rows: 'rows',
  score: (value: number, ci: readonly [number, number] | null, signature: string | undefined) => {
    const show = (number: number): string => number.toFixed(4);
    return `${show(value)}${intervalText(ci, show)}${signature === undefined ? '' : `  ${signature}`}`;
  },
  share: (value: number, ci: readonly [number, number] | null) => `${percent(value)}${intervalText(ci, percent)}`,
  mapping: (source: 'config' | 'data', labels: readonly string[], rule: string) =>
    `labels ${source === 'config' ? 'of the configuration' : 'found in the data'}: ${labels.join(', ')}. An answer means ${rule}`,
  perClass: (f: { precision: number; recall: number; f1: number; support: number }) =>
    `precision ${percent(f.precision)}  recall ${percent(f.recall)}  F1 ${percent(f.f1)}  rows ${f.support}`,
};

/** Words of `fettle eval`. */
export const taskTexts = {
  progress: (done: number, total: number) => `${done}/${total}`,
  value: (metric: string, value: number, ci: readonly [number, number] | null, n: number) => {
    const show = metric === 'acc' ? percent : (number: number): string => number.toPrecision(6);
    return `${show(value)}${intervalText(ci, show)}  n = ${n}`;
  },
  settings: (settings: Readonly<Record<string, string | number>>) =>
    Object.entries(settings)
      .map(([name, value]) => `${name} ${value}`)
      .join(', '),
};

/** Words of `fettle compare` and of its page. */
export const compareTexts = {
  title: 'Comparison',
  numbers: 'Numbers',
  overview: "LLaMA-Factory's BLEU-4 and ROUGE",
  percent: 'per cent',
  rows: 'Row by row',
  label: 'Right answer',
  prompt: 'Prompt',
  filters: {
    all: 'all rows',
    changed: 'answers differ',
    better: 'better than the first',
    worse: 'worse than the first',
  },
  system: (name: string, source: string) => `${name}: ${source}`,
  against: (name: string, first: string) => `${name} - ${first}`,
  number: (value: number) => value.toFixed(4),
  signed: (value: number) => `${value > 0 ? '+' : ''}${value.toFixed(4)}`,
  range: ([low, high]: readonly [number, number]) => `${low.toFixed(4)} to ${high.toFixed(4)}`,
  rowCounts: (better: number, worse: number, same: number) => `${better} better, ${worse} worse, ${same} same`,
  meaning: (predicted: string | null) => (predicted === null ? 'unmapped' : `means ${predicted}`),
  row: (row: number) => `Row ${row}`,
  cut: (characters: number) => ` ... (${characters} more characters)`,
  note: (n: number) =>
    `${n} rows. Below each number is its 95 % interval by bootstrap over the rows; differences are taken row by row. A difference is called better or worse only where its interval does not hold 0.`,
  mapping: (labels: readonly string[], rule: string) => `Labels: ${labels.join(', ')}. An answer means ${rule}.`,
  rowsNote: (shown: number, all: number) =>
    `${shown} of ${all} rows, those that differ most first; comparison.jsonl holds all. Marked: what the right answer lacks.`,
  verdict: (f: { difference: number; ci: readonly [number, number]; better: number; worse: number; verdict: string }) =>
    `${f.difference > 0 ? '+' : ''}${f.difference.toFixed(4)}  (95 %: ${f.ci[0].toFixed(4)} to ${f.ci[1].toFixed(4)})  ${f.better} rows better, ${f.worse} worse: ${f.verdict}`,
};

/** Words of `fettle study suppress`. */
export const studyTexts = {
  arm: (name: 'plain' | 'suppressed') => (name === 'plain' ? 'without suppression' : 'with suppression'),
  noHeading: 'no heading',
  section: (before: { mean: number; variance: number }, after: { mean: number; variance: number }) =>
    `items ${before.mean.toFixed(2)} -> ${after.mean.toFixed(2)}  variance ${before.variance.toFixed(3)} -> ${after.variance.toFixed(3)}`,
  ratio: (ratio: number, ci: readonly [number, number], n: number) => {
    if (!Number.isFinite(ratio)) {
      return `variance with over without suppression: cannot be told from ${n} prompts, since without it the number of items never varies. Check aspects and the answers, or take more prompts`;
    }
    return `variance with over without suppression: ${ratio.toFixed(3)} (95 %: ${ci[0].toFixed(3)} to ${ci[1].toFixed(3)}), ${n} prompts${
      ci[1] < 1 ? '' : ci[0] > 1 ? ': it has risen' : ': not told apart from 1'
    }`;
  },
};
