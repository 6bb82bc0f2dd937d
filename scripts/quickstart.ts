/**
 * The quickstart: measures the demo model on unseen reviews, tunes it with LoRA, measures again, and says how to go on.
 * Everything that it makes lies in quickstart/, which git ignores.
 *
 *     npm run quickstart
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openGenerator } from '../src/index.ts';
import { formatDuration } from '../src/util/index.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const model = 'assets/demo/model';
const folder = 'quickstart';
const adapter = `${folder}/sentiment-lora`;

const trainConfig = `# The quickstart's training, made by scripts/quickstart.ts: npx fettle train ${folder}/train.yaml
model_name_or_path: ${model}
stage: sft
finetuning_type: lora
lora_rank: 16
lora_target: all

dataset_dir: assets/demo/data
dataset: sentiment_train
cutoff_len: 256

output_dir: ${adapter}
overwrite_output_dir: true
logging_steps: 5
save_steps: 1000

per_device_train_batch_size: 16
learning_rate: 1.0e-3
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.05
`;

const chatConfig = `# Talks to the tuned model: npx fettle chat ${folder}/chat.yaml
model_name_or_path: ${model}
adapter_name_or_path: ${adapter}
max_new_tokens: 16
do_sample: false
`;

interface Row {
  readonly instruction: string;
  readonly input: string;
  readonly output: string;
}

async function runProgram(program: string, parts: readonly string[]): Promise<void> {
  const child = spawn(program, parts, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) {
    console.error(`quickstart: "${[program, ...parts].join(' ')}" must end with exit code 0, got ${code}`);
    process.exit(1);
  }
}

/** Compiles the package and puts its program where npx looks first, as an installation of the package would. */
async function build(): Promise<void> {
  await runProgram(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json']);
  const program = join(root, 'dist/cli/main.js');
  const links = join(root, 'node_modules/.bin');
  await chmod(program, 0o755);
  await mkdir(links, { recursive: true });
  const link = join(links, 'fettle');
  await rm(link, { force: true });
  if (process.platform === 'win32') {
    await writeFile(`${link}.cmd`, `@node "${program}" %*\r\n`);
  } else {
    await symlink(relative(links, program), link);
  }
}

/** The share of rows whose whole answer is the label, and the first answers. */
async function measure(rows: readonly Row[], tuned: boolean): Promise<{ right: number; answers: string[] }> {
  const generator = await openGenerator({
    modelNameOrPath: join(root, model),
    ...(tuned ? { adapterNameOrPath: [join(root, adapter)] } : {}),
    doSample: false,
    maxNewTokens: 12,
  });
  try {
    const answers: string[] = [];
    for (const row of rows) {
      const ids = generator.promptIds([{ role: 'user', content: `${row.instruction}\n${row.input}` }]);
      answers.push((await generator.answer(ids)).text.trim());
    }
    return { right: rows.filter((row, i) => answers[i] === row.output).length, answers };
  } finally {
    await generator.release();
  }
}

function say(name: string, right: number, count: number): void {
  console.log(`accuracy ${name}: ${((100 * right) / count).toFixed(1)} % (${right} of ${count} unseen reviews)`);
}

async function main(): Promise<void> {
  const start = Date.now();
  await build();
  await rm(join(root, adapter), { recursive: true, force: true });
  await mkdir(join(root, folder), { recursive: true });
  await writeFile(join(root, folder, 'train.yaml'), trainConfig);
  await writeFile(join(root, folder, 'chat.yaml'), chatConfig);
  const rows = JSON.parse(await readFile(join(root, 'assets/demo/data/sentiment_test.json'), 'utf8')) as Row[];

  console.log('Task: name the feeling of a small review in one word: positive, negative, mixed or neutral.');
  const before = await measure(rows, false);
  say('before', before.right, rows.length);
  console.log(
    'The base model knows small talk only: nobody has taught it this task, so it answers in words of its own.',
  );
  console.log(`\nTraining: npx fettle train ${folder}/train.yaml`);
  await runProgram(process.execPath, ['dist/cli/main.js', 'train', `${folder}/train.yaml`]);

  const after = await measure(rows, true);
  console.log('\nA few of the unseen reviews, with the answer before and after:');
  rows.slice(0, 5).forEach((row, i) => {
    console.log(
      `  ${row.input}\n    ${before.answers[i] || '(nothing)'}  ->  ${after.answers[i]}  (label: ${row.output})`,
    );
  });
  console.log();
  say('before', before.right, rows.length);
  say('after', after.right, rows.length);
  console.log(`loss curve: ${adapter}/training_loss.png`);
  console.log(`time: ${formatDuration((Date.now() - start) / 1000)}`);
  console.log(`\nGo on with a chat:\n  npx fettle chat ${folder}/chat.yaml`);
  console.log('and ask it, for example:');
  console.log(`  ${rows[0]?.instruction} The soup was not bland at all, but the waiter was rude.`);
}

await main();
