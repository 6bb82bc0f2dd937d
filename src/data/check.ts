/**
 * The check of data sets (`data check`, contract 34): every row by the rules that training has, and many signs that a
 * row is not what it should be. Nothing stops it: a finding names file, line and the place inside the row.
 */
import { createHash } from 'node:crypto';
import { basename, join } from 'node:path';
import { messageText } from '../errors.ts';
import { writeAtomically } from '../formats/index.ts';
import type { MessageFields } from '../messages/index.ts';
import type { Conversation, Message } from '../template/index.ts';
import type { DatasetEntry } from './dataset-entry.ts';
import type { Example } from './example.ts';
import { lintText, type TextRole, type TextRule } from './lint-rules.ts';
import { NearDuplicateFinder, normalizeForComparison } from './near-duplicates.ts';
import type { Notice } from './notice.ts';
import { encodeExample, readRows, type ReadRow } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import { repairRow } from './repair.ts';
import type { RowEncoder } from './row-encoder.ts';
import { type DropRule, placeText, problemText, type RowPlace } from './row.ts';
import type { DataSettings } from './settings.ts';

/** Rules that compare texts of a row, or rows. All are warnings. */
export type PairRule =
  | 'identical-pair'
  | 'duplicate'
  | 'near-duplicate'
  | 'conflicting-answers'
  | 'train-test-leak'
  | 'language-mismatch';

/** Every rule of the check. */
export type CheckRule = DropRule | TextRule | PairRule | 'empty-dataset';

/** One thing that the check found. */
export interface Finding {
  readonly rule: CheckRule;
  readonly severity: 'error' | 'warning';
  readonly file: string;
  /** Counted from 0 over all data sets of the config. */
  readonly row: number;
  /** Counted from 1; 0 where the file has no lines. */
  readonly line: number;
  /** JSON pointer inside the row. */
  readonly pointer: string;
  readonly message: string;
}

/** What the check looks at beside the rows. */
export interface CheckOptions {
  /** Without it (no model named) lengths and trained tokens are not checked. */
  readonly encoder?: RowEncoder | undefined;
  /** Texts of the tokenizer's special tokens. */
  readonly specialTokens?: readonly string[];
  /** Similarity from which on two rows are near duplicates. */
  readonly similarity?: number;
}

/** A text of a row and where it stands. */
interface PlacedText {
  readonly role: TextRole;
  readonly text: string;
  readonly pointer: string;
}

/** Findings of the rows of one config, in the order of the rows. */
class Checker {
  private readonly settings: DataSettings;
  private readonly options: CheckOptions;
  private readonly specialTokens: readonly string[];
  private readonly near: NearDuplicateFinder;
  /** Place of the first row of each whole text, and of each prompt with the hash of its answer. */
  private readonly seen = new Map<string, RowPlace>();
  private readonly prompts = new Map<string, { readonly place: RowPlace; readonly answer: string }>();
  private readonly places: RowPlace[] = [];

  constructor(settings: DataSettings, options: CheckOptions) {
    this.settings = settings;
    this.options = options;
    // Very short tokens ("!") are words like others.
    this.specialTokens = (options.specialTokens ?? []).filter((token) => token.length > 2);
    this.near = new NearDuplicateFinder(options.similarity);
  }

  check(row: ReadRow, isEvaluation: boolean): Finding[] {
    const { place, value, example } = row;
    const findings: Finding[] = [];
    const { encoder } = this.options;
    const encoded = example && encoder ? encodeExample(example, encoder, this.settings) : undefined;
    const problem = row.problem ?? (encoded && 'problem' in encoded ? encoded.problem : undefined);
    if (problem) {
      findings.push({
        ...placed(place, problem.pointer),
        rule: problem.rule,
        severity: 'error',
        message: problemText(problem, place),
      });
    }
    if (example === undefined) return findings;
    const texts = textsOf(example, value);
    const warn = <C extends PairRule | TextRule>(
      rule: C,
      pointer: string,
      fields: Omit<MessageFields<C>, 'where'>,
    ): void => {
      const message = messageText(rule, { ...fields, where: placeText(place) } as unknown as MessageFields<C>);
      findings.push({ ...placed(place, pointer), rule, severity: 'warning', message });
    };
    for (const { role, text, pointer } of texts) {
      for (const { rule, found } of lintText(text, role, this.specialTokens)) {
        warn(rule, pointer, { field: fieldName(pointer), found });
      }
    }
    this.checkTurns(texts, warn);
    this.checkRows(place, texts, turnsOf(example), isEvaluation, warn);
    return findings;
  }

  private checkTurns(texts: readonly PlacedText[], warn: Warn): void {
    let prompt: PlacedText | undefined;
    for (const text of texts) {
      if (text.role === 'user') prompt = text;
      if (text.role !== 'assistant' || prompt === undefined) continue;
      if (text.text.trim() === prompt.text.trim() && text.text.trim() !== '') {
        warn('identical-pair', text.pointer, { field: fieldName(text.pointer) });
      }
      const [asked, answered] = [scriptOf(prompt.text), scriptOf(text.text)];
      // Translations are asked for in words; a foreign answer to a plain question is a slip.
      if (asked && answered && asked !== answered && !/translat|翻译|译成|英文|中文|language|语言/i.test(prompt.text)) {
        warn('language-mismatch', text.pointer, { field: fieldName(text.pointer), asked, answered });
      }
    }
  }

