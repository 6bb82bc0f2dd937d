/**
 * A download that is killed again and again: `fettle download` against a hub on this machine that answers slowly and breaks
 * connections; kill -9 at random moments until it has been killed as often as asked, then once to the end. The files must have the
 * SHA-256 of what the hub has. Then: a wrong byte is noticed, no hub gives one clear message, and (with --python) Python's
 * huggingface_hub finds every file where Fettle put it, and the other way round.
 *
 *     npx tsx bench/hub/run.ts [--kills 20] [--megabytes 64] [--seed 1] [--python PYTHON]
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { RandomStream } from '../../src/util/index.ts';

const { values } = parseArgs({
  options: {
    kills: { type: 'string' },
    megabytes: { type: 'string' },
    seed: { type: 'string' },
    python: { type: 'string' },
  },
});
const kills = Number(values.kills ?? 20);
const shardBytes = (Number(values.megabytes ?? 64) * 1e6) / 2;
const random = new RandomStream(Number(values.seed ?? 1));
const commit = '0123456789abcdef0123456789abcdef01234567';
const files = new Map<string, Buffer>();
for (const [i, name] of ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'].entries()) {
  const bytes = Buffer.alloc(shardBytes);
  for (let at = 0; at + 4 <= bytes.length; at += 4)
    bytes.writeUInt32LE((Math.imul(at + i, 2654435761) >>> 0) >>> 0, at);
  files.set(name, bytes);
}
files.set('config.json', Buffer.from('{"model_type": "llama"}'));
const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const gitSha1 = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
const sums = new Map([...files].map(([name, bytes]) => [name, sha256(bytes)]));

let served = 0;
let broken = 0;
let isWrong = false;
/** Bytes that go out at a time, and the pause between: about 40 MB/s. */
const pieceBytes = 1 << 18;
const pauseMs = 6;

const server = createServer((request, response) => {
  const url = new URL(request.url!, 'http://localhost');
  const json = (value: unknown): void => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(value));
  };
  if (url.pathname.includes('/revision/'))
    return json({ sha: commit, siblings: [...files.keys()].map((rfilename) => ({ rfilename })) });
  if (url.pathname.includes('/tree/')) {
    return json(
      [...files].map(([path, bytes]) => ({
        type: 'file',
        path,
        size: bytes.length,
        oid: gitSha1(bytes),
        ...(path.endsWith('.json') ? {} : { lfs: { oid: sums.get(path), size: bytes.length, pointerSize: 134 } }),
      })),
    );
  }
  const name = decodeURIComponent(/\/resolve\/[^/]+\/(.*)$/.exec(url.pathname)?.[1] ?? '');
  const bytes = files.get(name);
  if (!bytes) {
    response.writeHead(404);
    return void response.end();
  }
  const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': String(bytes.length - from),
    'x-repo-commit': commit,
    etag: `"${name.endsWith('.json') ? gitSha1(bytes) : sums.get(name)}"`,
    ...(from > 0 ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
  });
  if (request.method === 'HEAD') return void response.end();
  const breaksAt = random.next() < 0.3 && bytes.length > 1e6 ? from + random.next() * (bytes.length - from) : Infinity;
  let at = from;
  const send = (): void => {
    if (response.destroyed) return;
    if (at >= breaksAt) {
      broken++;
      return void response.destroy();
    }
    const end = Math.min(bytes.length, at + pieceBytes);
    const piece = Buffer.from(bytes.subarray(at, end));
    if (isWrong && at <= bytes.length / 2 && end > bytes.length / 2) piece[0]! ^= 1;
    served += piece.length;
    at = end;
    response.write(piece);
    if (at === bytes.length) return void response.end();
    setTimeout(send, pauseMs);
  };
  send();
});

