import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseSplit, downloadDataset } from './dataset.ts';
import { downloadFile, listFiles } from './download.ts';
import type { HubOptions, Repository } from './hub.ts';
import { downloadModel, fetchModel, findModel } from './model.ts';

/** A hub on this machine. `breakAfter` cuts the connection after so many bytes of a file, once. */
let server: Server;
let endpoint: string;
let cache: string;
const files = new Map<string, string>();
const asked: string[] = [];
let breakAfter: number | undefined;
let tellsWrongChecksum = false;
let failures = 0;
/** What `main` stands for. */
const commit = '0123456789abcdef0123456789abcdef01234567';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const gitSha1 = (text: string): string =>
  createHash('sha1')
    .update(`blob ${Buffer.byteLength(text)}\0${text}`)
    .digest('hex');

beforeAll(async () => {
  server = createServer((request, response) => {
    const url = new URL(request.url!, endpoint);
    asked.push(`${url.pathname}${request.headers.range === undefined ? '' : ` ${request.headers.range}`}`);
    const answer = (status: number, body: string, headers: Record<string, string> = {}): void => {
      response.writeHead(status, headers);
      response.end(body);
    };
    if (failures > 0) {
      failures--;
      return answer(503, 'busy');
    }
    if (url.pathname.includes('/private/')) return answer(401, '');
    const revision = /^\/api\/(?:datasets|models)\/org\/set\/revision\/([^/]+)$/.exec(url.pathname);
    if (revision) return answer(200, JSON.stringify({ sha: commit }));
    const tree = /^\/api\/(?:datasets|models)\/org\/set\/tree\/([^/]+)$/.exec(url.pathname);
    if (tree) {
      const paths = [...files.keys()];
      const half = url.searchParams.get('cursor') === null ? paths.slice(0, 2) : paths.slice(2);
      const entries = half.map((path) => {
        const text = files.get(path)!;
        if (path.endsWith('.json')) return { type: 'file', path, size: Buffer.byteLength(text), oid: gitSha1(text) };
        const oid = tellsWrongChecksum ? sha256('other') : sha256(text);
        return { type: 'file', path, size: 130, oid: 'x', lfs: { oid, size: Buffer.byteLength(text) } };
      });
      const link: Record<string, string> =
        url.searchParams.get('cursor') === null && paths.length > 2
          ? { link: `<${endpoint}${url.pathname}?cursor=2>; rel="next"` }
          : {};
      return answer(200, JSON.stringify([{ type: 'directory', path: 'data' }, ...entries]), link);
    }
    if (url.pathname === '/api/v1/datasets/org/set/repo/tree') {
      const list = [...files].map(([Path, text]) => ({
        Path,
        Type: 'blob',
        Size: Buffer.byteLength(text),
        Sha256: sha256(text),
      }));
      return answer(200, JSON.stringify({ Code: 200, Data: { Files: list } }));
    }
    const path = url.searchParams.get('FilePath') ?? /\/resolve\/[^/]+\/(.*)$/.exec(url.pathname)?.[1];
    const text = path === undefined ? undefined : files.get(decodeURIComponent(path));
    if (text === undefined) return answer(404, 'none');
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const bytes = Buffer.from(text).subarray(from);
    response.writeHead(from > 0 ? 206 : 200, { 'content-length': String(bytes.length) });
    if (breakAfter === undefined) return void response.end(bytes);
    response.write(bytes.subarray(0, breakAfter), () => response.destroy());
    breakAfter = undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
beforeEach(async () => {
  if (cache !== undefined) await rm(cache, { recursive: true, force: true });
  cache = await mkdtemp(join(tmpdir(), 'fettle-hub-'));
  files.clear();
  asked.length = 0;
  [breakAfter, tellsWrongChecksum, failures] = [undefined, false, 0];
  files.set('data/train-00000-of-00002.jsonl', '{"text": "a"}\n');
  files.set('data/train-00001-of-00002.jsonl', '{"text": "b"}\n'.repeat(1000));
  files.set('data/test.jsonl', '{"text": "t"}\n');
  files.set('dataset_infos.json', '{}');
});

const set: Repository = { hub: 'huggingface', kind: 'dataset', name: 'org/set' };
const options = (more: HubOptions = {}): HubOptions => ({
  endpoint,
  cacheFolder: cache,
  env: {},
  retryDelayMs: 1,
  ...more,
});

/** Where the library of Python has a data set's files. */
const snapshot = join('datasets--org--set', 'snapshots', commit);

describe('a hub', () => {
  it('gives the files of a split, each once, where Python looks for them', async () => {
    const paths = await downloadDataset('org/set', 'huggingface', {}, options());
    expect(paths.map((path) => path.slice(cache.length + 1))).toEqual([
      join(snapshot, 'data/train-00000-of-00002.jsonl'),
      join(snapshot, 'data/train-00001-of-00002.jsonl'),
    ]);
    const text = files.get('data/train-00001-of-00002.jsonl')!;
    expect(await readFile(paths[1]!, 'utf8')).toBe(text);
    expect(await readlink(paths[1]!)).toBe(join('..', '..', '..', 'blobs', sha256(text)));
    expect(await readFile(join(cache, 'datasets--org--set', 'refs', 'main'), 'utf8')).toBe(commit);
    asked.length = 0;
    await downloadDataset('org/set', 'huggingface', {}, options());
    expect(asked.filter((path) => path.includes('/resolve/'))).toEqual([]);
    expect(await downloadDataset('org/set', 'huggingface', { split: 'test' }, options())).toHaveLength(1);
    await expect(downloadDataset('org/set', 'huggingface', { split: 'validation' }, options())).rejects.toThrow(
      'org/set: the data set must have the split validation, got data/train-00000-of-00002.jsonl, data/train-00001-of-00002.jsonl, data/test.jsonl. Name them with subset and split in dataset_info.json',
    );
  });

  it('continues a download that broke off', async () => {
    breakAfter = 5000;
    const listing = await listFiles(set, options());
    const file = listing.files[1]!;
    const path = await downloadFile(listing, file, options());
    expect(await readFile(path, 'utf8')).toBe(files.get(file.path));
    expect(asked.filter((line) => line.includes('/resolve/'))).toHaveLength(2);
    expect(await readdir(join(cache, 'datasets--org--set', 'blobs'))).toEqual([file.sha256]);
  });

  it("continues what an earlier call, or Python's library, left", async () => {
    const listing = await listFiles(set, options());
    const file = listing.files[1]!;
    const blobs = join(cache, 'datasets--org--set', 'blobs');
    await mkdir(blobs, { recursive: true });
    await writeFile(join(blobs, `${file.sha256}.incomplete`), files.get(file.path)!.slice(0, 100));
    await downloadFile(listing, file, options());
    expect(asked.at(-1)).toMatch(/ bytes=100-$/);
  });

  it('takes over the lock of a process that has ended', async () => {
    const listing = await listFiles(set, options());
    const file = listing.files[1]!;
    const blobs = join(cache, 'datasets--org--set', 'blobs');
    await mkdir(blobs, { recursive: true });
    await writeFile(join(blobs, `.${file.sha256}.fettle-lock`), String(2 ** 30));
    await downloadFile(listing, file, options());
    expect(await readdir(blobs)).toEqual([file.sha256]);
  });

  it('takes a changed file anew, and refuses one with another checksum', async () => {
    const listing = await listFiles(set, options());
    const file = listing.files[0]!;
    const path = await downloadFile(listing, file, options());
    tellsWrongChecksum = true;
    const wrong = await listFiles(set, options());
    await expect(downloadFile(wrong, wrong.files[1]!, options())).rejects.toThrow(
      `train-00001-of-00002.jsonl: the downloaded file must have the checksum ${sha256('other')}, got ${sha256(files.get('data/train-00001-of-00002.jsonl')!)}. It was removed: try again`,
    );
    expect(await readdir(join(cache, 'datasets--org--set', 'blobs'))).toEqual([file.sha256]);
    expect(await readFile(path, 'utf8')).toBe('{"text": "a"}\n');
  });

  it('checks small files by their git hash', async () => {
    const listing = await listFiles(set, options());
    const file = listing.files.find(({ path }) => path === 'dataset_infos.json')!;
    expect(file.gitSha1).toBe(gitSha1('{}'));
    expect(await readFile(await downloadFile(listing, file, options()), 'utf8')).toBe('{}');
    const other = gitSha1('other');
    await expect(
      downloadFile(listing, { path: 'data/test.jsonl', bytes: 14, gitSha1: other }, options()),
    ).rejects.toThrow('must have the checksum');
  });

  it('is asked again while it is busy, and its refusals are named', async () => {
    failures = 2;
    expect((await listFiles(set, options())).files).toHaveLength(4);
    failures = 9;
    await expect(listFiles({ ...set, name: 'org/none' }, options())).rejects.toThrow(
      `${endpoint}/api/datasets/org/none/revision/main: the hub must give the file, got status 503`,
    );
    failures = 0;
    await expect(listFiles({ ...set, name: 'org/none' }, options())).rejects.toThrow(
      'org/none: Hugging Face must have this data set, got no such data set or file. Check the name, or the token if it is private',
    );
    await expect(listFiles({ ...set, name: 'private/set' }, options())).rejects.toThrow(
      'private/set: Hugging Face must allow access, got status 401. Accept its terms on the web page and set HF_TOKEN to your access token',
    );
    await expect(
      listFiles(set, options({ endpoint: 'http://127.0.0.1:1', cacheFolder: join(cache, 'none') })),
    ).rejects.toThrow(
      /^http:\/\/127\.0\.0\.1:1\/api\/.*: the hub must answer, got .*\. Check the connection, or set HF_ENDPOINT/,
    );
  });

  it('need not answer where all is there already, and is not asked offline', async () => {
    const online = await downloadDataset('org/set', 'huggingface', {}, options());
    const away = options({ endpoint: 'http://127.0.0.1:1' });
    expect(await downloadDataset('org/set', 'huggingface', {}, away)).toEqual(online);
    asked.length = 0;
    const offline = options({ env: { HF_HUB_OFFLINE: '1' } });
    expect(await downloadDataset('org/set', 'huggingface', {}, offline)).toEqual(online);
    await expect(downloadModel('org/set', 'huggingface', undefined, offline)).rejects.toThrow(
      'org/set: must be a folder here or lie whole in the cache, since Hugging Face is not to be asked (offline), got neither. Download it first with fettle download org/set',
    );
    expect(asked).toEqual([]);
  });

  it('is not all that is told about a path that leads nowhere', async () => {
    const away = options({ endpoint: 'http://127.0.0.1:1' });
    await expect(fetchModel('src/no-such-run', {}, away)).rejects.toThrow(
      /^src\/no-such-run: must be a folder here, .*, got a path into src that leads nowhere\. .* Taken as a name: http:/u,
    );
    await expect(fetchModel('org/none', {}, options())).rejects.toThrow(
      /^org\/none: Hugging Face must have this model/u,
    );
  });

  it('cannot write outside its folder', async () => {
    files.set('../../evil.jsonl', 'x');
    await expect(listFiles(set, options())).rejects.toThrow(
      'org/set: names of files must stay inside the folder, got "../../evil.jsonl"',
    );
    await expect(listFiles({ ...set, name: '../x' }, options())).rejects.toThrow(
      '../x: names of files must stay inside the folder',
    );
  });

  it('gives the files of a model that are read: safetensors, else those of PyTorch', async () => {
    files.clear();
    for (const name of [
      'config.json',
      'tokenizer.json',
      'model.safetensors',
      'pytorch_model.bin',
      'training_args.bin',
      'onnx/model.onnx',
      'tf_model.h5',
      'original/consolidated.safetensors',
    ])
      files.set(name, `{"name": "${name}"}`);
    const folder = await downloadModel('org/set', 'huggingface', undefined, options());
    expect((await readdir(folder)).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    files.delete('model.safetensors');
    await downloadModel('org/set', 'huggingface', undefined, options({ cacheFolder: join(cache, 'bin') }));
    const other = join(cache, 'bin', 'models--org--set', 'snapshots', commit);
    expect((await readdir(other)).sort()).toEqual(['config.json', 'pytorch_model.bin', 'tokenizer.json']);
    files.delete('pytorch_model.bin');
    await expect(downloadModel('org/set', 'huggingface', undefined, options())).rejects.toThrow(
      'org/set: the model must have weights as safetensors or pytorch_model.bin, got none on Hugging Face',
    );
  });

  it('is asked for a name, not for a folder; what was downloaded is found again by its name', async () => {
    files.clear();
    for (const name of ['config.json', 'model.safetensors']) files.set(name, '{}');
    expect(await fetchModel(cache, {}, options())).toBe(cache);
    expect(await fetchModel('./nowhere/model', {}, options())).toBe('./nowhere/model');
    expect(await findModel('org/set', {}, options())).toBeUndefined();
    expect(asked).toEqual([]);
    const folder = await fetchModel('org/set', {}, options());
    expect(await findModel('org/set', {}, options())).toBe(folder);
    expect(await fetchModel('org/set', { offline: true }, options())).toBe(folder);
    expect(await fetchModel('org/set', {}, options({ endpoint: 'http://127.0.0.1:1' }))).toBe(folder);
  });

  it('may be ModelScope; what its library has downloaded is used', async () => {
    const paths = await downloadDataset('org/set', 'modelscope', {}, options());
    expect(paths[0]!.slice(cache.length + 1)).toBe('datasets/org/set/data/train-00000-of-00002.jsonl');
    expect(await readFile(paths[0]!, 'utf8')).toBe('{"text": "a"}\n');
    await rm(join(dirname(paths[0]!), '.train-00000-of-00002.jsonl.checksum'));
    asked.length = 0;
    await downloadDataset('org/set', 'modelscope', {}, options());
    expect(asked).toHaveLength(1);
  });
});

it('tells the files of a split by their names', () => {
  const names = ['train.json', 'dev.json', 'test.json', 'a/train_sft-00000.parquet', 'a/test_sft-00000.parquet'];
  expect(chooseSplit(names, 'train')).toEqual(['train.json', 'a/train_sft-00000.parquet']);
  expect(chooseSplit(names, 'validation')).toEqual(['dev.json']);
  expect(chooseSplit(names, 'train_sft')).toEqual(['a/train_sft-00000.parquet']);
  expect(chooseSplit(['alpaca.json', 'alpaca_test.json'], 'train')).toEqual(['alpaca.json']);
});
