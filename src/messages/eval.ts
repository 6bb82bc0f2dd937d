/** Texts about predictions, comparisons and tasks: refusals, and the words of their results. */

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

/** Refusals. */
export const evalMessages = {
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
