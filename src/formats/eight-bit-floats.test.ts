import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { float8Values } from './eight-bit-floats.ts';
import { openCheckpoint, readTensor, type TensorSource, tensorFromValues, writeSafetensors } from './index.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-f8-'));
  vi.stubEnv('FETTLE_CACHE', join(folder, 'cache'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const codesOf = (name: string, shape: readonly number[], codes: Uint8Array): TensorSource => ({
  name,
  dtype: 'F8_E4M3',
  shape,
  chunks: () => [codes],
});

it('the values of all codes are those of torch 2.13 (torch.float8_e4m3fn)', () => {
  const numbers = float8Values().filter((value) => !Number.isNaN(value));
  expect(numbers).toHaveLength(254);
  expect(createHash('sha256').update(Buffer.from(numbers.buffer)).digest('hex')).toBe(
    'f275e267d1b70f2c583fa6b5c47be61348a1aa22f7aa676cc5a0fb66798646a5',
  );
});

it('weights without a scale, with one of the tensor, of each row, and of blocks', async () => {
  const one = 0x38; // 1.0
  const codes = Uint8Array.from({ length: 15 }, (_, i) => (i % 2 === 0 ? one : one + 8)); // 1, 2, 1, ...
  await writeFile(join(folder, 'config.json'), '{"quantization_config": {"weight_block_size": [2, 3]}}');
  const names = ['plain', 'whole', 'rows', 'blocks'];
  await writeSafetensors(join(folder, 'model.safetensors'), [
    ...names.map((name) => codesOf(`${name}.weight`, [3, 5], codes)),
    tensorFromValues('whole.weight_scale', [], Float32Array.of(0.5)),
    tensorFromValues('rows.weight_scale', [3, 1], Float32Array.of(1, 2, 4)),
    tensorFromValues('blocks.weight_scale_inv', [2, 2], Float32Array.of(1, 10, 100, 1000)),
    tensorFromValues('norm.weight', [1], Float32Array.of(3)),
  ]);
  const { tensors } = await openCheckpoint(folder);
  expect([...tensors.keys()].toSorted()).toEqual([...names.map((name) => `${name}.weight`), 'norm.weight'].toSorted());
  const read = async (name: string): Promise<number[]> => [...(await readTensor(tensors.get(`${name}.weight`)!))];
  expect(await read('plain')).toEqual([1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1]);
  expect(await read('whole')).toEqual([0.5, 1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5, 1, 0.5]);
  expect(await read('rows')).toEqual([1, 2, 1, 2, 1, 4, 2, 4, 2, 4, 4, 8, 4, 8, 4]);
  expect(await read('blocks')).toEqual([1, 2, 1, 20, 10, 2, 1, 2, 10, 20, 100, 200, 100, 2000, 1000]);
  expect(tensors.get('plain.weight')).toMatchObject({ dtype: 'BF16', shape: [3, 5] });
  // the second opening maps the same copies
  expect((await openCheckpoint(folder)).tensors.get('plain.weight')).toEqual(tensors.get('plain.weight'));
});

it('a scale that fits no form is refused by name', async () => {
  await writeSafetensors(join(folder, 'model.safetensors'), [
    codesOf('a.weight', [3, 5], new Uint8Array(15)),
    tensorFromValues('a.weight_scale', [2], Float32Array.of(1, 2)),
  ]);
  await expect(openCheckpoint(folder)).rejects.toThrow(
    'tensor "a.weight_scale" must have the shape [1], [3] or [1, 1], got [2]',
  );
});