  private checkRows(
    place: RowPlace,
    texts: readonly PlacedText[],
    turns: readonly string[],
    isEvaluation: boolean,
    warn: Warn,
  ): void {
    const whole = digest(turns.join('\n'));
    const isText = texts[0]?.role === 'text';
    const prompt = isText ? whole : digest(turns.slice(0, -1).join('\n'));
    const answer = digest(normalizeForComparison(turns.at(-1)!));
    const first = this.seen.get(whole);
    const asked = this.prompts.get(prompt);
    if (isEvaluation) {
      const source = first ?? asked?.place;
      if (source) warn('train-test-leak', '', { other: placeText(source) });
      return;
    }
    if (first) {
      warn('duplicate', '', { other: placeText(first) });
      return;
    }
    this.seen.set(whole, place);
    if (asked && !isText && asked.answer !== answer) {
      warn('conflicting-answers', texts.at(-1)?.pointer ?? '', { other: placeText(asked.place) });
    } else if (!asked && !isText) this.prompts.set(prompt, { place, answer });
    const text = texts.map(({ text: one }) => one).join('\n');
    const near = this.near.add(text, this.places.length);
    this.places.push(place);
    if (near) {
      const other = this.places[near.of]!;
      warn('near-duplicate', '', { other: placeText(other), percent: Math.round(near.similarity * 100) });
    }
  }
}

type Warn = <C extends PairRule | TextRule>(rule: C, pointer: string, fields: Omit<MessageFields<C>, 'where'>) => void;

function placed(place: RowPlace, pointer: string): Pick<Finding, 'file' | 'row' | 'line' | 'pointer'> {
  return { file: place.file, row: place.row, line: place.line, pointer };
}

/** A pointer as people write a path: `/messages/2/content` is `messages[2].content`. */
function fieldName(pointer: string): string {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  return (
    keys.map((key, index) => (/^\d+$/.test(key) ? `[${key}]` : index === 0 ? key : `.${key}`)).join('') || 'the row'
  );
}

/** 120 bits of SHA-256: two different texts never agree in practice. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64').slice(0, 20);
}

/** The script that most letters of a text belong to, where there are enough of them. */
function scriptOf(text: string): 'Han' | 'Latin' | 'Cyrillic' | 'Arabic' | undefined {
  const scripts = {
    Han: /\p{Script=Han}/gu,
    Latin: /\p{Script=Latin}/gu,
    Cyrillic: /\p{Script=Cyrillic}/gu,
    Arabic: /\p{Script=Arabic}/gu,
  } as const;
  const start = text.slice(0, 2000);
  let total = 0;
  let best: keyof typeof scripts | undefined;
  let most = 0;
  for (const script of Object.keys(scripts) as (keyof typeof scripts)[]) {
    // A Han character says about as much as three letters.
    const weight = script === 'Han' ? 3 : 1;
    const count = weight * (start.match(scripts[script])?.length ?? 0);
    total += count;
    if (count > most) [best, most] = [script, count];
  }
  return total >= 60 && most > 0.9 * total ? best : undefined;
}

/** The turns of an example as texts that are equal where the turns are, tool calls included. */
function turnsOf(example: Example): string[] {
  if (example.kind === 'text') return [example.text];
  const { messages, tools } = example.kind === 'pair' ? example.prompt : example.conversation;
  const last: readonly unknown[] = example.kind === 'pair' ? [[example.chosen, example.rejected]] : [];
  const head = tools === undefined ? [] : [tools];
  const tag = example.kind === 'tagged' ? [example.desirable] : [];
  return [...head, ...tag, ...messages, ...last].map((turn) => JSON.stringify(turn));
}

/** The texts of an example in order, each with the pointer of its field. */
function textsOf(example: Example, value: unknown): PlacedText[] {
  const pointers = new PointerFinder(value);
  if (example.kind === 'text') return [{ role: 'text', text: example.text, pointer: pointers.of(example.text) }];
  const conversation: Conversation = example.kind === 'pair' ? example.prompt : example.conversation;
  const answers: readonly Message[] = example.kind === 'pair' ? [example.chosen, example.rejected] : [];
  return [...conversation.messages, ...answers].flatMap(({ role, content, instruction }): PlacedText[] => {
    if (content === '') return [];
    if (instruction === undefined) return [{ role, text: content, pointer: pointers.of(content) }];
    return [{ role, text: content, pointer: pointers.of(instruction.instruction) }];
  });
}

