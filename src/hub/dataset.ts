/** The data files of a data set on a hub: those of one subset and split. */
import { FileError } from '../errors.ts';
import { downloadFiles, listFiles } from './download.ts';
import { endpointOf, type HubFile, type HubOptions, type Repository } from './hub.ts';
import { askJson } from './request.ts';

/** Which part of a data set is wanted. */
export interface DatasetPart {
  /** Hugging Face's "configuration"; left out: the only one, or the one called `default`. */
  readonly subset?: string | undefined;
  /** Left out: `train`. */
  readonly split?: string | undefined;
  /** Only the files in this folder of the repository. */
  readonly folder?: string | undefined;
}

const dataFile = /\.(json|jsonl|csv|tsv|txt|parquet|arrow)(\.(gz|zst))?$/i;
/** Files beside the data in nearly every repository. */
const noData =
  /(^|\/)(dataset_infos?|dataset_dict|state|README|package|config|croissant)\.json$|(^|\/)\.|(^|\/)(requirements|LICENSE)\.txt$/i;

/** Names that people give to the files of a split. */
const splitWords: Readonly<Record<string, string>> = {
  train: 'train|training',
  validation: 'validation|valid|val|dev',
  test: 'test|testing|eval|evaluation',
};

function nameParts(path: string): string[] {
  return path.toLowerCase().split(/[^a-z0-9]+/);
}

function hasWord(path: string, words: string): boolean {
  return nameParts(path).some((part) => words.split('|').includes(part.replace(/\d+$/, '')));
}

/** The files of a split: those that name it and no other; of `train`, else those that name no split at all. */
export function chooseSplit(paths: readonly string[], split: string): string[] {
  const words = splitWords[split] ?? split.toLowerCase();
  // A split called `train_sft` is no other one than `train`.
  const others = Object.entries(splitWords).filter(([name, other]) => name !== split && !hasWord(split, other));
  const namesOther = (path: string): boolean => others.some(([, other]) => hasWord(path, other));
  const named = paths.filter((path) => path.toLowerCase().includes(split.toLowerCase()) || hasWord(path, words));
  const own = named.filter((path) => hasWord(path, words) || !namesOther(path));
  if (own.length > 0 || split !== 'train') return own;
  return paths.filter((path) => !namesOther(path));
}

function oneType(files: readonly HubFile[]): HubFile[] {
  const typeOf = ({ path }: HubFile): string => dataFile.exec(path)?.[1]?.toLowerCase() ?? '';
  const types = [...new Set(files.map(typeOf))];
  // Where a repository has its rows twice, the compact form is the one that its pages show.
  const type = types.includes('parquet') ? 'parquet' : types[0];
  return files.filter((file) => typeOf(file) === type).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * The data files that Hugging Face has converted to Parquet itself, by subset and split: so data sets that are made by a
 * script are read without running it. Undefined where the hub has none.
 */
async function convertedFiles(
  repository: Repository,
  options: HubOptions,
): Promise<Record<string, Record<string, string[]>> | undefined> {
  try {
    const url = `${endpointOf(repository.hub, options)}/api/datasets/${repository.name}/parquet`;
    const { value } = await askJson(url, repository, options);
    return typeof value === 'object' && value !== null
      ? (value as Record<string, Record<string, string[]>>)
      : undefined;
  } catch (error) {
    if (error instanceof FileError && error.code !== 'hub-unreachable') return undefined;
    throw error;
  }
}

function pathsOf(files: readonly HubFile[], part: DatasetPart): HubFile[] {
  const { subset, folder, split = 'train' } = part;
  let chosen = files.filter(({ path }) => dataFile.test(path) && !noData.test(path));
  if (folder !== undefined) chosen = chosen.filter(({ path }) => path.startsWith(`${folder.replace(/\/+$/, '')}/`));
  if (subset !== undefined && chosen.some(({ path }) => nameParts(path).includes(subset.toLowerCase()))) {
    chosen = chosen.filter(({ path }) => nameParts(path).includes(subset.toLowerCase()));
  }
  const paths = new Set(
    chooseSplit(
      chosen.map(({ path }) => path),
      split,
    ),
  );
  return oneType(chosen.filter(({ path }) => paths.has(path)));
}

/**
 * Downloads the data files of a part of a data set, and returns their paths in order.
 * @throws FileError `hub-no-data` where the split is not there, and what `listFiles` and `downloadFile` throw.
 */
export async function downloadDataset(
  name: string,
  hub: Repository['hub'],
  part: DatasetPart,
  options: HubOptions = {},
): Promise<string[]> {
  const repository: Repository = { hub, kind: 'dataset', name };
  let listing = await listFiles(repository, options);
  let chosen = pathsOf(listing.files, part);
  const { subset, split = 'train' } = part;
  const isAmbiguous =
    subset !== undefined && !chosen.some(({ path }) => nameParts(path).includes(subset.toLowerCase()));
  if ((chosen.length === 0 || isAmbiguous) && hub === 'huggingface' && part.folder === undefined) {
    const converted = await convertedFiles(repository, options);
    const config = subset ?? (converted?.['default'] ? 'default' : Object.keys(converted ?? {})[0]);
    if (converted && config !== undefined && converted[config]?.[split]) {
      listing = await listFiles({ ...repository, revision: 'refs/convert/parquet' }, options);
      // `config/split/0000.parquet`; large splits are marked as partial.
      chosen = listing.files.filter(
        ({ path }) => path.startsWith(`${config}/${split}/`) || path.startsWith(`${config}/partial-${split}/`),
      );
    }
  }
  if (chosen.length === 0) {
    const available = listing.files.map(({ path }) => path).filter((path) => dataFile.test(path) && !noData.test(path));
    throw new FileError('hub-no-data', { name, subset: subset ?? null, split, available });
  }
  return downloadFiles(listing, chosen, options);
}
