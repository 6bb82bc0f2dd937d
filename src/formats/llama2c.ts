/**
 * Reads the files of llama2.c (https://github.com/karpathy/llama2.c): a checkpoint of the legacy layout and its tokenizer. Says where
 * the weights lie; `export/from-llama2c.ts` turns them into a Hugging Face folder.
 */
import { open, realpath } from 'node:fs/promises';
import { FormatError } from '../errors.ts';
import { readError } from './file-errors.ts';
import { elementCount, type TensorEntry } from './safetensors.ts';

/** Sizes of a llama2.c model, in the order of its header. */
export interface Llama2cShape {
  readonly dim: number;
  readonly hiddenDim: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabSize: number;
  readonly sequenceLength: number;
}

/** A checkpoint: its sizes and where its tensors lie, all F32. Those with a leading layer dimension are stacked: `wq` is [L,D,D]. */
export interface Llama2cCheckpoint {
  readonly shape: Llama2cShape;
  /** Whether the output head is the token embedding. */
  readonly tiedHead: boolean;
  /** tok_emb [V,D], att_norm [L,D], wq [L,D,D], wk and wv [L,K*E,D], wo [L,D,D], ffn_norm [L,D], w1 [L,F,D], w2 [L,D,F], w3 [L,F,D], final_norm [D], and head [V,D] where untied. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
}

const headerFields = ['dim', 'hiddenDim', 'layers', 'heads', 'kvHeads', 'vocabSize', 'sequenceLength'] as const;
const headerBytes = headerFields.length * 4;
/** Larger than any Llama by far; sizes beyond it are a file of another kind. */
const maxSizes: Readonly<Record<(typeof headerFields)[number], number>> = {
  dim: 1 << 17,
  hiddenDim: 1 << 20,
  layers: 1 << 12,
  heads: 1 << 12,
  kvHeads: 1 << 12,
  vocabSize: 1 << 22,
  sequenceLength: 1 << 24,
};

function parseHeader(header: Buffer, file: string): { shape: Llama2cShape; tiedHead: boolean } {
  const sizes = Object.fromEntries(headerFields.map((name, i) => [name, header.readInt32LE(i * 4)])) as Record<
    (typeof headerFields)[number],
    number
  >;
  const tiedHead = sizes.vocabSize > 0;
  sizes.vocabSize = Math.abs(sizes.vocabSize);
  const refuse = (requirement: string, actual: string): FormatError<'llama2c-checkpoint'> =>
    new FormatError('llama2c-checkpoint', { file, requirement, actual });
  for (const name of headerFields) {
    if (sizes[name] < 1 || sizes[name] > maxSizes[name]) {
      throw refuse(`${name} must be 1 to ${maxSizes[name]}`, String(sizes[name]));
    }
  }
  const { dim, heads, kvHeads } = sizes;
  if (dim % (2 * heads) !== 0) throw refuse('dim must be an even multiple of heads', `dim ${dim} and ${heads} heads`);
  if (heads % kvHeads !== 0) throw refuse('heads must be a multiple of kvHeads', `${heads} and ${kvHeads}`);
  return { shape: sizes, tiedHead };
}

function layout(shape: Llama2cShape, tiedHead: boolean): [name: string, shape: number[]][] {
  const { dim: D, hiddenDim: F, layers: L, heads: H, kvHeads: K, vocabSize: V, sequenceLength: S } = shape;
  const E = D / H;
  const tensors: [string, number[]][] = [
    ['tok_emb', [V, D]],
    ['att_norm', [L, D]],
    ['wq', [L, D, D]],
    ['wk', [L, K * E, D]],
    ['wv', [L, K * E, D]],
    ['wo', [L, D, D]],
    ['ffn_norm', [L, D]],
    ['w1', [L, F, D]],
    ['w2', [L, D, F]],
    ['w3', [L, F, D]],
    ['final_norm', [D]],
    ['freq_cos', [S, E / 2]],
    ['freq_sin', [S, E / 2]],
  ];
  if (!tiedHead) tensors.push(['head', [V, D]]);
  return tensors;
}

/**
 * Finds the weights of a llama2.c checkpoint; reads 28 bytes.
 * @throws FileError `file-unreadable`; FormatError `llama2c-checkpoint` for sizes that make no model, `llama2c-length` for a file that is
 *   not exactly as long as its sizes say.
 */
export async function openLlama2cCheckpoint(path: string): Promise<Llama2cCheckpoint> {
  let header: Buffer;
  let fileBytes: number;
  let file: string;
  try {
    const handle = await open(path, 'r');
    try {
      fileBytes = (await handle.stat()).size;
      const { buffer, bytesRead } = await handle.read(Buffer.alloc(headerBytes), 0, headerBytes, 0);
      header = buffer.subarray(0, bytesRead);
      file = await realpath(path);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(error, path);
  }
  if (header.length < headerBytes) {
    throw new FormatError('llama2c-checkpoint', {
      file: path,
      requirement: `it must begin with ${headerFields.length} sizes of 4 bytes`,
      actual: `a file of ${fileBytes} bytes`,
    });
  }
  const { shape, tiedHead } = parseHeader(header, path);
  const tensors = new Map<string, TensorEntry>();
  let offset = headerBytes;
  for (const [name, tensorShape] of layout(shape, tiedHead)) {
    const length = 4 * elementCount(tensorShape);
    tensors.set(name, { name, dtype: 'F32', shape: tensorShape, file, offset, length });
    offset += length;
  }
  if (offset !== fileBytes) {
    const { dim, layers, vocabSize } = shape;
    throw new FormatError('llama2c-length', {
      file: path,
      expectedBytes: offset,
      actualBytes: fileBytes,
      shape: `${layers} layers of ${dim} with ${vocabSize} tokens`,
    });
  }
  return { shape, tiedHead, tensors };
}

/** A piece of a llama2.c vocabulary, blanks as blanks. The id is its place. */
export interface Llama2cPiece {
  readonly text: string;
  readonly score: number;
}

/** 64 bytes a piece on average would be far more than SentencePiece makes. */
const maxTokenizerBytes = 64 << 22;
/** SentencePiece's own default bound is 16 characters; the byte length of one stays far below this. */
const maxPieceBytes = 1024;

/**
 * Parses a llama2.c tokenizer: int32 longest piece, then for each token float32 score, int32 length and the bytes.
 * @param vocabSize number of tokens of the model; the file must hold exactly these
 * @throws FormatError `llama2c-tokenizer` with the token's id.
 */
export function parseLlama2cTokenizer(bytes: Uint8Array, vocabSize: number, file: string): Llama2cPiece[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const refuse = (token: number | undefined, requirement: string, actual: string): FormatError<'llama2c-tokenizer'> =>
    new FormatError('llama2c-tokenizer', { file, token, requirement, actual });
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const pieces: Llama2cPiece[] = [];
  let position = 4;
  while (pieces.length < vocabSize) {
    const token = pieces.length;
    if (position + 8 > bytes.length) {
      throw refuse(undefined, `it must hold the ${vocabSize} tokens of the model`, `${token} tokens`);
    }
    const score = view.getFloat32(position, true);
    const length = view.getInt32(position + 4, true);
    position += 8;
    if (!Number.isFinite(score)) throw refuse(token, 'the score must be finite', String(score));
    if (length < 1 || length > maxPieceBytes || position + length > bytes.length) {
      throw refuse(token, `the length must be 1 to ${maxPieceBytes} and lie within the file`, String(length));
    }
    try {
      pieces.push({ text: decoder.decode(bytes.subarray(position, position + length)), score });
    } catch {
      throw refuse(token, 'the piece must be UTF-8', 'bytes that are not');
    }
    position += length;
  }
  if (position !== bytes.length) {
    throw refuse(
      undefined,
      `it must end after the ${vocabSize} tokens of the model`,
      `${bytes.length - position} more bytes`,
    );
  }
  return pieces;
}

/**
 * Reads a llama2.c tokenizer file.
 * @throws FileError `file-unreadable`; FormatError `file-too-large`, or as `parseLlama2cTokenizer`.
 */
export async function readLlama2cTokenizer(path: string, vocabSize: number): Promise<Llama2cPiece[]> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      if (size > maxTokenizerBytes) {
        throw new FormatError('file-too-large', { file: path, bytes: size, maxBytes: maxTokenizerBytes });
      }
      return parseLlama2cTokenizer(await handle.readFile(), vocabSize, path);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw readError(error, path);
  }
}
