/** The rows of a data set, one after the other, each with its place. */
import { DataError, UnsupportedError } from '../errors.ts';
import { type FileRecord, readTableRecords, readTextRecords } from '../formats/index.ts';
import { applyConverter } from './converters.ts';
import { type DataStage, detectFormat, type RowReading } from './convert-row.ts';
import type { DatasetEntry } from './dataset-entry.ts';
import { rowFileFormat } from './registry.ts';

/** A record and the file that it stands in. */
export interface PlacedRecord {
  readonly file: string;
  readonly record: FileRecord;
}

/** The records of all files of a data set, in groups. @throws what `readTextRecords` throws; DataError `converter-failed` */
export async function* readDatasetRecords(entry: DatasetEntry): AsyncGenerator<PlacedRecord[]> {
  for (const file of entry.source.kind === 'files' ? entry.source.files : []) {
    const format = rowFileFormat(file)!;
    const isTable = format === 'parquet' || format === 'arrow';
    for await (const records of isTable ? readTableRecords(file, format) : readTextRecords(file, format)) {
      const { converter } = entry;
      yield records.map((record) => ({
        file,
        record: converter === undefined ? record : applyConverter(converter, file, record),
      }));
    }
  }
}

/** Number of records of a data set. */
export async function countRecords(entry: DatasetEntry): Promise<number> {
  let count = 0;
  for await (const records of readDatasetRecords(entry)) count += records.length;
  return count;
}

function requireStage(entry: DatasetEntry, stage: DataStage, ranking: boolean): void {
  const needsRanking = stage === 'rm' || stage === 'dpo';
  if (needsRanking === ranking) return;
  throw new DataError('dataset-stage', { name: entry.name, stage, needs: needsRanking ? 'ranking' : 'no-ranking' });
}

/**
 * How the rows of a data set are to be read: as its entry says, else as the fields of its first good row tell.
 * @throws DataError `dataset-stage`, `dataset-format`; UnsupportedError `dataset-media`.
 */
export function readingOf(entry: DatasetEntry, stage: DataStage, file: string, firstRow: unknown): RowReading {
  const { columns, tags } = entry;
  const media = (['images', 'videos', 'audios'] as const).find((key) => columns[key] !== null);
  if (media !== undefined)
    throw new UnsupportedError('dataset-media', { file: entry.registry!, name: entry.name, column: media });
  if (entry.format !== undefined) {
    requireStage(entry, stage, entry.ranking);
    return { stage, format: entry.format, columns, tags, ranking: entry.ranking };
  }
  const found = detectFormat(firstRow);
  if (found === undefined) {
    const fields = typeof firstRow === 'object' && firstRow !== null ? Object.keys(firstRow) : [];
    throw new DataError('dataset-format', { file, fields });
  }
  const row = firstRow as Readonly<Record<string, unknown>>;
  const ranking = (stage === 'rm' || stage === 'dpo') && Object.hasOwn(row, 'chosen') && Object.hasOwn(row, 'rejected');
  requireStage(entry, stage, ranking);
  const tagged = typeof row['label'] === 'boolean' ? 'label' : typeof row['kto_tag'] === 'boolean' ? 'kto_tag' : null;
  return {
    stage,
    format: found.format,
    columns: { ...columns, kto_tag: tagged, ...(found.messages === undefined ? {} : { messages: found.messages }) },
    tags: found.tags ?? tags,
    ranking,
  };
}
