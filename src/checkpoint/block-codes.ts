/**
 * Weights of linear modules in short blocks of codes, for decoding in 4 or 8 bits. Made weight by weight from what the model is
 * stored in, floats or bitsandbytes' codes, kept in the cache and mapped: the model never stands in f32 as a whole.
 */
import { open } from 'node:fs/promises';
import { UnsupportedError } from '../errors.ts';
import { type Checkpoint, readTensor, type TensorEntry, type TensorSource } from '../formats/index.ts';
import { type BlockCodes, blockCodesSize, type QuantizedLayout } from '../graph/index.ts';
import type { LinearModule } from '../models/index.ts';
import { dequantizeEightBit, dequantizeFourBit, dequantizeScales, quantizeBlocks } from '../quant/index.ts';
import type { WeightLocation, WeightLocator } from '../runtime/index.ts';
import { integerHeadName, isQuantized, type StoredWeight } from '../tuning/index.ts';
import { type ModelFolder, openWeights } from './model-folder.ts';
import { cachedTensors, requireFiniteScales, streamed, type StreamedWeight } from './quantized-cache.ts';

/** Bits of linear modules and of the output layer, whose errors go straight into the probabilities. */
export interface BlockBits {
  readonly linear: 4 | 8;
  readonly output: 4 | 8;
}

/** What stands in block codes: the model's weights with them in place, and where all bytes lie. */
export interface BlockCodesWeights {
  readonly stored: ReadonlyMap<string, StoredWeight | BlockCodes>;
  readonly locate: WeightLocator;
}

interface Chosen {
  readonly name: string;
  readonly layout: BlockCodes;
  readonly weight: () => StreamedWeight;
}

async function bytesAt(location: WeightLocation | Uint8Array): Promise<Uint8Array> {
  if (location instanceof Uint8Array) return location;
  const file = await open(location.file);
  try {
    const bytes = new Uint8Array(location.length);
    await file.read(bytes, 0, location.length, location.offset);
    return bytes;
  } finally {
    await file.close();
  }
}

const floats = (bytes: Uint8Array): Float32Array =>
  new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));

/** The values of one weight in codes, f32[out, in]. */
async function decoded(name: string, layout: QuantizedLayout, locate: WeightLocator): Promise<Float32Array> {
  const part = (suffix: string): Promise<Uint8Array> => bytesAt(locate(name + suffix));
  const [outputs, inputs] = layout.shape;
  const codes = await part('');
  if (layout.dtype === 'int8') {
    const signed = new Int8Array(codes.buffer, codes.byteOffset, codes.byteLength);
    return dequantizeEightBit({ codes: signed, absmax: floats(await part('.absmax')) }, inputs);
  }
  const absmax =
    layout.nestedBlockSize === undefined
      ? floats(await part('.absmax'))
      : dequantizeScales(
          {
            codes: await part('.absmax'),
            absmax: floats(await part('.nested_absmax')),
            offset: floats(await part('.nested_offset'))[0]!,
          },
          floats(await part('.nested_quant_map')),
          layout.nestedBlockSize,
        );
  return dequantizeFourBit({ codes, absmax }, layout.dtype, outputs * inputs, layout.blockSize);
}

/** A weight stored [in, out], turned. */
async function turnedValues(entry: TensorEntry): Promise<Float32Array> {
  const values = await readTensor(entry);
  const [inputs, outputs] = entry.shape as [number, number];
  const turned = new Float32Array(values.length);
  for (let i = 0; i < inputs; i++) for (let o = 0; o < outputs; o++) turned[o * inputs + i] = values[i * outputs + o]!;
  return turned;
}

function sourcesOf({ name, layout, weight }: Chosen): TensorSource[] {
  const [outputs, inputs] = layout.shape;
  const blocks = Math.ceil(inputs / blockCodesSize);
  const scales = new Float32Array(outputs * blocks);
  return [
    {
      name: `${name}.blocks`,
      dtype: 'U8',
      shape: [outputs, blocks, (blockCodesSize * layout.bits) / 8],
      async *chunks() {
        let done = 0;
        const stream = weight();
        for await (const values of stream.rows()) {
          const tensor = quantizeBlocks(values, inputs, layout.bits);
          requireFiniteScales(stream, tensor.scales, done, blockCodesSize);
          scales.set(tensor.scales, done);
          done += tensor.scales.length;
          yield tensor.codes;
        }
      },
    },
    {
      name: `${name}.block_scales`,
      dtype: 'F32',
      shape: [outputs, blocks],
      chunks: () => [new Uint8Array(scales.buffer)],
    },
  ];
}

/** The weight of a module as it streams from what it is stored in; undefined where it stays as it is. */
function chosenWeight(
  { model, stored, checkpoint }: ModelFolder,
  { name: module, inputs, outputs, transposed, group, keepsFloats }: LinearModule,
  bits: BlockBits,
  locate: WeightLocator,
): Chosen | undefined {
  const isOutput = module === model.outputModule;
  if (group !== undefined || keepsFloats === true) return undefined;
  const source = `${isOutput && model.tiesEmbeddings ? model.inputEmbedding : module}.weight`;
  const weight = stored.get(source);
  const entry = checkpoint.tensors.get(source);
  if (!weight || !entry) return undefined;
  const shape = [outputs, inputs] as const;
  const whole = (values: () => Promise<Float32Array>): StreamedWeight => ({
    ...entry,
    async *rows() {
      yield await values();
    },
  });
  return {
    name: isOutput ? integerHeadName(module) : source,
    layout: { dtype: 'blocks', bits: isOutput ? bits.output : bits.linear, shape },
    weight: () => {
      if (isQuantized(weight)) return whole(() => decoded(source, weight, locate));
      return transposed === true ? whole(() => turnedValues(entry)) : streamed(entry);
    },
  };
}

/**
 * Turns the weights of linear modules, routed experts left as they are, into block codes.
 * @throws FileError where the cache cannot be written; FormatError `tensor-not-finite`; UnsupportedError where no weight can be.
 */
export async function openBlockCodes(folder: ModelFolder, bits: BlockBits): Promise<BlockCodesWeights> {
  const { model, checkpoint } = folder;
  const locate = await openWeights(folder);
  const chosen = model.linearModules.flatMap((module) => chosenWeight(folder, module, bits, locate) ?? []);
  if (chosen.length === 0) throw new UnsupportedError('no-block-codes', { folder: folder.folder });
  const names = chosen.flatMap(({ name }) => [`${name}.blocks`, `${name}.block_scales`]);
  const sources = model.parameters.flatMap(({ name }) => checkpoint.tensors.get(name) ?? []);
  const recipe = { blockCodes: blockCodesSize, bits, before: folder.quantized?.how ?? null };
  const tensors: Checkpoint['tensors'] = await cachedTensors(sources, recipe, names, () => chosen.flatMap(sourcesOf));
  const all = new Map<string, StoredWeight | BlockCodes>(folder.stored);
  for (const { name, layout } of chosen) all.set(name, layout);
  return { stored: all, locate: (name) => tensors.get(name) ?? locate(name) };
}
