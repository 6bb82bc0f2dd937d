/**
 * Answers as they come, one line each, so that a run that was ended at any moment goes on where it stopped. The first line says what
 * the answers belong to; a journal of something else is begun anew.
 */
import { rm } from 'node:fs/promises';
import { filterJsonLines, type JsonLinesWriter, openJsonLines, readJsonLines } from '../run/index.ts';

/** The answer of a row, in tokens too, for the speed of the run. */
export interface JournalAnswer {
  readonly row: number;
  readonly predict: string;
  readonly tokens: number;
}

function isAnswer(value: Record<string, unknown>): value is Record<string, unknown> & JournalAnswer {
  return Number.isInteger(value['row']) && typeof value['predict'] === 'string' && typeof value['tokens'] === 'number';
}

/** An open journal. */
export interface AnswerJournal {
  /** What was answered before. */
  readonly known: ReadonlyMap<number, JournalAnswer>;
  append(answer: JournalAnswer): void;
  close(): void;
  /** Takes the file away, after its content stands elsewhere. */
  remove(): Promise<void>;
}

/** Opens a journal. @param identity all that decides on the answers */
export async function openAnswerJournal(path: string, identity: string): Promise<AnswerJournal> {
  const known = new Map<number, JournalAnswer>();
  const [head, ...lines] = await readJsonLines(path);
  const isOurs = head?.['identity'] === identity;
  if (isOurs) {
    for (const line of lines) if (isAnswer(line)) known.set(line.row, line);
    // The half line of a killed process must not stay in front of the next one.
    await filterJsonLines(path, () => true);
  } else {
    await rm(path, { force: true });
  }
  const writer: JsonLinesWriter = openJsonLines(path);
  if (!isOurs) writer.append({ identity });
  return {
    known,
    append: (answer) => writer.append(answer),
    close: () => writer.close(),
    remove: () => rm(path, { force: true }),
  };
}
