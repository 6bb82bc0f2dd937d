/** Reads and tokenises the rows of data sets, counts what is dropped, and refuses what must not be. */
import type { DatasetEntry } from './dataset-entry.ts';
import type { KeptRow } from './kept-rows.ts';
import type { Example } from './example.ts';
import { makeNotice, type Notice } from './notice.ts';
import { encodeExample, readRows } from './read-rows.ts';
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
  for await (const group of readRows(entries, settings, notices)) {
    const kept: KeptRow[] = [];
    for (const { place, dataset, uses, example, problem: formProblem } of group) {
      tally.read++;
      const encoded = example ? encodeExample(example, encoder, settings) : { problem: formProblem! };
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
