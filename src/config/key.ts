/**
 * What is known of a configuration key besides its zod schema: what it is for, whether it may differ on resume, and
 * which values of other tools are recognised but refused. The schema and this record together are the only place where
 * a key is described; types, defaults, errors and the reference page are made from them.
 */
import { z } from 'zod';

/** The chapters of the configuration reference. */
export type KeyGroup =
  | 'Model'
  | 'Data'
  | 'Method'
  | 'Training'
  | 'Evaluation'
  | 'Output'
  | 'Generation'
  | 'Export'
  | 'Pairwise comparison'
  | 'Serving'
  | 'Predictions and tasks'
  | 'Machine';

/** What a resumed run does with a key: compares it, lets it differ, or compares the content it points to. */
export type ResumeRule = 'same' | 'free' | 'content';

/** The record that every supported key has in {@link keyRegistry}. */
export interface KeyInfo {
  readonly group: KeyGroup;
  /** One sentence for the reference page and the form. */
  readonly help: string;
  /** Where the default is not a constant: what it is, in words. */
  readonly defaultText?: string;
  /** How the written value is read when its schema alone does not say so. */
  readonly reading?: 'bytes';
  /** A text that ends in .yaml, .yml or .json is a file that holds the value. */
  readonly mappingFile?: boolean;
  /** Other spellings of values, and what each of them means here. */
  readonly aliases?: Readonly<Record<string, string>>;
  /** Values that LLaMA-Factory or transformers know and Fettle refuses, each with its remedy. */
  readonly refusedValues?: Readonly<Record<string, string>>;
  /** Values that change no result and have no effect here: left out of a list, with the notice of ignored keys. */
  readonly ignoredValues?: readonly string[];
  readonly resume?: ResumeRule;
}

/** Schema -> what is known of its key. */
export const keyRegistry = z.registry<KeyInfo>();

/** A function that registers keys of one group, so that the group's name stands once in its file. */
export function keysOf(
  group: KeyGroup,
): <S extends z.core.$ZodType>(schema: S, help: string, more?: Omit<KeyInfo, 'group' | 'help'>) => S {
  return (schema, help, more) => {
    keyRegistry.add(schema, { group, help, ...more });
    return schema;
  };
}

/** A non-empty text. */
export const text = z.string().min(1);
/** A list of non-empty texts; in a file also one text with commas. */
export const textList = z.array(text);
/** A whole number from 1 on. */
export const positiveInteger = z.number().int().min(1);
/** Either a whole number of steps from 1 on, or a fraction of all steps between 0 and 1. */
export const stepsOrFraction = z
  .number()
  .positive()
  .refine((value) => value < 1 || Number.isInteger(value), { error: 'fraction-or-integer' });
