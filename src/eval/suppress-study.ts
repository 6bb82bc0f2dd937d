/**
 * What sequence suppression does to a model's structured answers (article D): the same prompts with the same random numbers, once
 * plain and once with `suppress`; how many items stand under each heading, their mean and their variance.
 */
import { join } from 'node:path';
import { ConfigError } from '../errors.ts';
import { writeFileAtomically, writeJsonFile } from '../formats/index.ts';
import { acquireRunLock } from '../run/index.ts';
import { type AskEvent, askRows, type AskSettings } from './ask-rows.ts';
import { bootstrapInterval, type Interval } from './intervals.ts';
import { writePicture } from './picture-files.ts';
import { parseReview, type ReviewForm } from './pk/index.ts';

/** The settings of a study, under their names in the config: a whole config fits. */
export interface SuppressStudySettings extends AskSettings {
  readonly output_dir?: string | undefined;
  readonly aspects: readonly string[];
  readonly empty_item: string;
  readonly seed: number;
}

/** Numbers of items under one heading over all answers. */
export interface SectionCounts {
  readonly mean: number;
  /** With n - 1 below. */
  readonly variance: number;
  /** 95 % by bootstrap over the answers. */
  readonly mean_ci: Interval;
  readonly variance_ci: Interval;
  /** Share of the answers with no item there. */
  readonly empty: number;
}

/** One of the two runs. */
export interface StudyArm {
  readonly sections: Readonly<Record<string, SectionCounts>>;
  /** Over all headings of an answer together. */
  readonly total: SectionCounts;
}

/** What a study comes to: the object of `suppress_study.json`. */
export interface SuppressStudy {
  readonly n: number;
  readonly suppress: readonly unknown[];
  readonly plain: StudyArm;
  readonly suppressed: StudyArm;
  /** Variance of the numbers of items with suppression over that without it, over all headings. */
  readonly variance_ratio: number;
  readonly variance_ratio_ci: Interval;
}

export type StudyEvent = AskEvent | { readonly type: 'arm'; readonly name: 'plain' | 'suppressed' };

export interface StudyOptions {
  readonly onEvent?: (event: StudyEvent) => void;
  readonly signal?: AbortSignal;
}

export type StudyEnd =
  | { readonly state: 'done'; readonly study: SuppressStudy; readonly files: readonly string[] }
  | { readonly state: 'stopped'; readonly done: number; readonly total: number };

/** Names of what a study leaves. */
export const studyFileNames = { results: 'suppress_study.json', answers: 'suppress_study.jsonl' } as const;

/** Headings in pictures; more would not be legible. */
const maxPictured = 12;

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

function varianceOf(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const mean = meanOf(values);
  return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1);
}

function countsOf(values: readonly number[], seed: number): SectionCounts {
  const resampled = (statistic: (chosen: readonly number[]) => number): Interval =>
    bootstrapInterval(values.length, (indices) => statistic(Array.from(indices, (i) => values[i]!)), { seed });
  return {
    mean: meanOf(values),
    variance: varianceOf(values),
    mean_ci: resampled(meanOf),
    variance_ci: resampled(varianceOf),
    empty: values.filter((value) => value === 0).length / values.length,
  };
}

/** Items of each answer by heading; an answer without a heading has none there. */
export function itemCounts(answers: readonly string[], form: ReviewForm): ReadonlyMap<string, readonly number[]> {
  const reviews = answers.map((answer) => parseReview(answer, form));
  const names = form.aspects.length > 0 ? form.aspects : [...new Set(reviews.flatMap((review) => [...review.keys()]))];
  return new Map(names.map((name) => [name, reviews.map((review) => review.get(name)?.length ?? 0)]));
}

