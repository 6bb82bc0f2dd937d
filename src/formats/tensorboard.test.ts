import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { crc32c, maskedCrc32c } from './crc32c.ts';
import { readTensorBoardScalars, TensorBoardWriter } from './tensorboard.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-tensorboard-'));
});
afterAll(() => rm(folder, { recursive: true }));

const clock = (): number => 1_800_000_000.5;

async function writeSteps(path: string, steps: readonly number[], resumeStep?: number): Promise<string> {
  const writer = await TensorBoardWriter.open(path, { clock, ...(resumeStep !== undefined && { resumeStep }) });
  for (const step of steps) await writer.write(step, { 'train/loss': 1 / step, 'train/learning_rate': 5e-5 });
  await writer.close();
  return writer.path;
}

async function steps(path: string): Promise<number[]> {
  return (await readTensorBoardScalars(path)).filter(({ tag }) => tag === 'train/loss').map(({ step }) => step);
}

describe('crc32c', () => {
  it('gives the check value of the algorithm, and those of RFC 3720', () => {
    expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  });
  it('is masked as TensorFlow does', () => {
    // Recorded with TensorBoard 2.21.0: tensorboard.compat.tensorflow_stub.pywrap_tensorflow.masked_crc32c
    expect(maskedCrc32c(Buffer.from('123456789'))).toBe(3_347_755_237);
  });
});

describe('event files', () => {
  it('hold records as TensorBoard 2.21.0 writes them', async () => {
    const writer = await TensorBoardWriter.open(join(folder, 'golden'), { clock });
    await writer.write(20, { 'train/loss': 2.5 });
    await writer.close();
    expect((await readFile(writer.path)).toString('hex')).toBe(
      '1800000000000000a37f4b22090000208074d2da411a0d627261696e2e4576656e743a320f379dc8200000000000000029eda950090000208074d2da4110142a130a110a0a747261696e2f6c6f73731500002040cb609dbd',
    );
    expect(writer.path).toMatch(
      /golden\/2027-01-15T08-00-00_[\w.-]+\/events\.out\.tfevents\.1800000000\.[\w.-]+\.\d+\.0$/,
    );
  });

  it('give back what was written, as f32', async () => {
    const path = await writeSteps(join(folder, 'plain'), [10, 20]);
    expect(await readTensorBoardScalars(path)).toEqual([
      { tag: 'train/loss', step: 10, value: Math.fround(0.1) },
      { tag: 'train/learning_rate', step: 10, value: Math.fround(5e-5) },
      { tag: 'train/loss', step: 20, value: Math.fround(0.05) },
      { tag: 'train/learning_rate', step: 20, value: Math.fround(5e-5) },
    ]);
  });

  it('reach the file with each write', async () => {
    const writer = await TensorBoardWriter.open(join(folder, 'growing'), { clock });
    for (const step of [1, 2, 3]) {
      await writer.write(step, { 'train/loss': step });
      expect((await steps(writer.path)).at(-1)).toBe(step);
    }
    await writer.close();
  });

  it('are continued after a resume, each step once', async () => {
    const path = join(folder, 'resumed');
    const first = await writeSteps(path, [10, 20, 30, 40]);
    const { length } = await readFile(first);
    await truncate(first, length - 5);
    const second = await writeSteps(path, [30, 40, 50], 20);
    expect(second).toBe(first);
    expect(await steps(second)).toEqual([10, 20, 30, 40, 50]);
    expect(await readdir(path)).toHaveLength(1);
    expect(await writeSteps(join(folder, 'none-yet'), [1], 0)).toContain('events.out.tfevents.');
  });

  it('are read up to the first damage, whatever it is', async () => {
    const path = await writeSteps(join(folder, 'damaged'), [1, 2, 3, 4]);
    const good = await readFile(path);
    const random = new RandomStream(1);
    for (let round = 0; round < 500; round++) {
      const bytes = Buffer.from(good);
      const at = random.nextInt(bytes.length);
      bytes[at] = bytes[at]! ^ (1 + random.nextInt(255));
      await writeFile(path, bytes);
      const read = await steps(path);
      expect(read).toEqual([1, 2, 3, 4].slice(0, read.length));
      expect(read.length).toBeLessThan(4);
    }
  });
});
