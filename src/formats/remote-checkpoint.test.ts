import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  arraySource,
  type ByteSource,
  type Checkpoint,
  openCheckpoint,
  readTensorBytes,
  tensorFromValues,
  writeCheckpoint,
  writeSafetensors,
} from './index.ts';
import { archive, dict, legacy, tensor, text } from './torch-file.fixture.ts';

let folder: string;
let elsewhere: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-remote-'));
  elsewhere = join(folder, 'elsewhere');
  await mkdir(elsewhere);
  vi.stubEnv('FETTLE_CACHE', join(folder, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

/** A file of the folder as it would be on a hub, and how much of it was read. */
async function remoteFile(name: string): Promise<ByteSource & { count: () => number }> {
  const source = arraySource(await readFile(join(folder, name)));
  let count = 0;
  return {
    size: source.size,
    count: () => count,
    read: async (offset, length) => {
      count += length;
      return source.read(offset, length);
    },
  };
}

const outlineOf = ({ tensors }: Checkpoint): unknown[] =>
  [...tensors.values()].map(({ name, dtype, shape, length }) => ({ name, dtype, shape, length }));

const values = (count: number): Float32Array => Float32Array.from({ length: count }, (_, i) => i);

describe('weights that are elsewhere', () => {
  it('shards are known by their headers, a tensor by its bytes', async () => {
    const tensors = ['a', 'b', 'c'].map((name) => tensorFromValues(name, [300, 100], values(30_000), 'BF16'));
    const names = await writeCheckpoint(folder, tensors, 70_000);
    expect(names.filter((name) => name.endsWith('.safetensors'))).toHaveLength(3);
    const index = 'model.safetensors.index.json';
    await writeFile(join(elsewhere, index), await readFile(join(folder, index)));
    const shards = names.filter((name) => name !== index);
    const sources = await Promise.all(shards.map(remoteFile));
    const remote = new Map(shards.map((name, i) => [name, sources[i]!]));
    const [here, there] = [await openCheckpoint(folder), await openCheckpoint(elsewhere, remote)];
    expect(outlineOf(there)).toEqual(outlineOf(here));
    expect(sources.reduce((sum, source) => sum + source.count(), 0)).toBeLessThan(500);
    const read = async (checkpoint: Checkpoint): Promise<Buffer> => {
      const chunks: Uint8Array[] = [];
      for await (const chunk of readTensorBytes(checkpoint.tensors.get('b')!)) chunks.push(chunk.slice());
      return Buffer.concat(chunks);
    };
    expect((await read(there)).equals(await read(here))).toBe(true);
  });

  it('8-bit floats will be bf16, and no copy is made of them', async () => {
    await writeSafetensors(join(folder, 'model.safetensors'), [
      { name: 'a.weight', dtype: 'F8_E4M3', shape: [3, 5], chunks: () => [new Uint8Array(15)] },
      tensorFromValues('a.weight_scale', [], Float32Array.of(0.5)),
    ]);
    const remote = new Map([['model.safetensors', await remoteFile('model.safetensors')]]);
    const there = outlineOf(await openCheckpoint(elsewhere, remote));
    expect(there).toEqual([{ name: 'a.weight', dtype: 'BF16', shape: [3, 5], length: 30 }]);
    expect(there).toEqual(outlineOf(await openCheckpoint(folder)));
  });

  const pickle = dict([text('w'), tensor()]);
  it.each([
    ['zip', archive(pickle)],
    ['legacy', legacy(pickle)],
  ])("PyTorch's file (%s)", async (_, file) => {
    await writeFile(join(folder, 'pytorch_model.bin'), file);
    const remote = new Map([['pytorch_model.bin', await remoteFile('pytorch_model.bin')]]);
    const there = outlineOf(await openCheckpoint(elsewhere, remote));
    expect(there).toHaveLength(1);
    expect(there).toEqual(outlineOf(await openCheckpoint(folder)));
  });
});
