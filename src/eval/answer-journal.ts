/**
 * Answers as they come, one line each, so that a run that was ended at any moment goes on where it stopped, and one that is done is scored
 * again without asking. The first line says what the answers were made of; answers of something else are replaced only where that was asked for.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { RunError } from '../errors.ts';
import { filterJsonLines, type JsonLinesWriter, openJsonLines, readJsonLines } from '../run/index.ts';
import { type AnswerOrigin, isAnswerOrigin, originDifference, otherOrigin } from './answer-origin.ts';

/** The answer of a row, in tokens too, for the speed of the run. */
export interface JournalAnswer {
  readonly row: number;
  readonly predict: string;
  readonly tokens: number;
}

function isAnswer(value: Record<string, unknown>): value is Record<string, unknown> & JournalAnswer {
  return Number.isInteger(value['row']) && typeof value['predict'] === 'string' && typeof value['tokens'] === 'number';
}

/** Where answers are kept, and what else is lost where they are replaced. */
export interface JournalPlace {
  /** The file of the answers. */
  readonly journal: string;
  /** Files that are made of all answers. */
  readonly outcome: readonly string[];
  /** Answers of something else may be replaced. */
  readonly overwrite: boolean;
}

/** An open journal. */
export interface AnswerJournal {
  /** What was answered before. */
  readonly known: ReadonlyMap<number, JournalAnswer>;
  append(answer: JournalAnswer): void;
  close(): void;
}

/**
 * Opens a journal for answers that are made of `origin`.
 * @throws RunError `answers-of-other-setting`, `answers-of-other-content`, `answers-unknown` where others would be replaced.
 */
export async function openAnswerJournal(place: JournalPlace, origin: AnswerOrigin): Promise<AnswerJournal> {
  const { journal, outcome, overwrite } = place;
  const [head, ...lines] = await readJsonLines(journal);
  const old = head?.['origin'];
  const answers = lines.filter(isAnswer);
  const difference = isAnswerOrigin(old) ? originDifference(old, origin) : undefined;
  const known = new Map<number, JournalAnswer>();
  const isOurs = isAnswerOrigin(old) && difference === undefined;
  if (isOurs) {
    for (const answer of answers) known.set(answer.row, answer);
    // The half line of a killed process must not stay in front of the next one.
    await filterJsonLines(journal, () => true);
  } else {
    const there = outcome.filter((file) => existsSync(file));
    if (!overwrite && answers.length + there.length > 0) {
      const folder = dirname(journal);
      throw isAnswerOrigin(old) && difference !== undefined
        ? otherOrigin(folder, answers.length, old, origin, difference)
        : new RunError('answers-unknown', { dir: folder, file: there[0] ?? journal });
    }
    for (const file of [journal, ...there]) await rm(file, { force: true });
  }
  const writer: JsonLinesWriter = openJsonLines(journal);
  if (!isOurs) writer.append({ origin });
  return {
    known,
    append: (answer) => writer.append(answer),
    close: () => writer.close(),
  };
}
