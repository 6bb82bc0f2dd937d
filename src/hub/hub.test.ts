import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { chooseSplit, downloadDataset } from './dataset.ts';
import { downloadFile, listFiles, repositoryFolder } from './download.ts';
import type { HubOptions, Repository } from './hub.ts';
import { downloadModel } from './model.ts';

/** A hub on this machine. `breakAfter` cuts the connection after so many bytes of a file, once. */
let server: Server;
let endpoint: string;
let cache: string;
const files = new Map<string, string>();
const asked: string[] = [];
let breakAfter: number | undefined;
let tellsWrongChecksum = false;
let failures = 0;

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

describe('a hub', () => {
  it('gives the files of a split, each once', async () => {
    const paths = await downloadDataset('org/set', 'huggingface', {}, options());
    expect(paths.map((path) => path.slice(cache.length + 1))).toEqual([
      'huggingface/datasets/org--set/main/data/train-00000-of-00002.jsonl',
      'huggingface/datasets/org--set/main/data/train-00001-of-00002.jsonl',
    ]);
    expect(await readFile(paths[1]!, 'utf8')).toBe(files.get('data/train-00001-of-00002.jsonl'));
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
    const [, file] = await listFiles(set, options());
    const path = await downloadFile(set, file!, options());
    expect(await readFile(path, 'utf8')).toBe(files.get(file!.path));
    expect(asked.filter((line) => line.includes('/resolve/'))).toHaveLength(2);
    expect(await readdir(dirname(path))).toEqual([
      '.train-00001-of-00002.jsonl.checksum',
      'train-00001-of-00002.jsonl',
    ]);
  });
  it('continues what an earlier call left', async () => {
    const [, file] = await listFiles(set, options());
    const target = join(repositoryFolder(set, options()), file!.path);
    await downloadFile(
      set,
      { ...file!, path: 'data/train-00000-of-00002.jsonl', bytes: 14, sha256: sha256('{"text": "a"}\n') },
      options(),
    );
    await writeFile(`${target}.part`, files.get(file!.path)!.slice(0, 100));
    await downloadFile(set, file!, options());
    expect(asked.at(-1)).toMatch(/ bytes=100-$/);
  });
  it('takes a changed file anew, and refuses one with another checksum', async () => {
    const [file] = await listFiles(set, options());
    const path = await downloadFile(set, file!, options());
    files.set(file!.path, '{"text": "A"}\n');
    const [changed] = await listFiles(set, options());
    expect(await readFile(await downloadFile(set, changed!, options()), 'utf8')).toBe('{"text": "A"}\n');
    await rm(path);
    tellsWrongChecksum = true;
    const [wrong] = await listFiles(set, options());
    await expect(downloadFile(set, wrong!, options())).rejects.toThrow(
      `${path}: the downloaded file must have the checksum ${sha256('other')}, got ${sha256('{"text": "A"}\n')}. It was removed: try again`,
    );
    expect(await readdir(dirname(path))).toEqual(['.train-00000-of-00002.jsonl.checksum']);
  });
  it('checks small files by their git hash', async () => {
    const file = (await listFiles(set, options())).find(({ path }) => path === 'dataset_infos.json')!;
    expect(file.gitSha1).toBe(gitSha1('{}'));
    expect(await readFile(await downloadFile(set, file, options()), 'utf8')).toBe('{}');
    await expect(downloadFile(set, { ...file, path: 'data/test.jsonl', bytes: 14 }, options())).rejects.toThrow(
      'must have the checksum',
    );
  });
  it('is asked again while it is busy, and its refusals are named', async () => {
    failures = 2;
    expect(await listFiles(set, options())).toHaveLength(4);
    failures = 9;
    await expect(listFiles({ ...set, name: 'org/none' }, options())).rejects.toThrow(
      `${endpoint}/api/datasets/org/none/tree/main?recursive=true: the hub must give the file, got status 503`,
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
  it('need not answer where all is there already', async () => {
    const online = await downloadDataset('org/set', 'huggingface', {}, options());
    expect(await downloadDataset('org/set', 'huggingface', {}, options({ endpoint: 'http://127.0.0.1:1' }))).toEqual(
      online,
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
  it('gives the files of a model that are read', async () => {
    files.clear();
    for (const name of [
      'config.json',
      'tokenizer.json',
      'model.safetensors',
      'pytorch_model.bin',
      'onnx/model.onnx',
      'tf_model.h5',
      'original/consolidated.safetensors',
    ])
      files.set(name, `{"name": "${name}"}`);
    const folder = await downloadModel('org/set', 'huggingface', undefined, options());
    expect((await readdir(folder)).filter((name) => !name.startsWith('.')).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
    ]);
    files.delete('model.safetensors');
    await expect(downloadModel('org/set', 'huggingface', undefined, options())).rejects.toThrow(
      'org/set: the model must have weights as safetensors, got none on Hugging Face',
    );
  });
  it('may be ModelScope', async () => {
    const paths = await downloadDataset('org/set', 'modelscope', {}, options());
    expect(paths[0]!.slice(cache.length + 1)).toBe(
      'modelscope/datasets/org--set/master/data/train-00000-of-00002.jsonl',
    );
    expect(await readFile(paths[0]!, 'utf8')).toBe('{"text": "a"}\n');
  });
});

it('tells the files of a split by their names', () => {
  const names = ['train.json', 'dev.json', 'test.json', 'a/train_sft-00000.parquet', 'a/test_sft-00000.parquet'];
  expect(chooseSplit(names, 'train')).toEqual(['train.json', 'a/train_sft-00000.parquet']);
  expect(chooseSplit(names, 'validation')).toEqual(['dev.json']);
  expect(chooseSplit(names, 'train_sft')).toEqual(['a/train_sft-00000.parquet']);
  expect(chooseSplit(['alpaca.json', 'alpaca_test.json'], 'train')).toEqual(['alpaca.json']);
});
