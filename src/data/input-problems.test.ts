import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ConfigError } from '../errors.ts';
import { withInputProblems } from './input-problems.ts';
import { resolveDatasets } from './registry.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-inputs-'));
  await writeFile(join(folder, 'rows.jsonl'), '{"instruction": "a", "output": "b"}\n');
});
afterAll(async () => rm(folder, { recursive: true }));

const linesOf = async (act: () => Promise<unknown>): Promise<readonly string[]> =>
  act().then(
    () => [],
    (error: unknown) => (error as Error).message.replaceAll(folder, 'DIR').split('\n'),
  );
const unknown = (key: string, name: string) =>
  `${key}: "${name}" must be a name in DIR/dataset_info.json or the path of a file, got neither (there is no such dataset_info.json).`;

it('all that is wrong with the inputs is told with the first thing', async () => {
  const settings = {
    dataset: ['rows.jsonl', 'nix.jsonl'],
    eval_dataset: ['none.jsonl'],
    dataset_dir: folder,
    template: 'lama3',
  };
  const refuse = () => Promise.reject(new ConfigError('model-needed', {}));
  expect(await linesOf(() => withInputProblems(settings, refuse))).toEqual([
    'model_name_or_path: the folder of a base model must be given, got nothing',
    expect.stringMatching(/^template: must name a built-in template, got "lama3"/),
    unknown('dataset', 'nix.jsonl'),
    unknown('eval_dataset', 'none.jsonl'),
  ]);
  expect(await withInputProblems(settings, async () => 'done')).toBe('done');
  const sound = { ...settings, dataset: ['rows.jsonl'], eval_dataset: [], template: 'llama3' };
  await expect(withInputProblems(sound, refuse)).rejects.toMatchObject({ code: 'model-needed' });
});

it('data sets that are not there are told together', async () => {
  expect(await linesOf(() => resolveDatasets(['a.jsonl', 'rows.jsonl', 'b.jsonl'], folder, []))).toEqual([
    unknown('dataset', 'a.jsonl'),
    unknown('dataset', 'b.jsonl'),
  ]);
});
