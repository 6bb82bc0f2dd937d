/**
 * Makes the demo's base model with Fettle itself: random weights, then `stage: pt` on the demo texts, then `stage: sft` on
 * small talks (other tasks than the quickstart's), all weights trained; stored as bf16 in assets/demo/model.
 *
 *     npx tsx scripts/train-demo-tokenizer.ts && npx tsx scripts/make-demo-model.ts
 *
 * Run again after an interruption, it continues the unfinished stage. A finished one is kept: delete .cache/demo to begin anew.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint, readTensor, tensorFromValues, writeCheckpoint } from '../src/formats/index.ts';
import { hashKey } from '../src/util/index.ts';
import { llamaConfig, llamaParameters, writeRandomLlama } from './demo/small-llama.ts';
import { writeModelFiles } from './make-demo-data.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const work = join(root, '.cache/demo');
const target = join(root, 'assets/demo/model');

const shape = { vocabulary: 1536, width: 128, ffn: 352, layers: 4, heads: 4, kvHeads: 2 };
async function copyTokenizer(folder: string): Promise<void> {
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(target, name), join(folder, name));
}

async function writeRandomModel(folder: string): Promise<void> {
  await writeRandomLlama(folder, shape, (name) => hashKey('fettle demo', 'weights', name));
  await copyTokenizer(folder);
}

/** Runs a stage to its end, or not at all where it has ended before. */
async function stage(folder: string, ...settings: string[]): Promise<void> {
  const record = await readFile(join(folder, 'run.json'), 'utf8').catch(() => '{}');
  if ((JSON.parse(record) as { state?: string }).state === 'done') return;
  await fettle('train', `output_dir=${folder}`, ...settings);
}

async function fettle(...parts: string[]): Promise<void> {
  const main = join(root, 'src/cli/main.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', main, ...parts], { cwd: root, stdio: 'inherit' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`fettle ${parts.join(' ')}: must end with exit code 0, got ${code}`);
}

/** What both stages share. */
const common = [
  'finetuning_type=full',
  `dataset_dir=${join(work, 'data')}`,
  'cutoff_len=256',
  'save_steps=100',
  'save_total_limit=1',
];
const schedule = ['lr_scheduler_type=cosine', 'warmup_steps=50', 'logging_steps=10'];

async function main(): Promise<void> {
  const [random, texts, talks] = ['random', 'texts', 'talks'].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  await writeModelFiles(join(work, 'data'));
  await writeRandomModel(random);
  await stage(
    texts,
    `model_name_or_path=${random}`,
    'stage=pt',
    'dataset=demo_texts',
    'per_device_train_batch_size=8',
    'learning_rate=1e-3',
    'num_train_epochs=1',
    ...common,
    ...schedule,
  );
  await stage(
    talks,
    `model_name_or_path=${texts}`,
    'stage=sft',
    'dataset=demo_talks',
    'per_device_train_batch_size=32',
    'learning_rate=8e-4',
    'num_train_epochs=3',
    ...common,
    ...schedule,
  );
  const { tensors } = await openCheckpoint(talks);
  const stored = [];
  for (const [name, sizes] of llamaParameters(shape)) {
    const entry = tensors.get(name);
    if (!entry) throw new Error(`${talks}: ${name} must be there, got nothing`);
    stored.push(tensorFromValues(name, sizes, await readTensor(entry), 'BF16'));
  }
  await writeCheckpoint(target, stored, Number.POSITIVE_INFINITY);
  const config = llamaConfig(shape, 'bfloat16');
  const { eos_token_id, pad_token_id } = config;
  for (const [name, value] of Object.entries({
    'config.json': config,
    'generation_config.json': { eos_token_id, pad_token_id, max_new_tokens: 64 },
  })) {
    await writeFile(join(target, name), `${JSON.stringify(value, null, 2)}\n`);
  }
}

await main();
