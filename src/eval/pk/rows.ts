/**
 * Questions, answers and references out of JSONL files, in the forms that people have: MT-Bench's, those of predictions,
 * and plain rows. All wrong rows are named together.
 */
import { DataError } from '../../errors.ts';
import { readTextRecords } from '../../formats/index.ts';

/** What is asked. */
export interface Question {
  readonly id: string;
  /** What the user says, turn by turn. */
  readonly turns: readonly string[];
  readonly category?: string | undefined;
}

/** What a system or a person answered to one question. */
export interface AnswerRow {
  /** Undefined where the file names none: then its rows stand in the order of the questions. */
  readonly id: string | undefined;
  readonly turns: readonly string[];
  /** The question, where the row holds it too. */
  readonly question?: string | undefined;
  /** A reference beside the answer, as predictions have it. */
  readonly reference?: string | undefined;
}

/** Reviews of one paper by people. */
export interface ReviewRow {
  readonly id: string | undefined;
  readonly reviews: readonly unknown[];
}

type Fields = Readonly<Record<string, unknown>>;

/** A row is wrong: what must stand there, and what does. */
interface Wrong {
  readonly requirement: string;
  readonly actual: string;
}

/** More wrong rows are counted. */
const mostNamed = 10;
/** A set of questions is some thousands at most; a larger file was given by mistake. */
const maxRows = 200_000;

/** An answer without the thoughts that a model wrote before it: they are no part of what is compared. */
export function withoutThoughts(text: string): string {
  return text.replace(/^\s*<think>[\s\S]*?<\/think>\s*/, '');
}

const isText = (value: unknown): value is string => typeof value === 'string';
const shown = (value: unknown): string => {
  const text = value === undefined ? 'nothing' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
};

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The rows of a file by a reader of one row. @throws DataError `pk-rows`, `pk-file-empty` */
async function readRows<T>(file: string, read: (row: Fields) => T | Wrong): Promise<T[]> {
  const rows: T[] = [];
  const problems: { line: number; requirement: string; actual: string }[] = [];
  for await (const records of readTextRecords(file, file.endsWith('.json') ? 'json' : 'jsonl')) {
    for (const { line, value, fault } of records) {
      const row = isFields(value)
        ? read(value)
        : { requirement: 'a JSON object', actual: fault === undefined ? shown(value) : fault.kind };
      if (isWrong(row)) problems.push({ line, ...row });
      else rows.push(row);
    }
    if (rows.length > maxRows) throw new DataError('pk-too-many-rows', { file, most: maxRows });
  }
  if (problems.length > 0) {
    throw new DataError('pk-rows', { file, problems: problems.slice(0, mostNamed), count: problems.length });
  }
  if (rows.length === 0) throw new DataError('pk-file-empty', { file });
  return rows;
}

function isWrong(row: unknown): row is Wrong {
  return isFields(row) && 'requirement' in row && 'actual' in row;
}

function idOf(row: Fields): string | undefined {
  const id = row['question_id'] ?? row['paper_id'] ?? row['id'];
  return isText(id) || typeof id === 'number' ? String(id) : undefined;
}

const firstText = (row: Fields, names: readonly string[]): string | undefined =>
  names.map((name) => row[name]).find(isText);

/** The text of the question in a row of any kind. */
function questionText(row: Fields): string | undefined {
  const instruction = row['instruction'];
  if (isText(instruction) && !isText(row['prompt'])) {
    return isText(row['input']) && row['input'] !== '' ? `${instruction}\n${row['input']}` : instruction;
  }
  return firstText(row, ['prompt', 'question', 'text']);
}

const textTurns = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) && value.length > 0 && value.every(isText) ? value : undefined;

/** `choices[0].turns`, as MT-Bench writes answers. */
function choiceTurns(row: Fields): readonly string[] | undefined {
  const choices = row['choices'];
  const first: unknown = Array.isArray(choices) ? choices[0] : undefined;
  return isFields(first) ? textTurns(first['turns']) : undefined;
}

/** Reads questions; a row without an id has its number, counted from 0. */
export async function readQuestions(file: string): Promise<Question[]> {
  let row = 0;
  const questions = await readRows(file, (fields): Question | Wrong => {
    const id = idOf(fields) ?? String(row);
    row++;
    const text = questionText(fields);
    const turns = textTurns(fields['turns']) ?? (text === undefined ? undefined : [text]);
    if (turns === undefined)
      return { requirement: 'turns (a list of texts), prompt or instruction', actual: shown(fields) };
    return { id, turns, ...(isText(fields['category']) ? { category: fields['category'] } : {}) };
  });
  requireDistinct(file, questions);
  return questions;
}

function requireDistinct(file: string, rows: readonly { readonly id: string | undefined }[]): void {
  const seen = new Set<string>();
  for (const { id } of rows) {
    if (id === undefined) continue;
    if (seen.has(id)) throw new DataError('pk-id-twice', { file, id });
    seen.add(id);
  }
}

const answerNames = ['answer', 'predict', 'response', 'output', 'review', 'text'] as const;

/** Reads the answers of one system. */
export async function readAnswers(file: string): Promise<AnswerRow[]> {
  const answers = await readRows(file, (fields): AnswerRow | Wrong => {
    const named = answerNames.map((name) => fields[name]).find((value) => isText(value) || isFields(value));
    const turns =
      choiceTurns(fields) ??
      textTurns(fields['turns']) ??
      (named === undefined ? undefined : [isText(named) ? named : JSON.stringify(named)]);
    if (turns === undefined) {
      return { requirement: `choices[0].turns, turns or one of ${answerNames.join(', ')}`, actual: shown(fields) };
    }
    return {
      id: idOf(fields),
      turns: turns.map(withoutThoughts),
      question: questionText(fields),
      reference: firstText(fields, ['label', 'target', 'reference']),
    };
  });
  requireDistinct(file, answers);
  return answers;
}

/** Reads the reviews of people: `reviews` (a list of texts or of aspects with items) or `review`; a paper may have several rows. */
export async function readReviews(file: string): Promise<ReviewRow[]> {
  return readRows(file, (fields): ReviewRow | Wrong => {
    const list = fields['reviews'] ?? (fields['review'] === undefined ? undefined : [fields['review']]);
    const isList = Array.isArray(list) && list.length > 0 && list.every((review) => isText(review) || isFields(review));
    if (!isList) return { requirement: 'reviews, a list of texts or of aspects with items', actual: shown(fields) };
    return { id: idOf(fields), reviews: list };
  });
}

/**
 * Rows by the id of their question: by their own ids, or by their order where they have none.
 * @throws DataError `pk-ids-missing` where only some rows have an id, `pk-answers-missing` where questions have no row
 */
export function byQuestion<T extends { readonly id: string | undefined }>(
  file: string,
  rows: readonly T[],
  questions: readonly Question[],
  isComplete = true,
): Map<string, T[]> {
  const withId = rows.filter(({ id }) => id !== undefined).length;
  if (withId > 0 && withId < rows.length) throw new DataError('pk-ids-missing', { file, rows: rows.length, withId });
  const found = new Map<string, T[]>();
  for (const [index, row] of rows.entries()) {
    const id = row.id ?? questions[index]?.id;
    if (id !== undefined) found.set(id, [...(found.get(id) ?? []), row]);
  }
  const missing = questions.filter(({ id }) => !found.has(id)).map(({ id }) => id);
  if (isComplete && missing.length > 0) {
    throw new DataError('pk-answers-missing', { file, missing, questions: questions.length });
  }
  return found;
}
