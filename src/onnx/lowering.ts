/**
 * From operations to ONNX nodes: one row per operation. On the CPU onnxruntime's own operators (com.microsoft) are used
 * where they are faster; on other providers only those of the standard. The choices follow the measurements in NOTES.md.
 */
import { lowerAttention, lowerAttentionGradient } from './causal-attention.ts';
import { dataTypeCodes } from './proto.ts';
import { lowerGroupedMatmul, lowerGroupedOuter } from './grouped-product.ts';
import { lowerIntegerMatmul } from './integer-product.ts';
import { lowerQuantizedMatmul } from './quantized-matmul.ts';
import type { GraphWriter } from './writer.ts';
import { blockCodesSize, type Dim, type Node, type OpName } from '../graph/index.ts';

/** Emits the nodes of one operation and gives the name of its result. */
export type Lowering<O extends OpName> = (node: Node<O>, writer: GraphWriter, inputs: readonly string[]) => string;

/** An operation that is one ONNX node of the same inputs. */
function same<O extends OpName>(opType: string): Lowering<O> {
  return (_node, writer, inputs) => writer.emit(opType, inputs);
}

function reduction<O extends 'reduceSum' | 'reduceMean' | 'reduceMax'>(opType: string): Lowering<O> {
  return (node, writer, inputs) =>
    writer.emit(opType, [inputs[0]!, writer.integers(node.attributes.axes)], { keepdims: 1n });
}

const lastAxis = -1n;

