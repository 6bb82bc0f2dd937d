/** A row of a data set on its way: where it stands, and what is wrong with it. Knows no `node:` module. */
import { messageText } from '../errors.ts';
import type { MessageFields } from '../messages/index.ts';

/** Where a row stands. */
export interface RowPlace {
  /** Name of its data set as in the config. */
  readonly dataset: string;
  readonly file: string;
  /** Counted from 1; 0 where the file has no lines. */
  readonly line: number;
  /** Counted from 0 over all data sets of the config, before sampling and shuffling. */
  readonly row: number;
}

/** The rules that a row of a wrong form breaks. */
export const formRules = [
  'bad-json',
  'wrong-type',
  'missing-field',
  'bad-history',
  'unknown-role',
  'role-order',
  'no-assistant-turn',
  'empty-prompt',
  'empty-response',
  'no-trained-token',
] as const;
/** A rule about the form of a row (bad rows are refused or dropped as `bad_rows` says). */
export type FormRule = (typeof formRules)[number];
/** Every reason for which a row is not trained on. */
export type DropRule = FormRule | 'template-rejects-row' | 'over-length';

/** Text code of each rule and the fields of its text. `wrong-fields` is how a CSV row breaks `wrong-type`. */
type RuleCode = DropRule | 'wrong-fields';
type RuleFields<R extends RuleCode> = Omit<MessageFields<R>, 'where'>;

/** What is wrong with a row. */
export interface RowProblem {
  readonly rule: DropRule;
  readonly code: RuleCode;
  /** The fields of the rule's text, but for where the row stands. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** JSON pointer inside the row (RFC 6901). */
  readonly pointer: string;
}

/** Thrown inside converters and caught by `convertRow`; never leaves the data room. */
export class RowFailure extends Error {
  readonly problem: RowProblem;
  constructor(problem: RowProblem) {
    super(problem.rule);
    this.problem = problem;
  }
}

/** A problem of one rule; `path` are the keys that lead to the value inside the row. */
export function rowProblem<R extends RuleCode>(
  code: R,
  path: readonly (string | number)[],
  fields: RuleFields<R>,
): RowProblem {
  const pointer = path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
  return { rule: code === 'wrong-fields' ? 'wrong-type' : code, code, fields: { ...fields }, pointer };
}

/** Where a row stands, as messages say it: FILE:LINE, or the row's number in files without lines. */
export function placeText(place: RowPlace): string {
  return place.line > 0 ? `${place.file}:${place.line}` : `${place.file} row ${place.row}`;
}

/** The one-line text of a problem. */
export function problemText(problem: RowProblem, place: RowPlace): string {
  const fields = { ...problem.fields, where: placeText(place) } as unknown as MessageFields<RuleCode>;
  return messageText(problem.code, fields);
}

/** A path inside a row as people write it: `messages[2].content`. */
export function fieldText(path: readonly (string | number)[]): string {
  return path.map((key, index) => (typeof key === 'number' ? `[${key}]` : index === 0 ? key : `.${key}`)).join('');
}
