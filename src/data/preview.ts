/** Rows as training sees them, one by one: what `data preview` prints (contract 33). Packing does not change it. */
import type { SegmentReason } from '../template/index.ts';
import type { Notice } from './notice.ts';
import { encodeExample, readRows } from './read-rows.ts';
import { resolveDatasets } from './registry.ts';
import type { RowEncoder } from './row-encoder.ts';
import { problemText } from './row.ts';
import type { DataSettings } from './settings.ts';

/** One sequence of a row. A row that becomes several sequences gives several objects. */
export interface PreviewedRow {
  /** Counted from 0 over all data sets, before sampling and shuffling. */
  readonly row: number;
  readonly dataset: string;
  readonly file: string;
  readonly line: number;
  readonly input_ids: readonly number[];
  /** -100 where a token is not trained, else the id. */
  readonly labels: readonly number[];
  /** Left out where every trained token weighs 1. */
  readonly weights?: readonly number[];
  /** Why each token is trained or not; left out for texts, whose tokens are all trained. */
  readonly reasons?: readonly SegmentReason[];
  /** The rule that drops the row from training. */
  readonly dropped?: string;
  /** Why it is dropped, in words. */
  readonly reason?: string;
}

/** Which row to show: one by its number, or all. */
export interface PreviewChoice {
  readonly row?: number | undefined;
}

/**
 * Shows rows of `dataset` as they are trained. Rows that training drops have no ids and say the rule.
 * @throws what `resolveDatasets` and `readRows` throw; rows of a wrong form are shown, never refused.
 */
export async function* previewRows(
  settings: DataSettings,
  encoder: RowEncoder,
  choice: PreviewChoice = {},
  notices: Notice[] = [],
): AsyncGenerator<PreviewedRow> {
  const entries = await resolveDatasets(settings.dataset, settings.dataset_dir, notices);
  for await (const group of readRows(entries, settings, notices)) {
    for (const { place, example, problem } of group) {
      if (choice.row !== undefined && place.row !== choice.row) continue;
      const { row, dataset, file, line } = place;
      const where = { row, dataset, file, line };
      const encoded = example ? encodeExample(example, encoder, settings) : { problem: problem! };
      if ('problem' in encoded) {
        const { rule } = encoded.problem;
        yield { ...where, input_ids: [], labels: [], dropped: rule, reason: problemText(encoded.problem, place) };
      } else {
        for (const { inputIds, labels, weights, reasons } of encoded.sequences) {
          const shown = { ...where, input_ids: [...inputIds], labels: [...labels] };
          const weighted = weights ? { ...shown, weights: [...weights] } : shown;
          yield reasons ? { ...weighted, reasons: reasons.slice(0, inputIds.length) } : weighted;
        }
      }
      if (choice.row !== undefined) return;
    }
  }
}
