/** Data sets that people know by name, with their source and licence. They stand behind the registry and behind paths. */
import type { JsonObject } from '../formats/index.ts';
import type { DatasetEntry } from './dataset-entry.ts';

/** A data set that needs no registry. */
export interface KnownDataset {
  /** Its entry, as `dataset_info.json` would have it. */
  readonly entry: JsonObject;
  readonly source: string;
  readonly licence: string;
  readonly more?: Partial<DatasetEntry>;
}

/** The preparations that Lit-GPT made known, by the names of its scripts. */
export const knownDatasets: Readonly<Record<string, KnownDataset>> = {
  alpaca: {
    entry: { hf_hub_url: 'tatsu-lab/alpaca' },
    source: 'https://huggingface.co/datasets/tatsu-lab/alpaca',
    licence: 'CC BY-NC 4.0',
  },
  dolly: {
    entry: {
      hf_hub_url: 'databricks/databricks-dolly-15k',
      columns: { prompt: 'instruction', query: 'context', response: 'response' },
    },
    source: 'https://huggingface.co/datasets/databricks/databricks-dolly-15k',
    licence: 'CC BY-SA 3.0',
  },
  // The first exchange of each conversation, as Lit-GPT takes it unless told otherwise.
  lima: {
    entry: { hf_hub_url: 'llamafactory/lima', formatting: 'sharegpt' },
    source: 'https://huggingface.co/datasets/llamafactory/lima',
    licence: 'CC BY-NC-SA',
    more: { firstExchangeOnly: true },
  },
  lima_multiturn: {
    entry: { hf_hub_url: 'llamafactory/lima', formatting: 'sharegpt' },
    source: 'https://huggingface.co/datasets/llamafactory/lima',
    licence: 'CC BY-NC-SA',
  },
  longform: {
    entry: { hf_hub_url: 'akoksal/LongForm', columns: { prompt: 'input', query: null, response: 'output' } },
    source: 'https://huggingface.co/datasets/akoksal/LongForm',
    licence: 'MIT',
    more: {},
  },
  flan: {
    entry: { hf_hub_url: 'Muennighoff/flan', columns: { prompt: 'inputs', response: 'targets' } },
    source: 'https://huggingface.co/datasets/Muennighoff/flan',
    licence: 'Apache-2.0',
  },
  redpajama_sample: {
    entry: { hf_hub_url: 'togethercomputer/RedPajama-Data-1T-Sample', columns: { prompt: 'text' } },
    source: 'https://huggingface.co/datasets/togethercomputer/RedPajama-Data-1T-Sample',
    licence: 'of its parts; see the source',
  },
};
