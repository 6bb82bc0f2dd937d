/** What is known of a data set before it is read: where it stands and how its rows are to be understood. */

import type { RegisteredConverter } from './converters.ts';

/** How rows are written. `alpaca`, `sharegpt` and `openai` are LLaMA-Factory's names. */
export type RowFormat = 'alpaca' | 'sharegpt' | 'openai' | 'text' | 'prompt-completion' | 'firefly';

/** Which field of a row holds what; null: none. LLaMA-Factory's keys of `columns`. */
export interface Columns {
  readonly prompt: string;
  readonly query: string | null;
  readonly response: string;
  readonly history: string | null;
  readonly messages: string;
  readonly system: string | null;
  readonly tools: string | null;
  readonly images: string | null;
  readonly videos: string | null;
  readonly audios: string | null;
  readonly chosen: string;
  readonly rejected: string;
  readonly kto_tag: string | null;
}

/** How messages are written. LLaMA-Factory's keys of `tags`. */
export interface Tags {
  readonly role_tag: string;
  readonly content_tag: string;
  readonly user_tag: string;
  readonly assistant_tag: string;
  readonly observation_tag: string;
  readonly function_tag: string;
  readonly system_tag: string;
}

/** Where the rows come from. */
export type DatasetSource =
  | { readonly kind: 'files'; readonly files: readonly string[] }
  /** A set on a hub: its data files are downloaded into the cache. */
  | {
      readonly kind: 'hub';
      readonly hub: 'huggingface' | 'modelscope';
      readonly name: string;
      readonly subset: string | undefined;
      readonly split: string | undefined;
      readonly folder: string | undefined;
    }
  /** A source of LLaMA-Factory's that is not read. */
  | {
      readonly kind: 'other';
      readonly key: 'om_hub_url' | 'script_url' | 'cloud_file_name';
      readonly location: string;
    };

/** A data set, ready to be read. */
export interface DatasetEntry {
  readonly name: string;
  readonly source: DatasetSource;
  /** Undefined: told by the fields of the first row. */
  readonly format: RowFormat | undefined;
  /** A plugin's converter, which rows go through before anything looks at them. */
  readonly converter?: RegisteredConverter | undefined;
  readonly ranking: boolean;
  readonly numSamples: number | undefined;
  readonly columns: Columns;
  readonly tags: Tags;
  /** Keys of `columns` whose default is kept although the entry names others; said where they take effect. */
  readonly defaultedColumns: readonly (keyof Columns)[];
  /** The same for `tags`. */
  readonly defaultedTags: readonly (keyof Tags)[];
  /** Only the first exchange of each conversation. */
  readonly firstExchangeOnly?: boolean;
  /** The registry file that the entry stands in; undefined for a path. */
  readonly registry: string | undefined;
}

/** Defaults of `columns` (system, history and tools are read where a row has them). */
export const defaultColumns: Columns = {
  prompt: 'instruction',
  query: 'input',
  response: 'output',
  history: 'history',
  messages: 'conversations',
  system: 'system',
  tools: 'tools',
  images: null,
  videos: null,
  audios: null,
  chosen: 'chosen',
  rejected: 'rejected',
  kto_tag: null,
};

/** Defaults of `tags` for `formatting: sharegpt`. */
export const sharegptTags: Tags = {
  role_tag: 'from',
  content_tag: 'value',
  user_tag: 'human',
  assistant_tag: 'gpt',
  observation_tag: 'observation',
  function_tag: 'function_call',
  system_tag: 'system',
};

/** The tags of OpenAI's messages. */
export const openaiTags: Tags = {
  role_tag: 'role',
  content_tag: 'content',
  user_tag: 'user',
  assistant_tag: 'assistant',
  observation_tag: 'tool',
  function_tag: 'function_call',
  system_tag: 'system',
};
