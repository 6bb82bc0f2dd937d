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
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpoint, readTensor, tensorFromValues, writeCheckpoint } from '../src/formats/index.ts';
import { hashKey, RandomStream } from '../src/util/index.ts';
import { writeModelFiles } from './make-demo-data.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const work = join(root, '.cache/demo');
const target = join(root, 'assets/demo/model');

const shape = { vocabulary: 1536, width: 128, ffn: 352, layers: 4, heads: 4, kvHeads: 2 };
const INITIAL_SPREAD = 0.05;

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: shape.vocabulary,
  hidden_size: shape.width,
  intermediate_size: shape.ffn,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.kvHeads,
  hidden_act: 'silu',
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  attention_bias: false,
  tie_word_embeddings: true,
  initializer_range: INITIAL_SPREAD,
  bos_token_id: null,
  eos_token_id: 2,
  pad_token_id: 0,
};

/** Names and shapes of all weights, as transformers has them. */
function parameters(): [name: string, shape: number[]][] {
  const { width, ffn } = shape;
  const kvWidth = (width / shape.heads) * shape.kvHeads;
  const list: [string, number[]][] = [['model.embed_tokens.weight', [shape.vocabulary, width]]];
  for (let layer = 0; layer < shape.layers; layer++) {
    const of = (name: string) => `model.layers.${layer}.${name}.weight`;
    list.push(
      [of('input_layernorm'), [width]],
      [of('self_attn.q_proj'), [width, width]],
      [of('self_attn.k_proj'), [kvWidth, width]],
      [of('self_attn.v_proj'), [kvWidth, width]],
      [of('self_attn.o_proj'), [width, width]],
      [of('post_attention_layernorm'), [width]],
      [of('mlp.gate_proj'), [ffn, width]],
      [of('mlp.up_proj'), [ffn, width]],
      [of('mlp.down_proj'), [width, ffn]],
    );
  }
  list.push(['model.norm.weight', [width]]);
  return list;
}

async function copyTokenizer(folder: string): Promise<void> {
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await copyFile(join(target, name), join(folder, name));
}

async function writeConfig(folder: string, dtype: 'float32' | 'bfloat16'): Promise<void> {
  await writeFile(join(folder, 'config.json'), `${JSON.stringify({ ...config, torch_dtype: dtype }, null, 2)}\n`);
}

/** A model of random weights: normal, norms at one. */
async function writeRandomModel(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = parameters().map(([name, sizes]) => {
    const random = new RandomStream(hashKey('fettle demo', 'weights', name));
    const count = sizes.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: count }, () =>
      sizes.length === 1 ? 1 : random.nextNormal() * INITIAL_SPREAD,
    );
    return tensorFromValues(name, sizes, values, 'F32');
  });
  await writeCheckpoint(folder, tensors, Number.POSITIVE_INFINITY);
  await writeConfig(folder, 'float32');
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
  for (const [name, sizes] of parameters()) {
    const entry = tensors.get(name);
    if (!entry) throw new Error(`${talks}: ${name} must be there, got nothing`);
    stored.push(tensorFromValues(name, sizes, await readTensor(entry), 'BF16'));
  }
  await writeCheckpoint(target, stored, Number.POSITIVE_INFINITY);
  await writeConfig(target, 'bfloat16');
  await writeFile(
    join(target, 'generation_config.json'),
    `${JSON.stringify({ eos_token_id: config.eos_token_id, pad_token_id: config.pad_token_id, max_new_tokens: 64 }, null, 2)}\n`,
  );
}

await main();
