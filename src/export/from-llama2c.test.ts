import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tokenizer } from '@huggingface/tokenizers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openCheckpoint, parseLlama2cTokenizer, readTensor, requireTensor } from '../formats/index.ts';
import { RandomStream } from '../util/index.ts';
import { convertLlama2c, toHalfSplitRows } from './from-llama2c.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-llama2c-'));
});
afterAll(() => rm(folder, { recursive: true }));

const size = { dim: 8, hiddenDim: 12, layers: 2, heads: 2, kvHeads: 1, vocabSize: 262, sequenceLength: 4 };

/** A checkpoint whose floats count 0, 1, 2, ... */
function checkpointBytes(sizes: readonly number[], floats: number): Buffer {
  const bytes = Buffer.alloc(28 + 4 * floats);
  for (const [i, value] of sizes.entries()) bytes.writeInt32LE(value, 4 * i);
  for (let i = 0; i < floats; i++) bytes.writeFloatLE(i, 28 + 4 * i);
  return bytes;
}
const sizes = Object.values(size);
const floats = 262 * 8 + 2 * (8 + 64 + 32 + 32 + 64 + 8 + 3 * 96) + 8 + 2 * 4 * 2;

const smallPieces: [string, number][] = [
  ['<unk>', 0],
  ['\n<s>\n', 0],
  ['\n</s>\n', 0],
  ...Array.from({ length: 256 }, (_, i): [string, number] => [
    `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`,
    0,
  ]),
  [' a', -1],
  [' ', -2],
  ['a', -3],
];

function tokenizerBytes(pieces: readonly [string, number][]): Buffer {
  const parts = [Buffer.from(new Int32Array([7]).buffer)];
  for (const [text, score] of pieces) {
    const piece = Buffer.from(text);
    const head = Buffer.alloc(8);
    head.writeFloatLE(score, 0);
    head.writeInt32LE(piece.length, 4);
    parts.push(head, piece);
  }
  return Buffer.concat(parts);
}

async function convert(checkpoint: Uint8Array, tokenizer: Uint8Array, output: string): Promise<string[]> {
  await writeFile(join(folder, 'model.bin'), checkpoint);
  await writeFile(join(folder, 'tok.bin'), tokenizer);
  return convertLlama2c({ checkpoint: join(folder, 'model.bin'), tokenizer: join(folder, 'tok.bin'), output });
}

async function refusal(checkpoint: Uint8Array, tokenizer: Uint8Array = tokenizerBytes(smallPieces)): Promise<string> {
  const output = join(folder, 'refused');
  const message = await convert(checkpoint, tokenizer, output).then(
    () => 'accepted',
    (error: Error) => error.message.replaceAll(`${folder}/`, ''),
  );
  expect(existsSync(output)).toBe(false);
  return message;
}

