/** Multiple-choice questions from the files of MMLU, C-Eval and CMMLU, as their authors publish them. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DataError } from '../../errors.ts';
import { readCsvTable, type TableLine } from '../../formats/index.ts';
import type { ChoiceTaskName } from './choice-form.ts';

/** A question with four answers. */
export interface Question {
  readonly question: string;
  readonly choices: readonly string[];
  /** Index of the right one. */
  readonly answer: number;
}

/** The questions of a subject: solved ones to learn from, and those that are asked. */
export interface Subject {
  readonly name: string;
  readonly shots: readonly Question[];
  readonly questions: readonly Question[];
}

/** Parts of a task by the names that people use -> folder and end of the file names. */
const parts: Readonly<Record<string, string>> = {
  test: 'test',
  validation: 'val',
  val: 'val',
  dev: 'dev',
  train: 'dev',
};

/** The part that is asked where the task's name does not say: that whose answers are published. */
const defaultParts: Readonly<Record<ChoiceTaskName, string>> = { mmlu: 'test', ceval: 'val', cmmlu: 'test' };

const letters = ['A', 'B', 'C', 'D'] as const;

/** The folder of a part of a task, as written, or below `task_dir/NAME`, `data` included where the archive has it. */
async function findFolder(taskDir: string, name: string, part: string): Promise<string> {
  for (const base of [taskDir, join(taskDir, name), join(taskDir, 'data'), join(taskDir, name, 'data')]) {
    const entries = await readdir(join(base, part)).catch(() => undefined);
    if (entries?.some((entry) => entry.endsWith('.csv')) === true) return join(base, part);
  }
  throw new DataError('task-files', { folder: taskDir, name, part });
}

/** Cells by column: MMLU's files have no header, the others name their columns. */
function columnsOf(lines: readonly TableLine[]): {
  readonly names: readonly string[];
  readonly rows: readonly TableLine[];
} {
  const header = lines[0]?.cells.map((cell) => cell.trim().toLowerCase()) ?? [];
  if (header.includes('question') && header.includes('a')) return { names: header, rows: lines.slice(1) };
  return { names: ['question', 'a', 'b', 'c', 'd', 'answer'], rows: lines };
}

async function readQuestions(file: string): Promise<readonly Question[]> {
  const { names, rows } = columnsOf(await readCsvTable(file));
  return rows.map(({ line, cells }) => {
    const cell = (name: string): string => cells[names.indexOf(name)] ?? '';
    const written = cell('answer').trim();
    const answer = letters.findIndex((letter) => letter === written);
    if (answer < 0) throw new DataError('task-answer', { file, line, actual: written });
    return { question: cell('question'), choices: letters.map((letter) => cell(letter.toLowerCase())), answer };
  });
}

/** Files of a part by the name of their subject. */
async function filesOf(folder: string, part: string): Promise<ReadonlyMap<string, string>> {
  const end = new RegExp(`(?:_${part})?\\.csv$`);
  const files = (await readdir(folder)).filter((name) => name.endsWith('.csv')).sort();
  return new Map(files.map((name) => [name.replace(end, ''), join(folder, name)]));
}

/** What is to be read. */
export interface QuestionSettings {
  readonly task: ChoiceTaskName;
  /** `test`, `validation`, `dev`; left out: the part whose answers are published. */
  readonly part?: string | undefined;
  readonly taskDir: string;
  /** Only these subjects; none: all. */
  readonly subjects: readonly string[];
  /** Whether solved questions are needed. */
  readonly withShots: boolean;
  /** Only the first so many questions of each subject. */
  readonly maxSamples?: number | undefined;
}

/**
 * Reads the subjects of a task, in the order of their names.
 * @throws DataError `task-files`, `task-answer`, `task-subject`.
 */
export async function readSubjects(settings: QuestionSettings): Promise<readonly Subject[]> {
  const { task, taskDir, subjects, withShots, maxSamples } = settings;
  const part = settings.part === undefined ? defaultParts[task] : parts[settings.part];
  if (part === undefined) throw new DataError('task-part', { task, part: settings.part!, choices: Object.keys(parts) });
  const asked = await filesOf(await findFolder(taskDir, task, part), part);
  const solved = withShots ? await filesOf(await findFolder(taskDir, task, 'dev'), 'dev') : new Map<string, string>();
  const missing = subjects.find((name) => !asked.has(name));
  if (missing !== undefined)
    throw new DataError('task-subject', { task, subject: missing, choices: [...asked.keys()] });
  const chosen = [...asked].filter(([name]) => subjects.length === 0 || subjects.includes(name));
  return Promise.all(
    chosen.map(async ([name, file]) => {
      const shots = solved.get(name);
      if (withShots && shots === undefined) throw new DataError('task-files', { folder: taskDir, name, part: 'dev' });
      return {
        name,
        shots: shots === undefined ? [] : await readQuestions(shots),
        questions: (await readQuestions(file)).slice(0, maxSamples),
      };
    }),
  );
}
