import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { arraySource, openCheckpoint, openWeightsFile, readTensorBytes, readTorchTensors } from './index.ts';
import {
  archive,
  bytes,
  dict,
  hostileFiles,
  int,
  legacy,
  proto,
  tensor,
  text,
  tuple,
  zip,
} from './torch-file.fixture.ts';

const goldens = new URL('../../test/goldens/torch-files/', import.meta.url);
interface Expected {
  readonly files: Readonly<
    Record<string, Readonly<Record<string, { dtype: string; shape: readonly number[]; bytes: string }>>>
  >;
}
const expected = JSON.parse(await readFile(new URL('expected.json', goldens), 'utf8')) as Expected;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-torch-'));
  vi.stubEnv('FETTLE_CACHE', join(folder, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

async function contentOf(path: string): Promise<Expected['files'][string]> {
  const { tensors } = await openWeightsFile(path);
  const content: Record<string, { dtype: string; shape: readonly number[]; bytes: string }> = {};
  for (const [name, entry] of tensors) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of readTensorBytes(entry)) chunks.push(chunk.slice());
    content[name] = { dtype: entry.dtype, shape: entry.shape, bytes: Buffer.concat(chunks).toString('hex') };
  }
  return content;
}

const refusal = async (file: Uint8Array): Promise<string> =>
  readTorchTensors(arraySource(file), 'weights.bin').then(
    () => 'read',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );

describe('files that torch wrote', () => {
  it.each(Object.keys(expected.files))('%s: every tensor has the bytes that torch reads', async (name) => {
    const path = new URL(name, goldens).pathname;
    expect(await contentOf(path)).toEqual(expected.files[name]);
    // views in another order come from the cache the second time
    expect(await contentOf(path)).toEqual(expected.files[name]);
  });

  it('a folder with pytorch_model.bin is a checkpoint, single or in shards', async () => {
    await writeFile(join(folder, 'pytorch_model.bin'), await readFile(new URL('module.bin', goldens)));
    expect([...(await openCheckpoint(folder)).tensors.keys()]).toEqual(['weight', 'bias']);
    await rm(join(folder, 'pytorch_model.bin'));
    const shard = 'pytorch_model-00001-of-00001.bin';
    await writeFile(join(folder, shard), await readFile(new URL('module-legacy.bin', goldens)));
    await writeFile(
      join(folder, 'pytorch_model.bin.index.json'),
      JSON.stringify({ weight_map: { weight: shard, bias: shard } }),
    );
    expect([...(await openCheckpoint(folder)).tensors.keys()]).toEqual(['weight', 'bias']);
  });
});

it('places beyond 32 bits are read from the 64-bit extension', async () => {
  const values = new Uint8Array(16);
  const file = zip(
    [
      { name: 'm/data.pkl', data: dict([text('a'), tensor()]) },
      { name: 'm/data/0', data: values },
    ],
    true,
  );
  const [entry] = await readTorchTensors(arraySource(file), 'weights.bin');
  expect(entry).toMatchObject({ name: 'a', dtype: 'F32', shape: [2, 2] });
  expect(file.subarray(entry!.offset, entry!.offset + 16)).toEqual(values);
});

it('a view that repeats elements may not grow beyond the file', async () => {
  const pickle = dict([text('a'), tensor({ shape: tuple(int(1 << 30)), strides: tuple(int(0)) })]);
  const path = join(folder, 'pytorch_model.bin');
  await writeFile(path, archive(pickle));
  await expect(openWeightsFile(path)).rejects.toThrow(
    /"a", a view that repeats elements, may take at most .* got 4294967296 bytes/,
  );
});

describe('files that mean harm', () => {
  it.each(hostileFiles)('%s', async (_, file, said) => {
    const message = await refusal(file);
    expect(message).toMatch(said);
    expect(message).toMatch(/^weights\.bin: /);
  });

  it('the whole text of a name that is refused', async () => {
    expect(await refusal(hostileFiles[0]![1])).toBe(
      'weights.bin: a file of tensors may name only what tensors need, got "os.system". Nothing of it was run; ' +
        'get the weights as safetensors from a source that you trust',
    );
  });

  it('deep and wide values take memory in proportion to the file', async () => {
    const deep = bytes(proto, ']'.repeat(200_000), 'a'.repeat(199_999), '.');
    expect(await refusal(archive(deep))).toMatch(/a dictionary of tensors, got a list of 1/);
    const doubled = bytes(
      proto,
      ']',
      Array.from({ length: 10_000 }, () => bytes('2', 0x86)),
      '.',
    );
    expect(await refusal(archive(doubled))).toMatch(/a dictionary of tensors, got a tuple/);
  });

  it('20,000 mutations of good files are read or refused, nothing else', async () => {
    const files = await Promise.all(Object.keys(expected.files).map((name) => readFile(new URL(name, goldens))));
    files.push(Buffer.from(legacy(dict([text('a'), tensor()]))));
    const random = new RandomStream(20261121);
    const below = (count: number): number => Math.floor(random.next() * count);
    for (let i = 0; i < 20_000; i++) {
      const file = Uint8Array.from(files[i % files.length]!);
      for (let changes = 1 + below(4); changes > 0; changes--) file[below(file.length)] = below(256);
      const cut = below(8) === 0 ? file.subarray(0, below(file.length)) : file;
      expect(await refusal(cut)).toMatch(/^(read$|weights\.bin: )/);
    }
  });
});