/** Finds the field that holds a text: converters keep texts as they stand, in the order of their fields. */
class PointerFinder {
  private readonly fields: { readonly text: string; readonly pointer: string }[] = [];
  constructor(value: unknown) {
    this.collect(value, '');
  }
  private collect(value: unknown, pointer: string): void {
    if (typeof value === 'string') this.fields.push({ text: value, pointer });
    else if (typeof value === 'object' && value !== null) {
      for (const [key, inner] of Object.entries(value)) {
        this.collect(inner, `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`);
      }
    }
  }
  of(text: string): string {
    const index = this.fields.findIndex((field) => field.text === text);
    // Taken once: the next turn with the same text stands further on.
    return index < 0 ? '' : this.fields.splice(index, 1)[0]!.pointer;
  }
}

/** A row and what was found in it. */
export interface CheckedRow {
  /** Undefined where the findings are of a data set without rows. */
  readonly place: RowPlace | undefined;
  /** As it stands in the file; undefined where it could not be read. */
  readonly value: unknown;
  readonly isEvaluation: boolean;
  readonly findings: readonly Finding[];
}

async function* checkDatasets(
  entries: readonly DatasetEntry[],
  settings: DataSettings,
  checker: Checker,
  isEvaluation: boolean,
  notices: Notice[],
): AsyncGenerator<CheckedRow> {
  const empty: Finding[] = [];
  const onEmpty = ({ message }: Error, place: RowPlace): void => {
    empty.push({ ...placed(place, ''), rule: 'empty-dataset', severity: 'error', message });
  };
  const ofSets = (): CheckedRow[] =>
    empty.splice(0).map((finding) => ({ place: undefined, value: undefined, isEvaluation, findings: [finding] }));
  for await (const group of readRows(entries, settings, notices, onEmpty)) {
    yield* ofSets();
    for (const row of group) {
      const { place, value } = row;
      yield { place, value, isEvaluation, findings: checker.check(row, isEvaluation) };
    }
  }
  yield* ofSets();
}

/**
 * All rows of the data sets of a config with their findings, those of `eval_dataset` last (with leaks from training data).
 * @throws what `resolveDatasets` and `readRows` throw; rows are never refused.
 */
export async function* checkRows(
  settings: DataSettings,
  options: CheckOptions = {},
  notices: Notice[] = [],
): AsyncGenerator<CheckedRow> {
  const entries = await resolveDatasets(settings.dataset, settings.dataset_dir, notices);
  const evaluation = await resolveDatasets(settings.eval_dataset, settings.dataset_dir, notices, 'eval_dataset');
  const checker = new Checker(settings, options);
  yield* checkDatasets(entries, settings, checker, false, notices);
  yield* checkDatasets(evaluation, settings, checker, true, notices);
}

/** All findings, row by row. @throws as `checkRows`. */
export async function* checkData(
  settings: DataSettings,
  options: CheckOptions = {},
  notices: Notice[] = [],
): AsyncGenerator<Finding> {
  for await (const { findings } of checkRows(settings, options, notices)) yield* findings;
}

/** What `fixData` has written. */
export interface FixedFile {
  readonly dataset: string;
  readonly file: string;
  readonly rows: number;
  readonly left_out: number;
  readonly changed: number;
}

/**
 * Checks, and writes a corrected copy of each data set of `dataset` as JSONL into `folder` (whole or not at all): rows with
 * an error and exact duplicates left out, damaged characters and white space around answers repaired.
 * @returns the files; the findings go to `onFinding`.
 */
export async function fixData(
  folder: string,
  settings: DataSettings,
  options: CheckOptions,
  onFinding: (finding: Finding) => void,
  notices: Notice[] = [],
): Promise<FixedFile[]> {
  const rows = checkRows(settings, options, notices);
  const fixed: FixedFile[] = [];
  let next = await rows.next();
  while (next.done !== true && !next.value.isEvaluation) {
    const dataset = next.value.place?.dataset;
    if (dataset === undefined) {
      next.value.findings.forEach(onFinding);
      next = await rows.next();
      continue;
    }
    const file = join(
      folder,
      `${basename(dataset)
        .replace(/(\.(json|jsonl|csv|tsv|txt|parquet|arrow|gz|zst))+$/i, '')
        .replaceAll(/[^\w.-]+/g, '_')}.jsonl`,
    );
    const counts = { rows: 0, left_out: 0, changed: 0 };
    await writeAtomically(file, async (handle) => {
      let lines: string[] = [];
      for (
        ;
        next.done !== true && next.value.place?.dataset === dataset && !next.value.isEvaluation;
        next = await rows.next()
      ) {
        next.value.findings.forEach(onFinding);
        const repaired = repairRow(next.value.value, next.value.findings);
        if (repaired.value === undefined) {
          counts.left_out++;
          continue;
        }
        counts.rows++;
        if (repaired.changed) counts.changed++;
        lines.push(JSON.stringify(repaired.value));
        if (lines.length < 1000) continue;
        await handle.write(`${lines.join('\n')}\n`);
        lines = [];
      }
      if (lines.length > 0) await handle.write(`${lines.join('\n')}\n`);
    });
    fixed.push({ dataset, file, ...counts });
  }
  for (; next.done !== true; next = await rows.next()) next.value.findings.forEach(onFinding);
  return fixed;
}