describe('a small model', () => {
  it('keeps every weight in its place', async () => {
    const output = join(folder, 'small');
    await convert(checkpointBytes(sizes, floats), tokenizerBytes(smallPieces), output);
    expect(await readdir(output)).toEqual([
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    const checkpoint = await openCheckpoint(output);
    expect(checkpoint.tensors.size).toBe(2 + 9 * 2);
    expect(requireTensor(checkpoint, 'model.layers.1.self_attn.k_proj.weight').shape).toEqual([4, 8]);
    const first = async (name: string): Promise<number> => (await readTensor(requireTensor(checkpoint, name)))[0]!;
    const afterEmbedding = 262 * 8;
    expect(await first('model.embed_tokens.weight')).toBe(0);
    expect(await first('model.layers.1.input_layernorm.weight')).toBe(afterEmbedding + 8);
    expect(await first('model.layers.1.self_attn.q_proj.weight')).toBe(afterEmbedding + 16 + 64);
    expect(await first('model.layers.0.self_attn.k_proj.weight')).toBe(afterEmbedding + 16 + 128);
    expect(await first('model.layers.0.mlp.gate_proj.weight')).toBe(afterEmbedding + 16 + 128 + 128 + 128 + 16);
    expect(await first('model.norm.weight')).toBe(afterEmbedding + 16 + 128 + 128 + 128 + 16 + 6 * 96);
    expect(JSON.parse(await readFile(join(output, 'config.json'), 'utf8'))).toMatchObject({
      architectures: ['LlamaForCausalLM'],
      hidden_size: 8,
      num_key_value_heads: 1,
      rms_norm_eps: 1e-5,
      tie_word_embeddings: true,
      vocab_size: 262,
    });
  });

  it('stores an untied head', async () => {
    const output = join(folder, 'untied');
    const untied = checkpointBytes(sizes.with(5, -262), floats + 262 * 8);
    await convert(untied, tokenizerBytes(smallPieces), output);
    const head = await readTensor(requireTensor(await openCheckpoint(output), 'lm_head.weight'));
    expect(head[0]).toBe(floats);
  });

  it('leaves nothing where a file cannot be written', async () => {
    const output = join(folder, 'blocked');
    // A folder in the place of the tokenizer's file.
    await mkdir(join(output, 'tokenizer.json'), { recursive: true });
    await expect(convert(checkpointBytes(sizes, floats), tokenizerBytes(smallPieces), output)).rejects.toMatchObject({
      message: `${join(output, 'tokenizer.json')}: cannot be written: it is a folder, not a file`,
    });
    expect(await readdir(output)).toEqual(['tokenizer.json']);
  });

  it('moves rotary pairs to half-split order', () => {
    const rows = Float32Array.from({ length: 16 }, (_, i) => i);
    expect([...toHalfSplitRows(rows, 2, 2)]).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]);
  });
});

describe('refusals', () => {
  it.each<[string, Buffer, string]>([
    [
      'too short for a header',
      Buffer.alloc(20),
      'model.bin: not a llama2.c checkpoint (legacy layout): it must begin with 7 sizes of 4 bytes, got a file of 20 bytes',
    ],
    [
      'a size of nothing',
      checkpointBytes(sizes.with(2, 0), 0),
      'model.bin: not a llama2.c checkpoint (legacy layout): layers must be 1 to 4096, got 0',
    ],
    [
      'the magic number of the newer layouts',
      checkpointBytes(sizes.with(0, 0x616b3432), 0),
      'model.bin: not a llama2.c checkpoint (legacy layout): dim must be 1 to 131072, got 1634415666',
    ],
    [
      'heads that do not divide',
      checkpointBytes(sizes.with(3, 3), 0),
      'model.bin: not a llama2.c checkpoint (legacy layout): dim must be an even multiple of heads, got dim 8 and 3 heads',
    ],
    [
      'a file cut off',
      checkpointBytes(sizes, floats - 1),
      `model.bin: a llama2.c checkpoint of 2 layers of 8 with 262 tokens must be ${28 + 4 * floats} bytes long, got ${24 + 4 * floats} bytes. It was cut off, or is of another layout`,
    ],
  ])('%s', async (_, bytes, message) => {
    expect(await refusal(bytes)).toBe(message);
  });

  it('tokenizers of another size, broken or ambiguous', async () => {
    const good = checkpointBytes(sizes, floats);
    expect(await refusal(good, tokenizerBytes(smallPieces.slice(0, 200)))).toBe(
      'tok.bin: not a llama2.c tokenizer of this model: it must hold the 262 tokens of the model, got 200 tokens',
    );
    expect(await refusal(good, tokenizerBytes([...smallPieces, ['b', -4]]))).toBe(
      'tok.bin: not a llama2.c tokenizer of this model: it must end after the 262 tokens of the model, got 9 more bytes',
    );
    expect(await refusal(good, tokenizerBytes(smallPieces.with(261, [' a', -3])))).toBe(
      'tok.bin: pieces[261] must be a piece of its own, got "▁a" again',
    );
    expect(await refusal(good, tokenizerBytes(smallPieces.with(4, ['x', Number.NaN])))).toBe(
      'tok.bin: not a llama2.c tokenizer of this model: token 4: the score must be finite, got NaN',
    );
  });

  it('damaged tokenizers never give anything but a FormatError', () => {
    const random = new RandomStream(5);
    const good = tokenizerBytes(smallPieces);
    let refused = 0;
    for (let round = 0; round < 3000; round++) {
      const bytes = Buffer.from(good.subarray(0, random.nextInt(4) ? good.length : random.nextInt(good.length)));
      for (let edit = random.nextInt(6); edit >= 0 && bytes.length > 0; edit--) {
        bytes[random.nextInt(bytes.length)] = random.nextInt(256);
      }
      try {
        expect(parseLlama2cTokenizer(bytes, 262, 'x')).toHaveLength(262);
      } catch (error) {
        refused++;
        expect(error).toMatchObject({ name: 'FormatError' });
      }
    }
    expect(refused).toBeGreaterThan(2000);
  });
});