/** The lowering of every operation; leaves are bound by `lowerGraph`. */
export const lowerings: { readonly [O in OpName]: Lowering<O> } = {
  input: (node) => node.attributes.name,
  weight: (node) => node.attributes.name,
  constant: (node, writer) => {
    const { values } = node.attributes;
    const shape = node.shape as readonly number[];
    return node.dtype === 'int64' ? writer.integers(values, shape) : writer.floats(values, shape);
  },
  add: same('Add'),
  sub: same('Sub'),
  mul: same('Mul'),
  div: same('Div'),
  neg: same('Neg'),
  exp: same('Exp'),
  log: same('Log'),
  sqrt: same('Sqrt'),
  tanh: same('Tanh'),
  sigmoid: same('Sigmoid'),
  erf: same('Erf'),
  silu: (_node, writer, [x]) =>
    writer.provider === 'cpu'
      ? writer.emit('QuickGelu', [x!], { alpha: 1 }, 'com.microsoft')
      : writer.emit('Mul', [x!, writer.emit('Sigmoid', [x!])]),
  gelu: (node, writer, [x]) => {
    const tanh = node.attributes.approximation === 'tanh';
    // the standard's Gelu is a function of many nodes on the CPU for the tanh form; onnxruntime's own are one kernel each
    if (writer.provider === 'cpu') return writer.emit(tanh ? 'FastGelu' : 'Gelu', [x!], {}, 'com.microsoft');
    return writer.emit('Gelu', [x!], { approximate: tanh ? 'tanh' : 'none' });
  },
  cast: (node, writer, [x]) => {
    const source = node.inputs[0]!;
    // a cast of a constant is folded when the session is made and then kept in memory: a shape known only at run time prevents it
    const value =
      source.op === 'weight' && !writer.expandsWeights
        ? writer.emit('Reshape', [x!, writer.barrierShape(source.shape as readonly number[])])
        : x!;
    return writer.emit('Cast', [value], { to: BigInt(dataTypeCodes[node.attributes.to]) });
  },
  greaterOrEqual: same('GreaterOrEqual'),
  less: same('Less'),
  equal: same('Equal'),
  and: same('And'),
  where: same('Where'),
  reduceSum: reduction('ReduceSum'),
  reduceMean: reduction('ReduceMean'),
  reduceMax: reduction('ReduceMax'),
  matmul: (node, writer, inputs) => {
    const { transposeA, transposeB, alpha } = node.attributes;
    if (node.shape.length === 2) return lowerProduct(node, writer, inputs);
    if (writer.provider === 'cpu') return writer.emit('FusedMatMul', inputs, productFlags(node), 'com.microsoft');
    const swap = (name: string, transposed: boolean): string =>
      transposed ? writer.emit('Transpose', [name], { perm: swapLastTwo(node.shape.length) }) : name;
    const product = writer.emit('MatMul', [swap(inputs[0]!, transposeA), swap(inputs[1]!, transposeB)]);
    return alpha === 1 ? product : writer.emit('Mul', [product, writer.floats([alpha])]);
  },
  adaptedMatmul: (node, writer, [x, weight, a, b]) => {
    const { transposeB, scale } = node.attributes;
    const merged = transposeB
      ? writer.emit('Gemm', [b!, a!, weight!], { alpha: scale })
      : writer.emit('Gemm', [a!, b!, weight!], { transA: 1n, transB: 1n, alpha: scale });
    return writer.emit('Gemm', [x!, merged], { transB: transposeB ? 1n : 0n });
  },
  mergedWeight: (node, writer, [weight, a, b]) =>
    writer.emit('Gemm', [b!, a!, weight!], { alpha: node.attributes.scale }),
  quantizedMatmul: lowerQuantizedMatmul,
  integerMatmul: lowerIntegerMatmul,
  blockCodesMatmul: (node, writer, inputs) => {
    const { bits, shape } = node.attributes.layout;
    // level 4: rows are rounded to bytes by blocks and multiplied in integers; the others expand the weight
    const attributes = {
      K: BigInt(shape[1]),
      N: BigInt(shape[0]),
      bits: BigInt(bits),
      block_size: BigInt(blockCodesSize),
      accuracy_level: 4n,
    };
    return writer.emit('MatMulNBits', inputs, attributes, 'com.microsoft');
  },
  groupedMatmul: lowerGroupedMatmul,
  groupedOuter: lowerGroupedOuter,
  reshape: (node, writer, [x]) => {
    const { shape } = node.attributes;
    const symbols = shape.filter((dim) => typeof dim === 'string');
    const inferred = symbols.find((dim) => !writer.knowsDimension(dim)) ?? symbols[0];
    const target = writer.shapeTensor(shape, inferred);
    return writer.emit('Reshape', [x!, target]);
  },
  expand: (node, writer, [x]) => writer.emit('Expand', [x!, writer.shapeTensor(node.attributes.shape)]),
  transpose: (node, writer, [x]) => writer.emit('Transpose', [x!], { perm: node.attributes.permutation.map(BigInt) }),
  concat: (node, writer, inputs) => writer.emit('Concat', inputs, { axis: BigInt(node.attributes.axis) }),
  slice: (node, writer, [x]) => {
    const { axis, start, end } = node.attributes;
    return writer.emit('Slice', [x!, writer.integers([start]), writer.integers([end]), writer.integers([axis])]);
  },
  order: (node, writer, [x]) => {
    const { direction, count } = node.attributes;
    const last = node.shape.at(-1)!;
    const size =
      count === undefined && typeof last === 'string' ? writer.dimension(last) : writer.integers([last as number]);
    const largest = direction === 'descending' ? 1n : 0n;
    return writer.emitMany('TopK', [x!, size], 2, { axis: lastAxis, largest, sorted: 1n })[1]!;
  },
  gather: (_node, writer, inputs) => writer.emit('Gather', inputs, { axis: 0n }),
  scatterAdd: (node, writer, [updates, index]) => {
    const zeros = writer.emit('Expand', [writer.floats([0]), writer.shapeTensor(node.shape)]);
    const column = writer.emit('Unsqueeze', [index!, writer.integers([1])]);
    return writer.emit('ScatterND', [zeros, column, updates!], { reduction: 'add' });
  },
  permuteRows: (node, writer, [x, index]) => {
    const [rows, width] = node.inputs[0]!.shape;
    const { fill } = node.attributes;
    if (fill === 'none') return writer.emit('Gather', [x!, index!], { axis: 0n });
    if (fill === 'any') {
      const last = writer.emit('Sub', [writer.shapeTensor([rows!]), writer.integers([1])]);
      return writer.emit('Gather', [x!, writer.emit('Min', [index!, last])], { axis: 0n });
    }
    const zeroRow = writer.floats(
      Array.from({ length: width as number }, () => 0),
      [1, width as number],
    );
    return writer.emit('Gather', [writer.emit('Concat', [x!, zeroRow], { axis: 0n }), index!], { axis: 0n });
  },
  jointSoftmax: (node, writer, [a, b, bias]) => {
    const parts = writer.once(`joint softmax ${a} ${b} ${bias}`, () => {
      const joined = writer.emit('Concat', [a!, b!], { axis: lastAxis });
      const whole = writer.emit('Softmax', [writer.emit('Add', [joined, bias!])], { axis: lastAxis });
      const widths = node.inputs.slice(0, 2).map(({ shape }) => shape.at(-1)!);
      const sizes = writer.once(`widths ${widths.join()}`, () => writer.shapeTensor(widths));
      return writer.emitMany('Split', [whole, sizes], 2, { axis: lastAxis });
    });
    return parts[node.attributes.part === 'first' ? 0 : 1]!;
  },
  softmax: (_node, writer, [x]) => writer.emit('Softmax', [x!], { axis: lastAxis }),
  rmsNorm: (node, writer, [x, gain]) => {
    const { epsilon } = node.attributes;
    if (writer.provider === 'cpu') return normAndScale(writer, x!, gain!, epsilon)[0];
    return writer.emit('Mul', [writer.emit('Div', [x!, rootMeanSquare(writer, x!, epsilon)]), gain!]);
  },
  rmsScale: (node, writer, [x, gain]) => {
    const { epsilon } = node.attributes;
    if (writer.provider === 'cpu') return normAndScale(writer, x!, gain!, epsilon)[1];
    return writer.emit('Div', [writer.floats([1]), rootMeanSquare(writer, x!, epsilon)]);
  },
  layerNorm: (node, writer, inputs) =>
    writer.emit('LayerNormalization', inputs, { axis: lastAxis, epsilon: node.attributes.epsilon }),
  rotary: (node, writer, [x, cos, sin]) => {
    if (writer.provider === 'cpu' && writer.expandsWeights) return lowerRotaryAsOne(node, writer, [x!, cos!, sin!]);
    const { passing } = node.attributes;
    if (passing !== undefined) {
      const heads = node.shape[1] as number;
      const parts = writer.emitMany('Split', [x!, writer.integers([heads - passing, passing])], 2, { axis: 1n });
      const front = { ...node, attributes: {}, shape: [node.shape[0]!, heads - passing, node.shape[2]!] };
      const turned = lowerings.rotary(front, writer, [parts[0]!, cos!, sin!]);
      return writer.emit('Concat', [turned, parts[1]!], { axis: 1n });
    }
    const half = (node.shape[2] as number) / 2;
    if (writer.provider === 'cpu') {
      // tables of just these tokens, so that token n of the one row has the place n
      const heads = node.shape[1] as number;
      const row = writer.emit('Reshape', [x!, writer.integers([1, -1, heads * 2 * half])]);
      const [cosRows, sinRows] = [cos!, sin!].map((table) =>
        writer.once(`rows ${table}`, () => writer.emit('Reshape', [table, writer.integers([-1, half])])),
      ) as [string, string];
      const inputs = [row, writer.integers([0]), cosRows, sinRows];
      const turned = writer.emit('RotaryEmbedding', inputs, { num_heads: BigInt(heads) }, 'com.microsoft');
      return writer.emit('Reshape', [turned, writer.integers([-1, heads, 2 * half])]);
    }
    const [a, b] = writer.emitMany('Split', [x!, writer.integers([half, half])], 2, { axis: lastAxis }) as [
      string,
      string,
    ];
    const left = writer.emit('Sub', [writer.emit('Mul', [a, cos!]), writer.emit('Mul', [b, sin!])]);
    const right = writer.emit('Add', [writer.emit('Mul', [b, cos!]), writer.emit('Mul', [a, sin!])]);
    return writer.emit('Concat', [left, right], { axis: lastAxis });
  },
  // -log p[label] = (max - logits[label]) - log(max p): no underflow. What reads the logits is emitted last: it then runs
  // first, and the softmax may be written over them
  crossEntropy: (_node, writer, [logits, probabilities, labels]) => {
    const axes = writer.integers([-1]);
    const highest = writer.emit('Log', [writer.emit('ReduceMax', [probabilities!, axes], { keepdims: 1n })]);
    const max = writer.emit('ReduceMax', [logits!, axes], { keepdims: 1n });
    const label = writer.emit('GatherElements', [logits!, labels!], { axis: 1n });
    return writer.emit('Sub', [writer.emit('Sub', [max, label]), highest]);
  },
  crossEntropyGradient: (_node, writer, [probabilities, labels, dy]) => {
    const one = writer.emit('Expand', [writer.floats([-1]), writer.emit('Shape', [labels!])]);
    const attributes = { axis: 1n, reduction: 'add' };
    return writer.emit('Mul', [writer.emit('ScatterElements', [probabilities!, labels!, one], attributes), dy!]);
  },
  causalAttention: lowerAttention,
  causalAttentionGradient: lowerAttentionGradient,
  cut: (_node, _writer, [x]) => x!,
};

