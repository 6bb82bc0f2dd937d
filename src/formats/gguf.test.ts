import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ggmlBytes, quantizeGgml } from './gguf-quantize.ts';
import { type GgufValue, writeGguf } from './gguf.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-gguf-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A block of sines, one of zeros, one with exact halves and a negative largest value. */
const blocks = Float32Array.from({ length: 96 }, (_, i) => {
  if (i < 32) return Math.sin(i * i) * 3;
  if (i < 64) return 0;
  return i === 69 ? -8 : (i - 80) / 2;
});

describe('quantizeGgml', () => {
  // Recorded with gguf 0.19.0 (llama.cpp's gguf-py): quants.quantize of the same blocks.
  it('gives the bytes of llama.cpp in 8 bits', () => {
    expect(Buffer.from(quantizeGgml(blocks, 'q8_0')).toString('hex')).toBe(
      '0b26006ba034dbef828775b0c07fc2b3778a81fdcd24947519778f16bd1383997fd7' +
        `0000${'00'.repeat(32)}` +
        '082c81899199a181b1b9c0c8d0d8e0e8f0f8000810182028303840474f575f676f77',
    );
  });
  it('and in 4 bits', () => {
    expect(Buffer.from(quantizeGgml(blocks, 'q4_0')).toString('hex')).toBe(
      `ff35088f52ab16f7a0f01f93449f0423ff510080${'88'.repeat(16)}003c809191a2a2b0b3c4c4d5d5e6e6f7f7f8`,
    );
  });
  it('takes the bytes that it says', () => {
    for (const type of ['f32', 'f16', 'bf16', 'q8_0', 'q4_0'] as const) {
      expect(quantizeGgml(blocks, type).length).toBe(ggmlBytes(type, 96));
    }
  });
});

describe('writeGguf', () => {
  const metadata = new Map<string, GgufValue>([
    ['general.architecture', { type: 'string', value: 'llama' }],
    ['a.uint32', { type: 'uint32', value: 7 }],
    ['a.float32', { type: 'float32', value: 0.5 }],
    ['a.bool', { type: 'bool', value: true }],
    ['a.strings', { type: 'strings', value: ['é', ''] }],
    ['a.int32s', { type: 'int32s', value: [-1, 2] }],
  ]);
  const tensor = (name: string, shape: number[], values: Float32Array) => ({
    name,
    type: 'f32' as const,
    shape,
    chunks: () => [quantizeGgml(values, 'f32')],
  });

  it('writes header, list and aligned data', async () => {
    const path = join(folder, 'a.gguf');
    const bytes = await writeGguf(path, metadata, [
      tensor('x', [3], new Float32Array([1, 2, 3])),
      tensor('y', [2, 1], new Float32Array([4, 5])),
    ]);
    const file = await readFile(path);
    expect(file.length).toBe(bytes);
    // Recorded with gguf 0.19.0: GGUFWriter with the same entries.
    expect(file.toString('hex')).toBe(
      '474755460300000002000000000000000600000000000000140000000000000067656e6572616c2e6172636869746563747572650800000005000000000000006c6c616d610800000000000000612e75696e74333204000000070000000900000000000000612e666c6f61743332060000000000003f0600000000000000612e626f6f6c07000000010900000000000000612e737472696e6773090000000800000002000000000000000200000000000000c3a900000000000000000800000000000000612e696e7433327309000000050000000200000000000000ffffffff0200000001000000000000007801000000030000000000000000000000000000000000000001000000000000007902000000010000000000000002000000000000000000000020000000000000000000000000000000000000000000000000000000803f00000040000040400000000000000000000000000000000000000000000080400000a040000000000000000000000000000000000000000000000000',
    );
  });

  it('leaves nothing where a tensor is not as long as its shape says', async () => {
    const path = join(folder, 'b.gguf');
    await expect(writeGguf(path, metadata, [tensor('x', [4], new Float32Array(3))])).rejects.toThrow(
      'tensor "x" gave 12 bytes, its shape takes 16',
    );
    expect(await readdir(folder)).not.toContain('b.gguf');
  });
});
