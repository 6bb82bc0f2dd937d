/**
 * What decides on the answers of a model: answers that were made of one thing are never mixed with those of another, and never replaced by
 * them unless somebody says so. Contents are compared, not names: a model that was moved, or a data set under another name, is the same.
 */
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ConfigKey, keyInfo, keysOfGroup, shownValue } from '../config/index.ts';
import type { PromptRow } from '../data/index.ts';
import { RunError } from '../errors.ts';
import type { Generator } from '../generate/index.ts';
import { hashNamedFiles } from '../run/index.ts';

/** What is compared by content. */
export type OriginContent = 'model' | 'questions' | 'ends';

/** What answers were made of. */
export interface AnswerOrigin {
  /** Settings that decide on answers, or that name what is compared by content. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** SHA-256 of each content. */
  readonly contents: Readonly<Record<OriginContent, string>>;
}

/** Settings that decide on answers by themselves. */
const decidingKeys: readonly ConfigKey[] = [
  ...keysOfGroup('Generation'),
  'seed',
  'device',
  'quantization_bit',
  'quantization_method',
  'quantization_type',
  'double_quantization',
];

/** The settings that may be why a content differs, most likely first. */
const namingKeys: Readonly<Record<OriginContent, readonly ConfigKey[]>> = {
  model: ['model_name_or_path', 'adapter_name_or_path', 'model_revision'],
  questions: ['eval_dataset', 'dataset', ...keysOfGroup('Data').filter((key) => keyInfo(key).resume !== 'free')],
  ends: ['template'],
};

/** Files that decide on what a model answers, its tokenizer aside, whose ids are compared themselves. */
const modelFile = /^(?:config|generation_config|adapter_config)\.json$|\.(?:safetensors|bin)$/;

async function modelContent(folders: readonly string[]): Promise<string> {
  const files: { name: string; path: string }[] = [];
  for (const [index, folder] of folders.entries()) {
    for (const name of (await readdir(folder)).filter((file) => modelFile.test(file)).sort()) {
      files.push({ name: `${index}/${name}`, path: join(folder, name) });
    }
  }
  return hashNamedFiles(files);
}

/** What the answers of an open model to these questions are made of. */
export async function answerOrigin(
  settings: { readonly model_name_or_path?: string | undefined; readonly adapter_name_or_path: readonly string[] },
  generator: Generator,
  rows: readonly PromptRow[],
): Promise<AnswerOrigin> {
  const values = settings as Readonly<Record<string, unknown>>;
  const kept = [...new Set([...decidingKeys, ...Object.values(namingKeys).flat()])];
  const questions = createHash('sha256');
  for (const { promptIds, label } of rows) questions.update(promptIds).update(JSON.stringify(label));
  const ends = [...generator.stopIds, ...(generator.text.template?.stopStrings ?? [])];
  return {
    settings: Object.fromEntries(kept.flatMap((key) => (values[key] === undefined ? [] : [[key, values[key]]]))),
    contents: {
      model: await modelContent([settings.model_name_or_path!, ...settings.adapter_name_or_path]),
      questions: questions.digest('hex'),
      ends: createHash('sha256').update(JSON.stringify(ends)).digest('hex'),
    },
  };
}

/** The first thing in which answers that are there differ from those that are asked for. */
export interface OriginDifference {
  readonly what: OriginContent | 'setting';
  /** The setting that differs; left out where all are the same and a content is not. */
  readonly key?: ConfigKey;
}

/** The first difference; undefined where the answers would be the same. */
export function originDifference(old: AnswerOrigin, next: AnswerOrigin): OriginDifference | undefined {
  const differs = (key: ConfigKey): boolean => JSON.stringify(old.settings[key]) !== JSON.stringify(next.settings[key]);
  for (const what of ['model', 'questions', 'ends'] as const) {
    if (old.contents[what] === next.contents[what]) continue;
    const key = namingKeys[what].find(differs);
    return key === undefined ? { what } : { what, key };
  }
  const key = decidingKeys.find(differs);
  return key === undefined ? undefined : { what: 'setting', key };
}

/** The refusal to replace answers that were made of something else. */
export function otherOrigin(
  folder: string,
  answers: number,
  old: AnswerOrigin,
  next: AnswerOrigin,
  { what, key }: OriginDifference,
): RunError {
  return key === undefined
    ? new RunError('answers-of-other-content', { dir: folder, answers, what: what as OriginContent })
    : new RunError('answers-of-other-setting', {
        dir: folder,
        answers,
        key,
        before: shownValue(old.settings[key]),
        now: shownValue(next.settings[key]),
      });
}

/** Whether the head of a journal says what its answers were made of. */
export function isAnswerOrigin(value: unknown): value is AnswerOrigin {
  const { settings, contents } = (value ?? {}) as Partial<Record<keyof AnswerOrigin, unknown>>;
  return typeof settings === 'object' && settings !== null && typeof contents === 'object' && contents !== null;
}
