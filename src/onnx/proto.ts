/**
 * ONNX messages written field by field (onnx.proto3 of ONNX 1.17): just those that a graph of ours needs.
 * Reading ONNX files is not done here.
 */
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import type { DType, Shape } from '../graph/index.ts';

/** TensorProto.DataType. */
export const dataTypeCodes: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  uint32: 12,
  bfloat16: 16,
};

/** An attribute: an integer as bigint, a float as number, a text, lists of these, or a body graph. */
export type AttributeValue = bigint | number | string | readonly bigint[] | readonly number[] | OnnxGraph;

/** One ONNX node. */
export interface OnnxNode {
  readonly opType: string;
  readonly domain?: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
}

/** A tensor stored in the model, or in a file beside it. */
export interface OnnxInitializer {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Little-endian bytes, or where they lie: `location` relative to the external folder. */
  readonly data: Uint8Array | { readonly location: string; readonly offset: number; readonly length: number };
}

/** A named tensor at the graph's border. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: DType;
  /** Left out: unknown. */
  readonly shape?: Shape;
  /** A list of such tensors. */
  readonly sequence?: boolean;
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxInitializer[];
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
}

const opsetVersion = 21;
/** The first version with BitCast. */
const bitCastOpsetVersion = 26;
const irVersion = 10;

/** The bytes of a ModelProto. */
export function encodeModel(graph: OnnxGraph): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.Varint).int64(irVersion);
  writer.tag(2, WireType.LengthDelimited).string('fettle');
  message(writer, 7, () => writeGraph(writer, graph));
  for (const [domain, version] of [
    ['', graph.nodes.some(({ opType }) => opType === 'BitCast') ? bitCastOpsetVersion : opsetVersion],
    ['com.microsoft', 1],
  ] as const) {
    message(writer, 8, () => {
      writer.tag(1, WireType.LengthDelimited).string(domain);
      writer.tag(2, WireType.Varint).int64(version);
    });
  }
  return writer.finish();
}

function message(writer: BinaryWriter, field: number, write: () => void): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write();
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function writeGraph(writer: BinaryWriter, graph: OnnxGraph): void {
  for (const node of graph.nodes) message(writer, 1, () => writeNode(writer, node));
  text(writer, 2, graph.name);
  for (const initializer of graph.initializers) message(writer, 5, () => writeTensor(writer, initializer));
  for (const value of graph.inputs) message(writer, 11, () => writeValue(writer, value));
  for (const value of graph.outputs) message(writer, 12, () => writeValue(writer, value));
}

function writeNode(writer: BinaryWriter, node: OnnxNode): void {
  for (const name of node.inputs) text(writer, 1, name);
  for (const name of node.outputs) text(writer, 2, name);
  // profiles name kernels by their node
  text(writer, 3, `${node.opType}_${node.outputs[0]}`);
  text(writer, 4, node.opType);
  for (const [name, value] of Object.entries(node.attributes ?? {})) {
    message(writer, 5, () => writeAttribute(writer, name, value));
  }
  if (node.domain) text(writer, 7, node.domain);
}

function writeAttribute(writer: BinaryWriter, name: string, value: AttributeValue): void {
  text(writer, 1, name);
  const type = (code: number): void => void writer.tag(20, WireType.Varint).int32(code);
  if (typeof value === 'number') {
    writer.tag(2, WireType.Bit32).float(value);
    type(1);
  } else if (typeof value === 'bigint') {
    writer.tag(3, WireType.Varint).int64(value);
    type(2);
  } else if (typeof value === 'string') {
    text(writer, 4, value);
    type(3);
  } else if (isList(value)) {
    const integers = typeof value[0] !== 'number';
    for (const item of value) {
      if (integers) writer.tag(8, WireType.Varint).int64(item);
      else writer.tag(7, WireType.Bit32).float(item as number);
    }
    type(integers ? 7 : 6);
  } else {
    message(writer, 6, () => writeGraph(writer, value));
    type(5);
  }
}

function isList(value: AttributeValue): value is readonly bigint[] | readonly number[] {
  return Array.isArray(value);
}

function writeTensor(writer: BinaryWriter, tensor: OnnxInitializer): void {
  for (const dim of tensor.shape) writer.tag(1, WireType.Varint).int64(dim);
  writer.tag(2, WireType.Varint).int32(dataTypeCodes[tensor.dtype]);
  text(writer, 8, tensor.name);
  const { data } = tensor;
  if (data instanceof Uint8Array) {
    writer.tag(9, WireType.LengthDelimited).bytes(data);
    return;
  }
  for (const [key, value] of [
    ['location', data.location],
    ['offset', String(data.offset)],
    ['length', String(data.length)],
  ] as const) {
    message(writer, 13, () => {
      text(writer, 1, key);
      text(writer, 2, value);
    });
  }
  writer.tag(14, WireType.Varint).int32(1);
}

function writeValue(writer: BinaryWriter, value: OnnxValue): void {
  text(writer, 1, value.name);
  message(writer, 2, () => {
    if (value.sequence) message(writer, 4, () => message(writer, 1, () => writeTensorType(writer, value)));
    else writeTensorType(writer, value);
  });
}

function writeTensorType(writer: BinaryWriter, { dtype, shape }: OnnxValue): void {
  message(writer, 1, () => {
    writer.tag(1, WireType.Varint).int32(dataTypeCodes[dtype]);
    if (!shape) return;
    message(writer, 2, () => {
      for (const dim of shape) {
        message(writer, 1, () => {
          if (typeof dim === 'number') writer.tag(1, WireType.Varint).int64(dim);
          else text(writer, 2, dim);
        });
      }
    });
  });
}