const stories = fileURLToPath(new URL('../../../shared/data/model/stories260K/', import.meta.url));

/** llama2.c's own encoder (run.c, `encode`): a blank before the text, characters or bytes, then the best-scored pair again and again. */
function referenceEncode(text: string, pieces: readonly { text: string; score: number }[]): number[] {
  const ids = new Map(pieces.map((piece, id) => [piece.text, id]));
  const tokens = [1];
  if (text !== '') tokens.push(ids.get(' ')!);
  for (const character of text) {
    const id = ids.get(character);
    if (id === undefined) for (const byte of Buffer.from(character)) tokens.push(byte + 3);
    else tokens.push(id);
  }
  for (;;) {
    let best: { at: number; id: number; score: number } | undefined;
    for (let at = 0; at + 1 < tokens.length; at++) {
      const id = ids.get(pieces[tokens[at]!]!.text + pieces[tokens[at + 1]!]!.text);
      if (id !== undefined && (best === undefined || pieces[id]!.score > best.score)) {
        best = { at, id, score: pieces[id]!.score };
      }
    }
    if (best === undefined) return tokens;
    tokens.splice(best.at, 2, best.id);
  }
}

describe.skipIf(!existsSync(stories))('stories260K (skipped where ../shared/data is absent)', () => {
  let tokenizer: Tokenizer;
  let pieces: { text: string; score: number }[];
  beforeAll(async () => {
    const output = join(folder, 'stories');
    const checkpoint = join(stories, 'stories260K.bin');
    const bin = join(stories, 'tok512.bin');
    await convertLlama2c({ checkpoint, tokenizer: bin, output });
    pieces = parseLlama2cTokenizer(await readFile(bin), 512, bin);
    const read = async (name: string): Promise<object> =>
      JSON.parse(await readFile(join(output, name), 'utf8')) as object;
    tokenizer = new Tokenizer(await read('tokenizer.json'), await read('tokenizer_config.json'));
  });

  it.each([
    // Recorded with transformers 5.23.0 and tokenizers 0.23.3 from the converted folder.
    ['Once upon a time', [1, 403, 407, 261, 378]],
    [' Hello,  world!\n', [1, 410, 346, 306, 414, 432, 410, 263, 304, 341, 443, 13]],
    ['', [1]],
    ['aaaa   aaa', [1, 261, 412, 412, 412, 410, 410, 261, 412, 412]],
    ["I'm 3.5 years\told", [1, 359, 439, 423, 410, 472, 426, 480, 348, 411, 295, 419, 12, 414, 341]],
  ])('%j', (text, ids) => {
    expect(tokenizer.encode(text).ids).toEqual(ids);
    expect(referenceEncode(text, pieces)).toEqual(ids);
  });

  it('encodes as llama2.c does, on random text', () => {
    const random = new RandomStream(9);
    const words = [...pieces.slice(259).map((piece) => piece.text), '\n', '日本', '🙂', '\u2019', 'aaa', '  '];
    for (let round = 0; round < 400; round++) {
      const text = Array.from({ length: 1 + random.nextInt(12) }, () => words[random.nextInt(words.length)]!).join('');
      expect({ text, ids: tokenizer.encode(text).ids }).toEqual({ text, ids: referenceEncode(text, pieces) });
    }
  });
});
