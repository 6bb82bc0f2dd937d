/**
 * The server under abuse: clients that connect and stall, bodies of a gigabyte, garbage, clients that vanish while their answer
 * comes, wrong keys; and good clients whose answers must stay what they are without all that. Memory of both processes is watched.
 *
 *     npx tsx bench/server/abuse.ts [--minutes 1] [--requests 10000] [--model assets/demo/model]
 */
import { readFileSync, readdirSync } from 'node:fs';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RandomStream } from '../../src/util/index.ts';

const { values } = parseArgs({
  options: { minutes: { type: 'string' }, requests: { type: 'string' }, model: { type: 'string' } },
});
const minutes = Number(values.minutes ?? 1);
const requests = Number(values.requests ?? 10_000);
const root = fileURLToPath(new URL('../..', import.meta.url));
const model = values.model ?? `${root}/assets/demo/model`;
const key = 'good-key';
const random = new RandomStream(7);
const below = (limit: number): number => Math.floor(random.next() * limit);
const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

const child = spawn(
  process.execPath,
  [
    '--import',
    'tsx',
    `${root}/src/cli/main.ts`,
    'serve',
    `model_name_or_path=${model}`,
    'port=0',
    `api_key=${key}`,
    'served_model_name=m',
    '--json',
  ],
  { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] },
);
child.stdout.setEncoding('utf8');
const [line] = (await once(child.stdout, 'data')) as [string];
const { url } = JSON.parse(line) as { url: string };
const port = Number(new URL(url).port);

/** Children of a process, by /proc. */
function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) === parent;
      } catch {
        return false;
      }
    });
}
function residentBytes(pid: number): number {
  try {
    return 1024 * Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]);
  } catch {
    return Number.NaN;
  }
}
const engine = childrenOf(child.pid!).find((pid) =>
  readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('engine-main'),
)!;

const headers = { 'content-type': 'application/json', authorization: `Bearer ${key}` };
const goodBody = (seed: number): string =>
  JSON.stringify({
    model: 'm',
    prompt: `The soup number ${seed % 5} was`,
    max_tokens: 12,
    temperature: seed % 2,
    seed,
  });
async function good(seed: number): Promise<string> {
  const response = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body: goodBody(seed) });
  const answer = (await response.json()) as { choices?: { text: string }[] };
  return answer.choices?.[0]?.text ?? `status ${response.status}`;
}

const expected: string[] = [];
for (let seed = 0; seed < 10; seed++) expected.push(await good(seed));

const statuses = new Map<string, number>();
const count = (kind: string, status: number | string): void => {
  const name = `${kind}: ${status}`;
  statuses.set(name, (statuses.get(name) ?? 0) + 1);
};

/** Connects and says nothing, or half of a request. */
function stall(): Socket {
  const socket = connect(port, '127.0.0.1');
  const said = [
    '',
    'POST /v1/comp',
    'POST /v1/completions HTTP/1.1\r\nhost: x\r\n',
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"pro`,
  ][below(4)]!;
  socket.write(said);
  let answer = '';
  socket.on('data', (data) => (answer += String(data)));
  socket.on('error', () => {});
  socket.on('close', () => count('stalled', /HTTP\/1.1 (\d+)/.exec(answer)?.[1] ?? 'closed'));
  return socket;
}

/** Sends a gigabyte, chunk by chunk, as long as it is taken. */
async function gigabyte(): Promise<number> {
  const socket = connect(port, '127.0.0.1');
  const answers: string[] = [];
  socket.on('data', (data) => answers.push(String(data)));
  socket.on('error', () => {});
  socket.write(
    `POST /v1/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`,
  );
  const piece = Buffer.concat([Buffer.from('100000\r\n'), Buffer.alloc(1 << 20, 32), Buffer.from('\r\n')]);
  let sent = 0;
  while (sent < 1e9 && !socket.destroyed && socket.writable && answers.length === 0) {
    sent += 1 << 20;
    if (!socket.write(piece))
      await Promise.race([once(socket, 'drain').catch(() => 0), once(socket, 'close').catch(() => 0), wait(1000)]);
  }
  await wait(100);
  socket.destroy();
  count('1 GB body', /HTTP\/1.1 (\d+)/.exec(answers.join(''))?.[1] ?? 'closed');
  return sent;
}

const words = [
  '{',
  '}',
  '[',
  ']',
  '"prompt"',
  ':',
  ',',
  'null',
  '1e999',
  '-1',
  '"messages"',
  '"role"',
  '"x"',
  'true',
  '"n"',
  '"stop"',
  '"logit_bias"',
  '"suppress"',
  '\\u0000',
  '"temperature"',
  '"max_tokens"',
  '"stream"',
];
const paths = [
  '/v1/completions',
  '/v1/chat/completions',
  '/tokenize',
  '/detokenize',
  '/v1/models',
  '/',
  '/v1/../etc/passwd',
  '/v1/load_lora_adapter',
  '/%00',
  '/metrics',
];

