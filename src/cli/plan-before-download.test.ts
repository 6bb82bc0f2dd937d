import { existsSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type CallResult, callWith, writeCharacterModel } from './command-line.fixture.ts';
import { type LocalHub, startLocalHub } from './local-hub.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-outline-'));
const model = join(folder, 'model');
const rows = join(folder, 'rows.jsonl');
let hub: LocalHub;
let cache: string;

beforeAll(async () => {
  await writeCharacterModel(model, { hidden_size: 128, intermediate_size: 512, dtype: 'bfloat16', shards: 2 });
  writeFileSync(rows, '{"instruction": "Say it", "output": "yes yes"}\n'.repeat(8));
  hub = await startLocalHub(model);
});
afterAll(async () => {
  await hub.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  cache = mkdtempSync(join(folder, 'cache-'));
  process.env['FETTLE_CACHE'] = join(cache, 'fettle');
  hub.sent.clear();
  hub.ignoresRanges = false;
});

const snapshotFolder = (): string => {
  const snapshots = join(cache, 'models--org--tiny', 'snapshots');
  return join(snapshots, readdirSync(snapshots)[0]!);
};

const weightsSent = (): number =>
  [...hub.sent].filter(([path]) => path.endsWith('.safetensors')).reduce((sum, [, bytes]) => sum + bytes, 0);

function ask(...argv: string[]): Promise<CallResult> {
  const env = { HF_ENDPOINT: hub.endpoint, FETTLE_CACHE: join(cache, 'fettle') };
  return callWith({ env }, ...argv, `cache_dir=${cache}`, 'memory_limit=2GB', 'cutoff_len=256');
}

const setting = [`dataset=${rows}`, 'template=alpaca', 'per_device_train_batch_size=2'];

test.each([[], ['quantization_bit=4', '--json'], ['finetuning_type=full', '--json'], ['compute=int8', '--json']])(
  'a plan before the download is the plan after it %s',
  async (...more) => {
    const forms = more.length === 0 ? [['--json'], []] : [[]];
    for (const form of forms) {
      const before = await ask('plan', 'model_name_or_path=org/tiny', ...setting, ...more, ...form);
      expect(before.err).toMatch(
        /training will download the weights of org\/tiny from Hugging Face: 3 files, 1\.00 MB; in the cache 0 of them, 0 bytes; read for this plan \d/,
      );
      const after = await ask('plan', `model_name_or_path=${model}`, ...setting, ...more, ...form);
      expect({ code: before.code, out: before.out }).toEqual({ code: 0, out: after.out });
    }
    // of three files of a third of a megabyte
    expect(weightsSent()).toBeLessThan(3 * 33_000);
    // what is read of them is kept for the next command
    hub.sent.clear();
    const again = await ask('plan', 'model_name_or_path=org/tiny', ...setting, ...more);
    expect(again).toMatchObject({ code: 0, err: expect.stringContaining('read for this plan 0 bytes') as string });
    expect(weightsSent()).toBe(0);
    expect(readdirSync(snapshotFolder()).filter((name) => name.endsWith('.safetensors'))).toEqual([]);
  },
);

test('what the cache has is counted, and is not asked for', { timeout: 60_000 }, async () => {
  const run = join(cache, 'run');
  const trained = await ask('train', 'model_name_or_path=org/tiny', ...setting, 'max_steps=1', `output_dir=${run}`);
  expect({ code: trained.code, err: trained.err }).toMatchObject({ code: 0 });
  expect(existsSync(join(run, 'adapter_model.safetensors'))).toBe(true);
  // the rows that the plan tokenised were used, and are gone
  expect(readdirSync(join(cache, 'fettle', 'planned-data'))).toEqual([]);
  hub.sent.clear();
  const { err } = await ask('plan', 'model_name_or_path=org/tiny', ...setting);
  expect(err).not.toContain('download');
  expect(hub.sent.size).toBe(0);
  const last = join(snapshotFolder(), 'model-00003-of-00003.safetensors');
  const blob = realpathSync(last);
  writeFileSync(`${blob}.incomplete`, readFileSync(blob).subarray(0, 1000));
  for (const path of [last, blob]) rmSync(path);
  const half = await ask('plan', 'model_name_or_path=org/tiny', ...setting);
  expect(half.err).toMatch(/3 files, 1\.00 MB; in the cache 2 of them, \d/);
  // its header is known from the plan before the training
  expect([...hub.sent.keys()]).toEqual([]);
});

test('a training that cannot fit is refused before the download, one with bad rows too', async () => {
  const output = `output_dir=${join(cache, 'run')}`;
  const small = await callWith(
    { env: { HF_ENDPOINT: hub.endpoint } },
    'train',
    'model_name_or_path=org/tiny',
    ...setting,
    output,
    'memory_limit=100MB',
    `cache_dir=${cache}`,
  );
  expect(small).toMatchObject({ code: 1, err: expect.stringContaining('memory_limit: ') as string });
  writeFileSync(join(cache, 'bad.jsonl'), '{"instruction": 7, "output": "yes"}\n');
  const bad = await ask(
    'train',
    'model_name_or_path=org/tiny',
    `dataset=${cache}/bad.jsonl`,
    'template=alpaca',
    output,
  );
  expect(bad).toMatchObject({ code: 1, err: expect.stringContaining('bad.jsonl:1') as string });
  expect(weightsSent()).toBeLessThan(2 * 3 * 33_000);
  expect(existsSync(join(cache, 'run'))).toBe(false);
});

test('a hub that sends whole files only, and none at all', async () => {
  hub.ignoresRanges = true;
  expect(await ask('plan', 'model_name_or_path=org/tiny', ...setting)).toMatchObject({
    code: 1,
    err: expect.stringMatching(
      /model-00001-of-00003\.safetensors: the hub must give parts of a file, .* got all of it \(status 200\)\. Download it first with fettle download org\/tiny\n$/,
    ) as string,
  });
  expect(await ask('plan', 'model_name_or_path=org/other', 'offline=true', ...setting)).toMatchObject({
    code: 1,
    err: 'org/other: must be a folder here or lie whole in the cache, since Hugging Face is not to be asked (offline), got neither. Download it first with fettle download org/other, without offline and HF_HUB_OFFLINE\n',
  });
});
