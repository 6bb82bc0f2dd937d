/** Texts about predictions, comparisons and tasks: refusals, and the words of their results. */

const percent = (share: number): string => `${(100 * share).toFixed(2)} %`;

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