/** Listens on a free port of this machine. */
async function listen(on: Server): Promise<string> {
  await new Promise<void>((resolve) => on.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(on.address() as AddressInfo).port}`;
}

const endpoint = await listen(server);
const home = mkdtempSync(join(tmpdir(), 'fettle-hub-bench-'));
const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

function environment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, HF_ENDPOINT: endpoint, HF_HOME: join(home, folder), FETTLE_CACHE: join(home, 'fettle') };
}

/** Runs `fettle download`; with `killAfterMs` it is killed unless it ends before. */
async function download(
  folder: string,
  killAfterMs?: number,
  more: NodeJS.ProcessEnv = {},
): Promise<{ killed: boolean; code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [main, 'download', 'org/model'], { env: { ...environment(folder), ...more } });
  let [out, err] = ['', ''];
  child.stdout.on('data', (text) => (out += String(text)));
  child.stderr.on('data', (text) => (err += String(text)));
  let killed = false;
  const timer =
    killAfterMs === undefined
      ? undefined
      : setTimeout(() => {
          killed = true;
          child.kill('SIGKILL');
        }, killAfterMs);
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  return { killed, code, out: out.trim(), err: err.trim() };
}

function requireEqual(folder: string): void {
  for (const [name, sum] of sums) {
    const actual = sha256(readFileSync(join(folder, name)));
    if (actual !== sum) throw new Error(`${name}: ${actual} is not ${sum}`);
  }
}

try {
  let done = 0;
  let finished = '';
  let attempts = 0;
  while (done < kills) {
    attempts++;
    const { killed, code, out, err } = await download('killed', 250 + random.next() * 250);
    if (killed) done++;
    else if (code === 0) {
      // finished before the kill: begin again with an empty cache
      finished = out;
      requireEqual(finished);
      rmSync(join(home, 'killed'), { recursive: true, force: true });
    } else throw new Error(err);
  }
  const last = await download('killed');
  if (last.code !== 0) throw new Error(last.err);
  requireEqual(last.out);
  const total = [...files.values()].reduce((sum, { length }) => sum + length, 0);
  console.log(
    `${done} kills in ${attempts} starts, ${broken} broken connections: every sha256 equal; the hub sent ${(served / total).toFixed(2)} times the ${(total / 1e6).toFixed(0)} MB`,
  );
  served = 0;
  await download('killed');
  console.log(`again: ${served} bytes sent`);
  isWrong = true;
  const wrong = await download('wrong');
  console.log(`a wrong byte: exit ${wrong.code}: ${wrong.err.split('\n').at(-1)}`);
  isWrong = false;
  const closed = createServer();
  const nobody = await listen(closed);
  await new Promise((resolve) => closed.close(resolve));
  const away = await download('away', undefined, { HF_ENDPOINT: nobody });
  console.log(`no network: exit ${away.code}: ${away.err.split('\n').at(-1)}`);
  if (values.python !== undefined) {
    const python = (folder: string, script: string): string => {
      const { stdout, stderr, status } = spawnSync(values.python!, ['-c', script], {
        env: { ...environment(folder), HF_HUB_DISABLE_XET: '1' },
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(stderr);
      return stdout.trim();
    };
    console.log(
      python(
        'killed',
        'from huggingface_hub import hf_hub_download, __version__\n' +
          `paths = [hf_hub_download('org/model', n, local_files_only=True) for n in ${JSON.stringify([...files.keys()])}]\n` +
          'print("huggingface_hub", __version__, "finds", len(paths), "files that Fettle downloaded")',
      ),
    );
    // the library runs beside this process, which is its hub
    const child = spawn(
      values.python,
      [
        '-c',
        `from huggingface_hub import hf_hub_download\nfor n in ${JSON.stringify([...files.keys()])}: hf_hub_download('org/model', n)`,
      ],
      {
        env: { ...environment('python'), HF_HUB_DISABLE_XET: '1' },
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    let problem = '';
    child.stderr.on('data', (text) => (problem += String(text)));
    const code = await new Promise((resolve) => child.on('close', resolve));
    if (code !== 0) throw new Error(problem);
    served = 0;
    const after = await download('python');
    if (after.code !== 0) throw new Error(after.err);
    requireEqual(after.out);
    console.log(`after huggingface_hub has downloaded them, Fettle asks for ${served} bytes`);
  }
} finally {
  server.closeAllConnections();
  server.close();
  rmSync(home, { recursive: true, force: true });
}