/** The norm's two results: the normed rows and 1 / their root mean squares. */
function normAndScale(writer: GraphWriter, x: string, gain: string, epsilon: number): [string, string] {
  return writer.once(`rms norm ${x} ${gain} ${epsilon}`, () => {
    const attributes = { axis: lastAxis, epsilon };
    return writer.emitMany('SimplifiedLayerNormalization', [x, gain], 2, attributes) as [string, string];
  });
}

function rootMeanSquare(writer: GraphWriter, x: string, epsilon: number): string {
  return writer.once(`root mean square ${x} ${epsilon}`, () => {
    const squares = writer.emit('Mul', [x, x]);
    const meanSquare = writer.emit('ReduceMean', [squares, writer.integers([-1])], { keepdims: 1n });
    return writer.emit('Sqrt', [writer.emit('Add', [meanSquare, writer.floats([epsilon])])]);
  });
}

/** One kernel instead of eight, which counts where rows are few. Heads that pass turn by nothing: a further row of the tables. */
function lowerRotaryAsOne(
  { shape, attributes }: Node<'rotary'>,
  writer: GraphWriter,
  [x, cos, sin]: readonly [string, string, string],
): string {
  const [, heads, size] = shape as [Dim, number, number];
  const passing = attributes.passing ?? 0;
  const table = (name: string, rest: number): string =>
    writer.once(`rotary table ${name}`, () => {
      const rows = writer.emit('Reshape', [name, writer.integers([-1, size / 2])]);
      const last = writer.table(`rotary rest ${rest} ${size}`, [1, size / 2], () =>
        new Float32Array(size / 2).fill(rest),
      );
      return writer.emit('Concat', [rows, last], { axis: 0n });
    });
  const count = writer.once(`rotary count ${cos}`, () => writer.emit('Shape', [cos], { start: 0n, end: 1n }));
  const places = writer.once(`rotary places ${cos} ${heads} ${passing}`, () => {
    const scalar = writer.emit('Reshape', [count, writer.integers([], [0])]);
    const range = writer.emit('Range', [writer.integers([0], []), scalar, writer.integers([1], [])]);
    const column = writer.emit('Unsqueeze', [range, writer.integers([1])]);
    const times = (value: string, columns: number): string =>
      writer.emit('Expand', [value, writer.emit('Concat', [count, writer.integers([columns])], { axis: 0n })]);
    const turned = times(column, heads - passing);
    const all = passing === 0 ? turned : writer.emit('Concat', [turned, times(count, passing)], { axis: 1n });
    return writer.emit('Reshape', [all, writer.integers([-1, 1])]);
  });
  // each head as a sequence of one token
  const flat = writer.emit('Reshape', [x, writer.integers([-1, 1, size])]);
  const inputs = [flat, places, table(cos, 1), table(sin, 0)];
  const turned = writer.emit('RotaryEmbedding', inputs, { num_heads: 1n }, 'com.microsoft');
  return writer.emit('Reshape', [turned, writer.integers([-1, heads, size])]);
}

/** A product of two matrices, added to the matrix `addend` where one is given. */
export function lowerProduct(
  node: Node<'matmul'>,
  writer: GraphWriter,
  inputs: readonly string[],
  addend?: string,
): string {
  return writer.emit('Gemm', addend === undefined ? inputs : [...inputs, addend], productFlags(node));
}

function productFlags(node: Node<'matmul'>): { transA: bigint; transB: bigint; alpha: number } {
  const { transposeA, transposeB, alpha } = node.attributes;
  return { transA: transposeA ? 1n : 0n, transB: transposeB ? 1n : 0n, alpha };
}

function swapLastTwo(rank: number): bigint[] {
  const axes = Array.from({ length: rank }, (_, i) => BigInt(i));
  return [...axes.slice(0, -2), axes[rank - 1]!, axes[rank - 2]!];
}
