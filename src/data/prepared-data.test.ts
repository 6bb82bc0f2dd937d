import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { characterEncoder, shown } from './character-encoder.fixture.ts';
import { keepPlannedData, withPlannedData } from './planned-data.ts';
import { prepareData, prepareTrainingData } from './prepare.ts';
import type { RowEncoder } from './row-encoder.ts';
import type { DataSettings } from './settings.ts';

let folder: string;
let prepared: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-prepared-'));
  prepared = join(folder, 'tokens');
  await writeFile(join(folder, 'test.jsonl'), '{"instruction": "t", "output": "u"}\n');
  await write([
    '{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0.5}]}',
    '{"messages": []}',
    row('q1'),
    row('q2'),
    row('long'.repeat(20)),
  ]);
});
afterEach(async () => rm(folder, { recursive: true }));

const row = (content: string): string =>
  JSON.stringify({
    messages: [
      { role: 'user', content },
      { role: 'assistant', content: 'é' },
    ],
  });
const write = async (rows: string[]): Promise<void> => writeFile(join(folder, 'data.jsonl'), rows.join('\n'));

function settings(changes: Partial<DataSettings> = {}): DataSettings {
  return {
    stage: 'sft',
    dataset: ['data.jsonl'],
    eval_dataset: ['test.jsonl'],
    dataset_dir: folder,
    cutoff_len: 40,
    overlong: 'drop',
    bad_rows: 'drop',
    val_size: 0,
    mask_history: false,
    packing: false,
    disable_shuffling: false,
    group_by_length: true,
    data_seed: 1,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 1,
    num_train_epochs: 1,
    max_steps: -1,
    tokenized_path: prepared,
    ...changes,
  };
}
/** An encoder that must not be asked for a row. */
const silent: RowEncoder = {
  ...characterEncoder,
  encodeConversation: () => {
    throw new Error('a row was tokenised');
  },
};

it('gives training the same samples, plan, hash and notices without tokenising', async () => {
  const fresh = await prepareTrainingData(settings({ tokenized_path: undefined }), characterEncoder);
  const summary = await prepareData(prepared, settings(), characterEncoder);
  expect(summary).toMatchObject({
    rows_read: 5,
    rows_valid: 3,
    rows_dropped: { 'no-assistant-turn': 1, 'over-length': 1 },
  });
  expect((await readdir(prepared)).sort()).toEqual([
    `evaluation-1-${summary.identity.slice(0, 12)}.parquet`,
    'prepared.json',
    `train-${summary.identity.slice(0, 12)}.parquet`,
  ]);
  const again = await prepareTrainingData(settings(), silent);
  expect(again.plan).toEqual(fresh.plan);
  expect(again.contentHash).toBe(fresh.contentHash);
  expect(again.notices).toEqual(fresh.notices);
  expect(again.train.sample(0)).toEqual(fresh.train.sample(0));
  expect(again.train.sample(0)[0]!.weights).toEqual(Float32Array.of(0, 0, 0, 0, 0.5, 0.5));
  expect(shown(again.evaluation[0]!.samples.sample(0)[0]!.inputIds)).toBe('‹u›t¶‹a›u¶');
  // What is made anew in each run may differ.
  expect(
    (await prepareTrainingData(settings({ packing: true, val_size: 1 / 3, eval_dataset: ['test.jsonl'] }), silent))
      .evaluation,
  ).toHaveLength(2);
});

it('is used only where rows, settings, tokenizer and template are the same', async () => {
  const { identity } = await prepareData(prepared, settings(), characterEncoder);
  const differs = `tokenized_path: the data in ${prepared} was made of other rows, settings, tokenizer or template: it is not used, the rows are tokenised now`;
  const says = async (changes: Partial<DataSettings>, encoder = characterEncoder): Promise<boolean> =>
    (await prepareTrainingData(settings(changes), encoder)).notices.some(({ text }) => text === differs);
  expect(await says({})).toBe(false);
  expect(await says({ cutoff_len: 41 })).toBe(true);
  expect(await says({ max_samples: 2 })).toBe(true);
  expect(await says({}, { ...characterEncoder, identity: ['another template'] })).toBe(true);
  await write([row('q1'), row('q2')]);
  expect(await says({})).toBe(true);
  await expect(prepareTrainingData(settings(), silent)).rejects.toThrow('a row was tokenised');
  const second = await prepareData(prepared, settings(), characterEncoder);
  expect(second.identity).not.toBe(identity);
  expect(await says({})).toBe(false);
  // The files of the first attempt are gone.
  expect(await readdir(prepared)).toHaveLength(3);
});

it('says where nothing is prepared, and leaves nothing half-written', async () => {
  const { notices } = await prepareTrainingData(settings(), characterEncoder);
  expect(notices[0]!.text).toBe(
    `tokenized_path: ${prepared} holds no prepared data: the rows are tokenised now. Write it with: fettle data prepare`,
  );
  await expect(prepareData(prepared, settings({ bad_rows: 'error' }), characterEncoder)).rejects.toThrow(
    '1 row cannot be used (no-assistant-turn 1)',
  );
  expect(await readdir(prepared)).toEqual([]);
});

describe('rows that a plan leaves for the training after its download', () => {
  const own = (changes: Partial<DataSettings> = {}): DataSettings =>
    settings({ tokenized_path: undefined, ...changes });
  const reading = (encoder: RowEncoder) => (one: DataSettings) => prepareTrainingData(one, encoder);
  const left = async (): Promise<string[]> => readdir(join(folder, 'planned-data')).catch(() => []);
  beforeEach(() => vi.stubEnv('FETTLE_CACHE', folder));
  afterEach(() => vi.unstubAllEnvs());

  it('are tokenised once, and go when they were used', async () => {
    const fresh = await prepareTrainingData(own(), characterEncoder);
    const planned = await keepPlannedData(own(), characterEncoder, reading(characterEncoder));
    expect(planned).toMatchObject({ contentHash: fresh.contentHash, plan: fresh.plan, notices: fresh.notices });
    // a plan that was refused, and one more
    await keepPlannedData(own(), silent, reading(silent));
    expect(await left()).toHaveLength(1);
    const trained = await withPlannedData(own(), silent, reading(silent));
    expect(trained).toMatchObject({ contentHash: fresh.contentHash, plan: fresh.plan, notices: fresh.notices });
    expect(await left()).toEqual([]);
    await expect(withPlannedData(own(), silent, reading(silent))).rejects.toThrow('a row was tokenised');
  });

  it('are not those of another setting, and nothing is left where rows are refused', async () => {
    await keepPlannedData(own(), characterEncoder, reading(characterEncoder));
    await expect(withPlannedData(own({ cutoff_len: 41 }), silent, reading(silent))).rejects.toThrow(
      'a row was tokenised',
    );
    expect(await left()).toHaveLength(1);
    const strict = own({ bad_rows: 'error' });
    await expect(keepPlannedData(strict, characterEncoder, reading(characterEncoder))).rejects.toThrow(
      '1 row cannot be used',
    );
    expect(await left()).toHaveLength(1);
  });

  it('are read as before where the cache cannot be written', async () => {
    await writeFile(join(folder, 'planned-data'), 'a file');
    const data = await keepPlannedData(own(), characterEncoder, reading(characterEncoder));
    expect(data.contentHash).toBe((await prepareTrainingData(own(), characterEncoder)).contentHash);
    expect(await withPlannedData(own(), characterEncoder, reading(characterEncoder))).toMatchObject({
      plan: data.plan,
    });
  });
});