/** One request of chance: broken JSON, or JSON of the wrong kind. */
async function garbage(): Promise<void> {
  const method = below(8) === 0 ? ['GET', 'PUT', 'DELETE', 'PATCH'][below(4)]! : 'POST';
  let body = Array.from({ length: below(30) }, () => words[below(words.length)]).join('');
  if (below(2) === 0) {
    const fields = Array.from(
      { length: below(6) },
      () =>
        `${words.filter((word) => word.startsWith('"'))[below(10)]}: ${['1', '"a"', 'null', '[]', '{}', '-5', '[1,2]', '[{"role":"user","content":"a"}]'][below(8)]}`,
    );
    body = `{${fields.join(',')}}`;
  }
  try {
    const response = await fetch(`${url}${paths[below(paths.length)]}`, {
      method,
      headers: below(10) === 0 ? {} : headers,
      signal: AbortSignal.timeout(120_000),
      ...(method === 'GET' ? {} : { body }),
    });
    await response.arrayBuffer();
    count('garbage', response.status);
  } catch (error) {
    count('garbage', error instanceof Error ? error.name : 'error');
  }
}

async function vanish(): Promise<void> {
  const controller = new AbortController();
  try {
    const body = JSON.stringify({ prompt: 'The', max_tokens: 200, stream: true, ignore_eos: true });
    const response = await fetch(`${url}/v1/completions`, { method: 'POST', headers, body, signal: controller.signal });
    const reader = response.body!.getReader();
    await reader.read();
    controller.abort();
    count('vanished', response.status);
  } catch {
    count('vanished', 'closed');
  }
}

async function wrongKey(): Promise<void> {
  const response = await fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${below(1e9)}` },
    body: '{}',
  });
  await response.arrayBuffer();
  count('wrong key', response.status);
}

const memory: { minute: number; http: number; engine: number }[] = [];
const note = (start: number): void => {
  memory.push({
    minute: (Date.now() - start) / 60_000,
    http: residentBytes(child.pid!),
    engine: residentBytes(engine),
  });
};

const start = Date.now();
const end = start + minutes * 60_000;
let wrong = 0;
let goods = 0;
let done = 0;
let stalled: Socket[] = [];
let nextGigabyte = 0;
let nextNote = 0;
const pauseMs = Math.max(0, (minutes * 60_000) / (requests / 8) - 1);
while (Date.now() < end || done < requests) {
  stalled = stalled.filter((socket) => !socket.destroyed);
  while (stalled.length < 200) stalled.push(stall());
  if (Date.now() >= nextGigabyte) {
    const sent = await gigabyte();
    if (nextGigabyte === 0)
      console.log(`of a body of 1 GB ${(sent / 1e6).toFixed(0)} MB were taken before it was refused`);
    nextGigabyte = Date.now() + 60_000;
  }
  if (Date.now() >= nextNote) {
    note(start);
    nextNote = Date.now() + Math.max(2_000, (minutes * 60_000) / 30);
  }
  const seed = goods++ % 10;
  const work = [
    good(seed).then((text) => {
      if (text !== expected[seed]) {
        wrong++;
        console.log(`good client ${seed}: ${JSON.stringify(text)} is not ${JSON.stringify(expected[seed])}`);
      }
    }),
    vanish(),
    wrongKey(),
    ...Array.from({ length: 8 }, garbage),
  ];
  done += 8;
  await Promise.all(work);
  if (Date.now() < end) await wait(Math.min(pauseMs, 5_000));
}
for (const socket of stalled) socket.destroy();
await wait(500);
note(start);
for (const [name, n] of [...statuses].sort(([a], [b]) => (a < b ? -1 : 1))) console.log(`${name}  ${n}`);
const half = memory.slice(Math.floor(memory.length / 2));
const show = (of: 'http' | 'engine'): string =>
  `${(memory[0]![of] / 1e6).toFixed(0)} at the start, ${(Math.max(...memory.map((each) => each[of])) / 1e6).toFixed(0)} at most, ${(half[0]![of] / 1e6).toFixed(0)} in the middle, ${(memory.at(-1)![of] / 1e6).toFixed(0)} MB at the end`;
console.log(`HTTP process: ${show('http')}`);
console.log(`engine process: ${show('engine')}`);
console.log(
  `${goods} answers to good clients, ${wrong} of them changed; ${((Date.now() - start) / 60_000).toFixed(1)} minutes`,
);
child.kill('SIGINT');
await once(child, 'exit');
if (wrong > 0) process.exitCode = 1;
