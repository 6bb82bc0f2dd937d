/**
 * Tasks whose answers are labels: which label an answer means, by a rule that is stated with the results, and what follows from it: accuracy,
 * precision and recall of each label, and the confusion matrix. Answers that mean no label are counted, never guessed.
 */
import { mean } from './python-text.ts';

/** How an answer becomes a label. */
export const labelMatches = ['contains', 'exact'] as const;
export type LabelMatch = (typeof labelMatches)[number];

/** The rules in words, as the results state them. */
export const labelMatchTexts: Readonly<Record<LabelMatch, string>> = {
  exact: 'the label that equals the answer, without regard to case and to white space and punctuation at its ends',
  contains:
    'the label that equals the answer, without regard to case and to white space and punctuation at its ends; ' +
    'else the only label that occurs in the answer (within no longer label; Latin ones as whole words); else none',
};

/** The labels of a task; other words that mean one of them are its aliases. */
export interface LabelSet {
  readonly labels: readonly string[];
  readonly aliases?: Readonly<Record<string, readonly string[]>>;
  readonly match: LabelMatch;
}

/** Gives the label that a text means, undefined where it means none or several. */
export type LabelMapper = (text: string) => string | undefined;

/** Labels found in the data: at most so many, each at most so long and, on average, on so many rows at least. */
const mostLabels = 20;
const longestLabel = 32;
const rowsPerLabel = 2;

const ends = /^[\p{P}\p{S}\p{Z}\p{C}]+|[\p{P}\p{S}\p{Z}\p{C}]+$/gu;

function plain(text: string): string {
  return text.normalize('NFKC').toLowerCase().replace(ends, '');
}

/** Whether a character belongs to a word of a script that divides words by blanks. */
function isLetter(character: string | undefined): boolean {
  return character !== undefined && /[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{N}_]/u.test(character);
}

/** Places where a name occurs as a whole. */
function* occurrences(text: string, name: string): Generator<readonly [number, number]> {
  for (let at = text.indexOf(name); at >= 0; at = text.indexOf(name, at + 1)) {
    const after = at + name.length;
    if (isLetter(name[0]) && isLetter(text[at - 1])) continue;
    if (isLetter(name.at(-1)) && isLetter(text[after])) continue;
    yield [at, after];
  }
}

/** Makes the mapping from answers to labels. */
export function labelMapper({ labels, aliases = {}, match }: LabelSet): LabelMapper {
  const names = new Map<string, string>();
  for (const label of labels) {
    // A label of signs alone, such as "+", is compared as it is written.
    for (const name of [label, ...(aliases[label] ?? [])]) names.set(plain(name) || name.trim(), label);
  }
  const ordered = [...names].sort(([a], [b]) => b.length - a.length);
  return (text) => {
    const whole = names.get(plain(text)) ?? names.get(text.trim());
    if (whole !== undefined || match === 'exact') return whole;
    const lower = text.normalize('NFKC').toLowerCase();
    const taken: (readonly [number, number])[] = [];
    const found = new Set<string>();
    for (const [name, label] of ordered) {
      for (const [from, to] of occurrences(lower, name)) {
        if (taken.some(([start, end]) => from >= start && to <= end)) continue;
        taken.push([from, to]);
        found.add(label);
      }
    }
    return found.size === 1 ? [...found][0] : undefined;
  };
}

/**
 * The labels of a data set whose answers look like labels: few, short, and each on several rows.
 * @returns the labels, the most frequent first; undefined where this is no such data set.
 */
export function findLabels(references: readonly string[]): readonly string[] | undefined {
  const counts = new Map<string, number>();
  for (const reference of references) {
    const label = reference.trim();
    if (label === '' || label.length > longestLabel || label.includes('\n')) return undefined;
    counts.set(label, (counts.get(label) ?? 0) + 1);
    if (counts.size > mostLabels) return undefined;
  }
  if (counts.size < 2 || counts.size * rowsPerLabel > references.length) return undefined;
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([label]) => label);
}

/** Precision, recall and F1 of a label, from 0 to 1; 0 where nothing was predicted or nothing was there. */
export interface ClassScores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Rows that have this label. */
  readonly support: number;
}

/** What the labels of all rows come to. */
export interface LabelReport {
  readonly labels: readonly string[];
  /** Rows that were compared: those whose own answer means a label. */
  readonly n: number;
  /** Share of rows with the right label; unmapped answers are wrong ones. */
  readonly accuracy: number;
  /** Answers that mean no label. */
  readonly unmapped: number;
  readonly macroF1: number;
  readonly perClass: Readonly<Record<string, ClassScores>>;
  /** confusion[row of the right label][column of the predicted label]; the last column counts unmapped answers. */
  readonly confusion: readonly (readonly number[])[];
}

/** Compares predicted labels (undefined: unmapped) with the right ones. */
export function labelReport(
  labels: readonly string[],
  pairs: readonly { readonly label: string; readonly predicted: string | undefined }[],
): LabelReport {
  const index = new Map(labels.map((label, i) => [label, i]));
  const confusion = labels.map(() => Array.from({ length: labels.length + 1 }, () => 0));
  for (const { label, predicted } of pairs) {
    const column = predicted === undefined ? labels.length : index.get(predicted)!;
    confusion[index.get(label)!]![column]!++;
  }
  const perClass = labels.map((_, i): ClassScores => {
    const right = confusion[i]![i]!;
    const support = confusion[i]!.reduce((sum, count) => sum + count, 0);
    const predicted = confusion.reduce((sum, row) => sum + row[i]!, 0);
    const precision = predicted === 0 ? 0 : right / predicted;
    const recall = support === 0 ? 0 : right / support;
    const f1 = right === 0 ? 0 : (2 * precision * recall) / (precision + recall);
    return { precision, recall, f1, support };
  });
  const right = labels.reduce((sum, _, i) => sum + confusion[i]![i]!, 0);
  return {
    labels,
    n: pairs.length,
    accuracy: pairs.length === 0 ? 0 : right / pairs.length,
    unmapped: confusion.reduce((sum, row) => sum + row[labels.length]!, 0),
    macroF1: mean(perClass.map(({ f1 }) => f1)),
    perClass: Object.fromEntries(labels.map((label, i) => [label, perClass[i]!])),
    confusion,
  };
}
