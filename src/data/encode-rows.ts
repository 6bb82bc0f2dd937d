/** Reads and tokenises the rows of data sets, counts what is dropped, and refuses what must not be. */
import { availableParallelism } from 'node:os';
import type { DatasetEntry } from './dataset-entry.ts';
import { EncodePool } from './encode-pool.ts';
import type { KeptRow } from './kept-rows.ts';
import type { Example } from './example.ts';
import { makeNotice, type Notice } from './notice.ts';
import { type EncodedExample, encodeExample, type LengthSettings, type ReadRow, readRows } from './read-rows.ts';
import type { RowEncoder } from './row-encoder.ts';
import { RowTally } from './row-tally.ts';
import type { DataSettings } from './settings.ts';

/**
 * The rows that are used, in order, in groups. After the last one all rows of a wrong form are refused in one message.
 * @throws DataError `bad-rows` and what `readRows` throws.
 */
export async function* encodeRows(
  entries: readonly DatasetEntry[],
  settings: DataSettings,
  encoder: RowEncoder,
  tally: RowTally,
  notices: Notice[],
): AsyncGenerator<KeptRow[]> {
  const refused = new RowTally();
  const overlong = new RowTally();
  const tools = new ToolsInspector(entries, encoder, notices);
  for await (const group of encodeGroups(readRows(entries, settings, notices), encoder, settings)) {
    const kept: KeptRow[] = [];
    for (const { row, encoded } of group) {
      const { place, dataset, uses, example } = row;
      tally.read++;
      if ('problem' in encoded) {
        const { problem } = encoded;
        tally.add(problem, place);
        if (problem.rule === 'over-length') {
          if (settings.overlong === 'error') overlong.add(problem, place);
        } else if (settings.bad_rows === 'error') refused.add(problem, place);
        continue;
      }
      if (example) tools.look(example, dataset);
      if (encoded.truncated) tally.truncated++;
      kept.push({ row: place.row, dataset, uses, sequences: encoded.sequences });
    }
    yield kept;
  }
  refused.refuse('bad-rows');
  overlong.refuse('overlong');
}

/** A row with what became of it. */
interface EncodedReadRow {
  readonly row: ReadRow;
  readonly encoded: EncodedExample;
}

/** Rows that are tokenised here before threads are started: small sets are done by then. */
const rowsBeforeThreads = 2_000;
/** Rows that go to a thread at a time. */
const rowsPerGroup = 256;
/** Groups that each thread has before it; more would only need memory. */
const groupsPerThread = 2;
/** More threads wait for the one that reads. */
const maxThreads = 8;

/** Threads that tokenise beside the main one. */
function threadCount(encoder: RowEncoder, settings: DataSettings): number {
  if (encoder.plan === undefined) return 0;
  const cores = availableParallelism();
  return Math.min(settings.preprocessing_num_workers ?? cores, cores, maxThreads) - 1;
}

/** Tokenises rows, in order; where there are many, in threads beside this one. The result is the same. */
async function* encodeGroups(
  groups: AsyncIterable<readonly ReadRow[]>,
  encoder: RowEncoder,
  settings: DataSettings,
): AsyncGenerator<EncodedReadRow[]> {
  const encodeOne = (row: ReadRow): EncodedExample =>
    row.example ? encodeExample(row.example, encoder, settings) : { problem: row.problem! };
  const encodeHere = (rows: readonly ReadRow[]): EncodedReadRow[] =>
    rows.map((row) => ({ row, encoded: encodeOne(row) }));
  const encodeThere = async (pool: EncodePool, rows: readonly ReadRow[]): Promise<EncodedReadRow[]> => {
    const done = await pool.encode(rows.flatMap(({ example }) => example ?? []));
    let at = 0;
    // Where the encoder threw there, it throws here too, with the row at hand.
    return rows.map((row) => ({ row, encoded: (row.example && done[at++]) ?? encodeOne(row) }));
  };
  const threads = threadCount(encoder, settings);
  let pool: EncodePool | undefined;
  const underway: (EncodedReadRow[] | Promise<EncodedReadRow[]>)[] = [];
  let rows = 0;
  try {
    for await (const group of groups) {
      for (let from = 0; from < group.length; from += rowsPerGroup) {
        const part = group.slice(from, from + rowsPerGroup);
        rows += part.length;
        if (threads > 0 && rows > rowsBeforeThreads) {
          pool ??= new EncodePool(threads, { plan: encoder.plan!, settings: lengthSettings(settings) });
        }
        if (pool !== undefined && pool.pending < threads * groupsPerThread) {
          const promise = encodeThere(pool, part);
          // Told when its turn comes.
          promise.catch(() => undefined);
          underway.push(promise);
        } else underway.push(encodeHere(part));
        // Whoever is behind in the threads is waited for; what was done here waits its turn.
        while (underway.length > threads * groupsPerThread * 2) yield await underway.shift()!;
      }
    }
    for (const done of underway) yield await done;
  } finally {
    await pool?.close();
  }
}

/** The settings that a thread needs. */
function lengthSettings(settings: DataSettings): LengthSettings {
  const { stage, cutoff_len, max_prompt_length, max_response_length, overlong, mask_history, packing } = settings;
  const { train_on_turn } = settings;
  return {
    stage,
    cutoff_len,
    max_prompt_length,
    max_response_length,
    overlong,
    mask_history,
    packing,
    ...(train_on_turn === undefined ? {} : { train_on_turn }),
  };
}

/** Says once for each data set where a template leaves out the tools of its rows. */
class ToolsInspector {
  private readonly looked = new Set<number>();
  private readonly entries: readonly DatasetEntry[];
  private readonly encoder: RowEncoder;
  private readonly notices: Notice[];

  constructor(entries: readonly DatasetEntry[], encoder: RowEncoder, notices: Notice[]) {
    this.entries = entries;
    this.encoder = encoder;
    this.notices = notices;
  }

  look(example: Example, dataset: number): void {
    if (example.kind !== 'conversation' || example.conversation.tools === undefined || this.looked.has(dataset)) return;
    this.looked.add(dataset);
    const { messages } = example.conversation;
    const [withTools] = this.encoder.encodeConversation(example.conversation);
    const [without] = this.encoder.encodeConversation({ messages });
    const isSame = withTools!.inputIds.length === without!.inputIds.length;
    if (isSame) this.notices.push(makeNotice('tools-ignored', { name: this.entries[dataset]!.name }));
  }
}