/** Puts the answers of the two runs side by side. */
export function studySuppression(
  plain: readonly string[],
  suppressed: readonly string[],
  form: ReviewForm,
  suppress: readonly unknown[],
  seed: number,
): SuppressStudy {
  const [before, after] = [itemCounts(plain, form), itemCounts(suppressed, form)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const nothing = plain.map(() => 0);
  const all = (counts: ReadonlyMap<string, readonly number[]>): number[] =>
    plain.map((_, row) => [...counts.values()].reduce((sum, values) => sum + values[row]!, 0));
  const arm = (counts: ReadonlyMap<string, readonly number[]>): StudyArm => ({
    sections: Object.fromEntries(names.map((name) => [name, countsOf(counts.get(name) ?? nothing, seed)])),
    total: countsOf(all(counts), seed),
  });
  // per heading and answer, so that headings with many items do not drown the others
  const ratio = (indices: readonly number[]): number => {
    const sum = (counts: ReadonlyMap<string, readonly number[]>): number =>
      names.reduce((total, name) => total + varianceOf(indices.map((row) => (counts.get(name) ?? nothing)[row]!)), 0);
    return sum(after) / sum(before);
  };
  return {
    n: plain.length,
    suppress,
    plain: arm(before),
    suppressed: arm(after),
    variance_ratio: ratio([...plain.keys()]),
    variance_ratio_ci: bootstrapInterval(plain.length, (indices) => ratio([...indices]), { seed }),
  };
}

async function writePictures(folder: string, { plain, suppressed }: SuppressStudy): Promise<string[]> {
  const { barChart } = await import('../charts/index.ts');
  const names = Object.keys(plain.sections).slice(0, maxPictured);
  const files: string[] = [];
  for (const [key, valueLabel] of [
    ['mean', 'mean number of items'],
    ['variance', 'variance of the number of items'],
  ] as const) {
    const series = (
      [
        ['plain', plain],
        ['suppressed', suppressed],
      ] as const
    ).map(([label, arm]) => ({
      label,
      values: names.map((name) => arm.sections[name]![key]),
      intervals: names.map((name) => arm.sections[name]![`${key}_ci`]),
    }));
    const svg = barChart({
      title: valueLabel,
      categories: names.map((name) => name || 'no heading'),
      series,
      valueLabel,
    });
    files.push(...(await writePicture(folder, `suppress_${key}`, svg)));
  }
  return files;
}

/**
 * Answers the prompts of the data set with and without suppression and compares the numbers of items. Answers are kept as they come:
 * the same call goes on with them.
 * @throws ConfigError `study-needs`; what opening the model and reading the rows throws.
 */
export async function runSuppressStudy(settings: SuppressStudySettings, options: StudyOptions = {}): Promise<StudyEnd> {
  const { suppress = [], output_dir: folder, aspects, empty_item: emptyItem, seed } = settings;
  if (suppress.length === 0) throw new ConfigError('study-needs', {});
  const lock = await acquireRunLock(folder!);
  try {
    const answers: string[][] = [];
    const files = [join(folder!, studyFileNames.results), join(folder!, studyFileNames.answers)];
    const prompts: string[] = [];
    for (const name of ['plain', 'suppressed'] as const) {
      options.onEvent?.({ type: 'arm', name });
      const arm = await askRows(
        { ...settings, suppress: name === 'plain' ? [] : suppress },
        {
          onEvent: options.onEvent,
          signal: options.signal,
          journal: join(folder!, `suppress_${name}.journal.jsonl`),
          outcome: files,
        },
      );
      if (!arm.answers) return { state: 'stopped', done: arm.done, total: arm.total };
      answers.push(arm.answers.map(({ predict }) => predict));
      if (prompts.length === 0) prompts.push(...arm.answers.map(({ prompt }) => prompt));
    }
    const [plain, suppressed] = answers as [string[], string[]];
    const study = studySuppression(plain, suppressed, { aspects, emptyItem }, suppress, seed);
    await writeFileAtomically(
      files[1]!,
      prompts
        .map((prompt, row) => `${JSON.stringify({ row, prompt, plain: plain[row], suppressed: suppressed[row] })}\n`)
        .join(''),
    );
    await writeJsonFile(files[0]!, study);
    files.push(...(await writePictures(folder!, study)));
    return { state: 'done', study, files };
  } finally {
    await lock.release();
  }
}
