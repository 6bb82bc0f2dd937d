import { mkdir, mkdtemp, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { openCheckpoint, requireTensor } from './checkpoint.ts';
import { openSafetensors, readTensor, requireFiniteTensors } from './safetensors.ts';
import { parseSafetensorsHeader } from './safetensors-header.ts';
import { tensorFromEntry, tensorFromValues, writeCheckpoint, writeSafetensors } from './safetensors-writer.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file with any header text and data length. */
function fileBytes(header: string, dataBytes: number): Buffer {
  const json = Buffer.from(header);
  const bytes = Buffer.alloc(8 + json.length + dataBytes);
  bytes.writeBigUInt64LE(BigInt(json.length));
  json.copy(bytes, 8);
  return bytes;
}

/** The error text for a file of these bytes, its folder left out. */
async function refusal(bytes: Uint8Array): Promise<string> {
  const path = join(folder, 'x.safetensors');
  await writeFile(path, bytes);
  return openSafetensors(path).then(
    () => 'accepted',
    (error: Error) => error.message.replaceAll(`${folder}/`, ''),
  );
}

const values = Float32Array.from({ length: 24 }, (_, i) => (i - 12) / 7);

describe('writing and reading', () => {
  it('lays a file out as the safetensors library does', async () => {
    // Recorded from safetensors 0.8.0: serialize of {'é"\n\x01': [0], 'a': zeros(0, 3), 'b': 1.0, 'h': bf16 [1, 2]} with metadata z, a.
    const path = join(folder, 'layout.safetensors');
    const tensors = [
      tensorFromValues('h', [2], new Float32Array([1, 2]), 'BF16'),
      tensorFromValues('é"\n\u0001', [1], new Float32Array([0])),
      tensorFromValues('b', [], new Float32Array([1])),
      tensorFromValues('a', [0, 3], new Float32Array(0)),
    ];
    await writeSafetensors(path, tensors, { z: '1', a: '2' });
    const header =
      '{"__metadata__":{"a":"2","z":"1"},"a":{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]},' +
      '"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"é\\"\\n\\u0001":{"dtype":"F32","shape":[1],"data_offsets":[4,8]},' +
      '"h":{"dtype":"BF16","shape":[2],"data_offsets":[8,12]}}';
    const padded = Math.ceil(Buffer.byteLength(header) / 8) * 8;
    const expected = Buffer.concat([
      Buffer.from(new BigUint64Array([BigInt(padded)]).buffer),
      Buffer.from(header),
      Buffer.alloc(padded - Buffer.byteLength(header), ' '),
      Buffer.from([0, 0, 0x80, 0x3f, 0, 0, 0, 0, 0x80, 0x3f, 0, 0x40]),
    ]);
    expect((await readFile(path)).equals(expected)).toBe(true);
  });

  it.each(['F32', 'F16', 'BF16'] as const)('gives %s back, whole and by rows', async (dtype) => {
    const path = join(folder, `${dtype}.safetensors`);
    await writeSafetensors(path, [tensorFromValues('w', [6, 4], values, dtype)]);
    const file = await openSafetensors(path);
    expect(file.metadata['format']).toBe('pt');
    const entry = file.tensors.get('w')!;
    const whole = await readTensor(entry);
    const tolerance = { F32: 0, F16: 1e-3, BF16: 1e-2 }[dtype];
    for (const [i, value] of whole.entries()) expect(Math.abs(value - values[i]!)).toBeLessThanOrEqual(tolerance);
    expect(await readTensor(entry, { begin: 2, end: 5 })).toEqual(whole.slice(8, 20));
    expect(await readTensor(entry, { begin: 6, end: 6 })).toEqual(new Float32Array(0));
    await expect(readTensor(entry, { begin: 5, end: 7 })).rejects.toThrow('rows 5 to 7 of "w", which has 6');
  });

  it('converts tensors longer than a chunk', async () => {
    const path = join(folder, 'long.safetensors');
    const long = Float32Array.from({ length: 5_000_001 }, (_, i) => Math.fround(i % 251));
    await writeSafetensors(path, [tensorFromValues('w', [5_000_001], long, 'BF16')]);
    const entry = (await openSafetensors(path)).tensors.get('w')!;
    const back = await readTensor(entry);
    expect(Buffer.from(back.buffer).equals(Buffer.from(long.buffer))).toBe(true);
    await requireFiniteTensors([entry]);
  });

  it('refuses numbers that are not finite, by name', async () => {
    const path = join(folder, 'nan.safetensors');
    const broken = values.slice();
    broken[17] = Number.NEGATIVE_INFINITY;
    await writeSafetensors(path, [tensorFromValues('a', [24], values), tensorFromValues('b', [24], broken, 'F16')]);
    await expect(requireFiniteTensors((await openSafetensors(path)).tensors.values())).rejects.toThrow(
      `${path}: tensor "b" must hold finite numbers only, got -Infinity at element 17`,
    );
  });

  it('leaves nothing where a tensor fails half-way, and what stood there before', async () => {
    const path = join(folder, 'kept.safetensors');
    await writeSafetensors(path, [tensorFromValues('a', [24], values)]);
    const before = await readFile(path);
    const names = await readdir(folder);
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const failing = {
      ...tensorFromValues('b', [24], values),
      *chunks() {
        yield new Uint8Array(8);
        throw full;
      },
    };
    await expect(writeSafetensors(path, [tensorFromValues('a', [24], values), failing])).rejects.toMatchObject({
      code: 'disk-full',
      message: expect.stringMatching(
        /^.*kept\.safetensors: writing needs \d+ bytes on this disk, got .* free\. Free some space, or choose a folder on another disk; nothing was left half-written$/,
      ),
    });
    expect((await readFile(path)).equals(before)).toBe(true);
    expect(await readdir(folder)).toEqual(names);
  });

  it('refuses before the first byte what the disk cannot hold', async () => {
    const path = join(folder, 'huge.safetensors');
    const huge = { name: 'h', dtype: 'F32' as const, shape: [1e14], chunks: () => [] };
    await expect(writeSafetensors(path, [huge])).rejects.toThrow(
      /writing needs 4\d{14} bytes \(400000\.00 GB\) on this disk, got \d+ bytes \(.* GB\) free/,
    );
  });
});

describe('refusals', () => {
  const tensor = (extra: string): string => `{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}${extra}}`;
  it.each<[string, string, number, string]>([
    [
      'an unknown dtype',
      '{"w":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}',
      8,
      'x.safetensors: tensor "w": dtype must be one that safetensors knows (F32, F16, BF16, ...), got "F33"',
    ],
    [
      'a shape that does not fit its bytes',
      '{"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}',
      8,
      'x.safetensors: tensor "w": F32 of the shape [3] takes 12 bytes, got data_offsets [0,8], which are 8',
    ],
    [
      'a shape whose product overflows',
      '{"w":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,8]}}',
      8,
      'x.safetensors: tensor "w": F32 of the shape [4294967296,4294967296,4] takes more bytes than a file can have, got data_offsets [0,8], which are 8',
    ],
    [
      'a negative size',
      '{"w":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}',
      8,
      'x.safetensors: tensor "w": shape must be a list of at most 64 sizes, got [-2]',
    ],
    [
      'broken offsets',
      '{"w":{"dtype":"F32","shape":[2],"data_offsets":[8]}}',
      8,
      'x.safetensors: tensor "w": data_offsets must be [begin, end], got [8]',
    ],
    [
      'overlapping tensors',
      tensor(',"v":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}'),
      12,
      'x.safetensors: tensor "v": must not overlap "w": must begin at byte 8, got data_offsets [4, 12]',
    ],
    [
      'a hole',
      tensor(',"v":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}'),
      16,
      'x.safetensors: tensor "v": must leave no hole before it: must begin at byte 8, got data_offsets [12, 16]',
    ],
    [
      'a tensor outside of the file',
      tensor(',"v":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}'),
      12,
      `x.safetensors: tensor "v": must end within the file's 12 bytes of data (the file may be cut off: copy or download it again), got data_offsets [8, 16]`,
    ],
    [
      'bytes that no tensor has',
      tensor(''),
      9,
      'x.safetensors: by its header the file must be 70 bytes long, got 71 bytes. Bytes were added at its end',
    ],
    [
      'a name twice',
      tensor(',"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}'),
      16,
      'x.safetensors (header):1:55: must be valid JSON, got the key "w" a second time',
    ],
    [
      'metadata that is no text',
      tensor(',"__metadata__":{"a":1}'),
      8,
      'x.safetensors: not a safetensors file: __metadata__ must map texts to texts, got "a": 1',
    ],
    [
      'a header that is no object',
      '[1]     ',
      0,
      'x.safetensors: not a safetensors file: the header must begin with "{", got "["',
    ],
    [
      'broken JSON',
      '{"w":{"dtype"',
      8,
      'x.safetensors (header):1:14: must be valid JSON, got the end of the text instead of ":"',
    ],
    ['an entry that is no object', '{"w":3}', 0, 'x.safetensors: tensor "w": its entry must be an object, got 3'],
  ])('%s', async (_, header, dataBytes, message) => {
    expect(await refusal(fileBytes(header, dataBytes))).toBe(message);
  });

  it('files that are too short or lie about the length of their header', async () => {
    expect(await refusal(Buffer.alloc(3))).toBe(
      'x.safetensors: not a safetensors file: it must begin with the 8-byte length of its header, got a file of 3 bytes',
    );
    const long = Buffer.alloc(64);
    long.writeBigUInt64LE(2n ** 63n);
    expect(await refusal(long)).toBe(
      `x.safetensors: not a safetensors file: the header's length must be 2 to 100000000 bytes, got 9223372036854775808`,
    );
    long.writeBigUInt64LE(99_000_000n);
    expect(await refusal(long)).toBe(
      'x.safetensors: by its header the file must be 99000008 bytes (99.0 MB) long, got 64 bytes. It was cut off: copy or download it again',
    );
    expect(await refusal(fileBytes('\xff\xfe{}', 0).fill(0xff, 8, 9))).toContain('the header must be UTF-8 text');
  });

  it('clips what a hostile name would print', async () => {
    const message = await refusal(fileBytes(`{"${'n'.repeat(100_000)}":{"dtype":"F32","shape":[1]}}`, 4));
    expect(message.length).toBeLessThan(400);
    expect(message).toContain('(100000 characters)');
  });

  it('a truncated file', async () => {
    const path = join(folder, 'cut.safetensors');
    await writeSafetensors(path, [tensorFromValues('a', [24], values), tensorFromValues('b', [24], values)]);
    const { length } = await readFile(path);
    await truncate(path, length - 10);
    await expect(openSafetensors(path)).rejects.toThrow(
      `cut.safetensors: tensor "b": must end within the file's 182 bytes of data (the file may be cut off: copy or download it again), got data_offsets [96, 192]`,
    );
  });

  it('a file that is not there', async () => {
    await expect(openSafetensors(join(folder, 'none'))).rejects.toMatchObject({
      code: 'file-unreadable',
      message: `${join(folder, 'none')}: cannot be read: no such file or folder`,
    });
  });
});

describe('damaged headers', () => {
  const header = JSON.stringify({
    __metadata__: { format: 'pt' },
    'model.embed.weight': { dtype: 'F32', shape: [4, 3], data_offsets: [0, 48] },
    'model.norm.weight': { dtype: 'BF16', shape: [3], data_offsets: [48, 54] },
    'model.empty': { dtype: 'F32', shape: [0, 9], data_offsets: [54, 54] },
    'model.flags': { dtype: 'BOOL', shape: [2], data_offsets: [54, 56] },
  });
  const alphabet = '0123456789-.eE+{}[]",: \\uFBIxq\0\xff';

  it('never give anything but a FormatError or a layout inside of the file', () => {
    const random = new RandomStream(11);
    let refused = 0;
    for (let round = 0; round < 8_000; round++) {
      const units = header.split('');
      for (let edit = 1 + random.nextInt(4); edit > 0; edit--) {
        const at = random.nextInt(units.length);
        const inserted =
          random.nextInt(4) === 0 ? '9'.repeat(random.nextInt(20)) : alphabet[random.nextInt(alphabet.length)]!;
        units.splice(at, random.nextInt(4), inserted);
      }
      const bytes = Buffer.from(units.join(''));
      const size = 8 + bytes.length + 56;
      try {
        const { tensors, dataOffset } = parseSafetensorsHeader(bytes, size, 'x');
        for (const { begin, end } of tensors) {
          if (!(begin >= 0 && begin <= end && dataOffset + end <= size)) expect.fail(`accepted ${bytes.toString()}`);
        }
      } catch (error) {
        refused++;
        expect(error).toMatchObject({ name: 'FormatError' });
        expect((error as Error).message.length).toBeLessThan(600);
      }
    }
    expect(refused).toBeGreaterThan(6_000);
  });

  it('allocate no more than the file is long', async () => {
    const random = new RandomStream(12);
    const good = fileBytes(header, 56);
    const before = process.memoryUsage();
    for (let round = 0; round < 1_500; round++) {
      const bytes = Buffer.from(good);
      for (let edit = random.nextInt(4); edit >= 0; edit--) {
        bytes[random.nextInt(round % 2 ? 8 : bytes.length)] = random.nextInt(256);
      }
      const message = await refusal(bytes.subarray(0, random.nextInt(3) ? bytes.length : random.nextInt(bytes.length)));
      expect(message.length).toBeLessThan(600);
    }
    const after = process.memoryUsage();
    expect(after.rss - before.rss).toBeLessThan(150e6);
  });
});

describe('openCheckpoint', () => {
  const sources = ['a', 'b', 'c'].map((name) => tensorFromValues(name, [6, 4], values));

  async function sharded(name: string): Promise<string> {
    const path = join(folder, name);
    await writeCheckpoint(path, sources, 100);
    return path;
  }

  async function message(path: string): Promise<string> {
    return openCheckpoint(path).then(
      () => 'accepted',
      (error: Error) => error.message.replaceAll(`${folder}/`, ''),
    );
  }

  it('opens a single file and shards alike', async () => {
    const single = join(folder, 'single');
    await writeCheckpoint(single, sources);
    expect(await readdir(single)).toEqual(['model.safetensors']);
    const shards = await sharded('shards');
    expect(await readdir(shards)).toEqual([
      'model-00001-of-00003.safetensors',
      'model-00002-of-00003.safetensors',
      'model-00003-of-00003.safetensors',
      'model.safetensors.index.json',
    ]);
    expect(JSON.parse(await readFile(join(shards, 'model.safetensors.index.json'), 'utf8'))).toEqual({
      metadata: { total_parameters: 72, total_size: 288 },
      weight_map: {
        a: 'model-00001-of-00003.safetensors',
        b: 'model-00002-of-00003.safetensors',
        c: 'model-00003-of-00003.safetensors',
      },
    });
    for (const path of [single, shards]) {
      const checkpoint = await openCheckpoint(path);
      expect([...checkpoint.tensors.keys()]).toEqual(['a', 'b', 'c']);
      expect(checkpoint.totalBytes).toBe(288);
      expect(await readTensor(requireTensor(checkpoint, 'b'))).toEqual(values);
      expect(() => requireTensor(checkpoint, 'd')).toThrow('tensor "d" must be there, got none');
    }
  });

  it('writes shards over a single file, and back, leaving one form', async () => {
    const path = await sharded('changing');
    const checkpoint = await openCheckpoint(path);
    await writeCheckpoint(
      path,
      [...checkpoint.tensors.values()].map((entry) => tensorFromEntry(entry)),
    );
    expect(await readdir(path)).not.toContain('model.safetensors.index.json');
    expect([...(await openCheckpoint(path)).tensors.keys()]).toEqual(['a', 'b', 'c']);
  });

  it('follows the links of a Hugging Face cache', async () => {
    const snapshot = join(folder, 'cache/snapshots/abc');
    await mkdir(snapshot, { recursive: true });
    await mkdir(join(folder, 'cache/blobs'), { recursive: true });
    await writeSafetensors(join(folder, 'cache/blobs/e3b0'), sources);
    await symlink('../../blobs/e3b0', join(snapshot, 'model.safetensors'));
    const entry = requireTensor(await openCheckpoint(snapshot), 'a');
    expect(entry.file.endsWith('cache/blobs/e3b0')).toBe(true);
    expect(await readTensor(entry)).toEqual(values);
  });

  it('names a missing shard and a tensor of it', async () => {
    const path = await sharded('missing');
    await rm(join(path, 'model-00002-of-00003.safetensors'));
    expect(await message(path)).toBe(
      'missing/model.safetensors.index.json: the shard "model-00002-of-00003.safetensors" (for tensor "b") must stand beside it, got no such file. Download it again',
    );
  });

  it('refuses shards that lack a tensor or hold one twice', async () => {
    const path = await sharded('lacking');
    await writeSafetensors(join(path, 'model-00002-of-00003.safetensors'), [sources[2]!]);
    expect(await message(path)).toBe(
      'lacking/model.safetensors.index.json: the shard "model-00002-of-00003.safetensors" must hold tensor "b", got a shard without it',
    );
    await writeSafetensors(join(path, 'model-00002-of-00003.safetensors'), [sources[1]!, sources[2]!]);
    expect(await message(path)).toBe(
      'lacking/model.safetensors.index.json: tensor "c" must stand in one shard, got "model-00002-of-00003.safetensors" and "model-00003-of-00003.safetensors"',
    );
  });

  it.each(['../model.safetensors', '/etc/passwd', 'a/../../b', 'C:\\b', '', 'x\0'])(
    'refuses the shard %j',
    async (shard) => {
      const path = join(folder, 'escaping');
      await mkdir(path, { recursive: true });
      await writeFile(join(path, 'model.safetensors.index.json'), JSON.stringify({ weight_map: { a: shard } }));
      expect(await message(path)).toBe(
        `escaping/model.safetensors.index.json: tensor "a": a shard must be a file name inside the folder, got ${JSON.stringify(shard)}`,
      );
    },
  );

  it('says what is there where there are no such weights', async () => {
    const path = join(folder, 'other');
    await mkdir(path);
    expect(await message(path)).toBe(
      'other: model.safetensors or pytorch_model.bin, or the index of shards of either, must be there, got none of them',
    );
    await writeFile(join(path, 'tf_model.h5'), '');
    expect(await message(path)).toBe(
      'other: model.safetensors or pytorch_model.bin, or the index of shards of either, must be there, got tf_model.h5',
    );
    expect(await message(join(folder, 'nowhere'))).toBe('nowhere: cannot be read: no such file or folder');
    await writeFile(join(path, 'model.safetensors.index.json'), '{"metadata": {}}');
    expect(await message(path)).toBe(
      'other/model.safetensors.index.json: "weight_map" must be an object from tensor names to file names, got "nothing"',
    );
  });
});
