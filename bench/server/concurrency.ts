/**
 * Tokens per second of one client and of sixteen at once, through `fettle serve`, alternating: what the running batch is worth.
 *
 *     npx tsx bench/server/concurrency.ts [--clients 16] [--tokens 48] [--rounds 3] [--infer-dtype float32] [--cache FOLDER]
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { benchModel, defaultCacheFolder } from '../support/bench-models.ts';

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: '16' },
    tokens: { type: 'string', default: '48' },
    rounds: { type: 'string', default: '3' },
    'infer-dtype': { type: 'string', default: 'float32' },
    cache: { type: 'string', default: defaultCacheFolder },
  },
});
const clients = Number(values.clients);
const tokens = Number(values.tokens);
const root = fileURLToPath(new URL('../..', import.meta.url));
const weights = await benchModel('135m', 'BF16', values.cache);
// the random weights have no tokenizer: any will do, its text is not looked at
const model = join(values.cache, '135m-bf16-served');
mkdirSync(model, { recursive: true });
for (const name of ['config.json', 'model.safetensors']) {
  if (!existsSync(join(model, name))) symlinkSync(join(weights, name), join(model, name));
}
for (const name of ['tokenizer.json', 'tokenizer_config.json']) {
  copyFileSync(join(root, 'assets/demo/model', name), join(model, name));
}
const settings = [
  `model_name_or_path=${model}`,
  'served_model_name=m',
  'port=0',
  `max_rows=${clients}`,
  `infer_dtype=${values['infer-dtype']}`,
];
const child = spawn(process.execPath, ['--import', 'tsx', `${root}/src/cli/main.ts`, 'serve', ...settings, '--json'], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
});

/** An answer of the full length to a prompt of 100 tokens that no other has. */
async function ask(url: string, number: number): Promise<void> {
  const prompt = Array.from({ length: 100 }, (_, i) => 10 + ((number * 7919 + i * 104_729) % 1500));
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'm', prompt, max_tokens: tokens, temperature: 0, ignore_eos: true }),
  });
  const answer = (await response.json()) as { usage?: { completion_tokens: number } };
  if (answer.usage?.completion_tokens !== tokens)
    throw new Error(`status ${response.status}: ${JSON.stringify(answer)}`);
}

try {
  child.stdout.setEncoding('utf8');
  const [line] = (await once(child.stdout, 'data')) as [string];
  const { url } = JSON.parse(line) as { url: string };
  let number = 0;
  const tokensPerSecond = async (count: number): Promise<number> => {
    const started = performance.now();
    await Promise.all(Array.from({ length: count }, () => ask(url, number++)));
    return (count * tokens * 1000) / (performance.now() - started);
  };
  // every shape of step is made once before anything is measured
  await tokensPerSecond(1);
  await tokensPerSecond(clients);
  const ratios: number[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const alone = await tokensPerSecond(1);
    const together = await tokensPerSecond(clients);
    ratios.push(together / alone);
    const figures = [alone, together, together / alone].map((value) => value.toFixed(2));
    console.log(`1 client ${figures[0]} tokens/s, ${clients} clients ${figures[1]} tokens/s: ${figures[2]} times`);
  }
  ratios.sort((a, b) => a - b);
  console.log(`median ratio ${ratios[ratios.length >> 1]!.toFixed(2)} (${values['infer-dtype']}, 135M shape)`);
} finally {
  child.kill('SIGTERM');
}
