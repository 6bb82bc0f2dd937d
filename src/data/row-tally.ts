/** Counts what happened to the rows of a set and keeps the first problems for the message. Knows no `node:` module. */
import { DataError } from '../errors.ts';
import { makeNotice, type Notice } from './notice.ts';
import type { OverlongPolicy } from './overlong.ts';
import type { RowCounts } from './plan.ts';
import { problemText, type RowPlace, type RowProblem } from './row.ts';

/** Problems that a message shows before it only counts (contract 7). */
const shownProblems = 10;

export class RowTally {
  read = 0;
  truncated = 0;
  private readonly counts = new Map<string, number>();
  private readonly first: string[] = [];
  private total = 0;

  /** A tally as it was after all rows were read. */
  static of(counts: RowCounts, examples: readonly string[]): RowTally {
    const tally = new RowTally();
    tally.read = counts.read;
    tally.truncated = counts.truncated;
    for (const [rule, amount] of Object.entries(counts.dropped)) {
      tally.counts.set(rule, amount);
      tally.total += amount;
    }
    tally.first.push(...examples);
    return tally;
  }

  /** Counts a row that cannot be used. */
  add(problem: RowProblem, place: RowPlace): void {
    this.total++;
    this.counts.set(problem.rule, (this.counts.get(problem.rule) ?? 0) + 1);
    if (this.first.length < shownProblems) this.first.push(problemText(problem, place));
  }

  /** Number of rows that cannot be used. */
  get dropped(): number {
    return this.total;
  }

  /** Texts of the first of them. */
  get examples(): readonly string[] {
    return this.first;
  }

  /** Counts by rule, in the order in which the rules were first broken. */
  get byRule(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.counts);
  }

  get rowCounts(): RowCounts {
    return { read: this.read, dropped: this.byRule, truncated: this.truncated };
  }

  /** Says how many rows were dropped and shortened, where any were. */
  notices(policy: OverlongPolicy): Notice[] {
    const { read, dropped, byRule, examples, truncated } = this;
    return [
      ...(dropped > 0 ? [makeNotice('rows-dropped', { total: dropped, read, counts: byRule, examples })] : []),
      ...(truncated > 0 ? [makeNotice('rows-truncated', { total: truncated, policy })] : []),
    ];
  }

  /** @throws DataError `bad-rows` where a row cannot be used. */
  refuse(remedy: 'bad-rows' | 'overlong'): void {
    if (this.total === 0) return;
    throw new DataError('bad-rows', { problems: this.first, total: this.total, counts: this.byRule, remedy });
  }
}
