/**
 * The table of operations: for each, how to build it again on other inputs, and its gradient. `build` is the shape rule;
 * `gradient` maps the gradient dy of the result to the gradients of the inputs, as graph. Adding an operation is a row
 * in `OpAttributes`, a builder in `ops/`, a row here and a row in the lowering table; the compiler asks for each.
 */
import type { Node, OpAttributes, OpName } from './node.ts';
import * as ops from './ops/index.ts';

/** Gradients of the inputs in order; `null` where none flows. `wanted[i]` tells which of them anyone needs. */
export type GradientRule<O extends OpName> = (
  node: Node<O>,
  dy: Node,
  wanted: readonly boolean[],
) => readonly (Node | null)[];

interface Operation<O extends OpName> {
  readonly build: (inputs: readonly Node[], attributes: OpAttributes[O], node: Node<O>) => Node;
  /** `null`: not differentiable, or constant almost everywhere. */
  readonly gradient: GradientRule<O> | null;
}

const { add, mul, neg, sub, div, scalar, sumTo, matmul } = ops;

/** An operation of one differentiable input. */
function unary<O extends OpName>(
  build: (a: Node) => Node,
  gradient: (x: Node, y: Node, dy: Node) => Node,
): Operation<O> {
  return {
    build: ([a]) => build(a!),
    gradient: (node, dy) => [gradient(node.inputs[0]!, node, dy)],
  };
}

/** An operation of two broadcasting inputs, whose gradients are given before summing over the broadcast axes. */
function binary<O extends OpName>(
  build: (a: Node, b: Node) => Node,
  gradientA: (a: Node, b: Node, y: Node, dy: Node) => Node,
  gradientB: (a: Node, b: Node, y: Node, dy: Node) => Node,
): Operation<O> {
  return {
    build: ([a, b]) => build(a!, b!),
    gradient: (node, dy, wanted) => {
      const [a, b] = node.inputs as [Node, Node];
      return [
        wanted[0] ? sumTo(gradientA(a, b, node, dy), a.shape) : null,
        wanted[1] ? sumTo(gradientB(a, b, node, dy), b.shape) : null,
      ];
    },
  };
}

const one = (): Node => scalar(1);

/** Every operation of the vocabulary. */
export const operations: { readonly [O in OpName]: Operation<O> } = {
  input: { build: (_, __, node) => node, gradient: null },
  weight: { build: (_, __, node) => node, gradient: null },
  constant: { build: (_, __, node) => node, gradient: null },

  add: binary(
    ops.add,
    (_a, _b, _y, dy) => dy,
    (_a, _b, _y, dy) => dy,
  ),
  sub: binary(
    ops.sub,
    (_a, _b, _y, dy) => dy,
    (_a, _b, _y, dy) => neg(dy),
  ),
  mul: binary(
    ops.mul,
    (_a, b, _y, dy) => mul(dy, b),
    (a, _b, _y, dy) => mul(dy, a),
  ),
  div: binary(
    ops.div,
    (_a, b, _y, dy) => div(dy, b),
    (_a, b, y, dy) => neg(div(mul(dy, y), b)),
  ),
  neg: unary(ops.neg, (_x, _y, dy) => neg(dy)),
  exp: unary(ops.exp, (_x, y, dy) => mul(dy, y)),
  log: unary(ops.log, (x, _y, dy) => div(dy, x)),
  sqrt: unary(ops.sqrt, (_x, y, dy) => div(mul(dy, scalar(0.5)), y)),
  tanh: unary(ops.tanh, (_x, y, dy) => mul(dy, sub(one(), mul(y, y)))),
  sigmoid: unary(ops.sigmoid, (_x, y, dy) => mul(dy, mul(y, sub(one(), y)))),
  // s + y (1 - s) with s = sigmoid(x): y is at hand, so that x is read once only
  silu: unary(ops.silu, (x, y, dy) => {
    const s = ops.sigmoid(x);
    return mul(dy, add(s, mul(y, sub(one(), s))));
  }),
  gelu: {
    build: ([a], { approximation }) => ops.gelu(a!, approximation),
    gradient: (node, dy) => {
      const x = node.inputs[0]!;
      return [mul(dy, node.attributes.approximation === 'tanh' ? tanhGeluSlope(x) : geluSlope(x))];
    },
  },
  erf: unary(ops.erf, (x, _y, dy) => mul(dy, mul(scalar(2 / Math.sqrt(Math.PI)), ops.exp(neg(mul(x, x)))))),
  cast: {
    build: ([a], { to }) => ops.cast(a!, to),
    gradient: (node, dy) => [node.inputs[0]!.dtype === 'bool' ? null : ops.cast(dy, node.inputs[0]!.dtype)],
  },

  greaterOrEqual: { build: ([a, b]) => ops.greaterOrEqual(a!, b!), gradient: null },
  less: { build: ([a, b]) => ops.less(a!, b!), gradient: null },
  equal: { build: ([a, b]) => ops.equal(a!, b!), gradient: null },
  and: { build: ([a, b]) => ops.and(a!, b!), gradient: null },
  where: {
    build: ([condition, a, b]) => ops.where(condition!, a!, b!),
    gradient: (node, dy, wanted) => {
      const [condition, a, b] = node.inputs as [Node, Node, Node];
      const zero = scalar(0);
      return [
        null,
        wanted[1] ? sumTo(ops.where(condition, dy, zero), a.shape) : null,
        wanted[2] ? sumTo(ops.where(condition, zero, dy), b.shape) : null,
      ];
    },
  },

  reduceSum: {
    build: ([a], { axes }) => ops.reduceSum(a!, axes),
    gradient: (node, dy) => [ops.expand(dy, node.inputs[0]!.shape)],
  },
  reduceMean: {
    build: ([a], { axes }) => ops.reduceMean(a!, axes),
    gradient: (node, dy) => {
      const a = node.inputs[0]!;
      let count = 1;
      for (const axis of node.attributes.axes) {
        const dim = a.shape[axis]!;
        if (typeof dim === 'string')
          throw new TypeError(`reduceMean over the symbolic axis ${dim} has no gradient rule`);
        count *= dim;
      }
      return [ops.expand(mul(dy, scalar(1 / count)), a.shape)];
    },
  },
  // used for numerical safety only, where the result cancels
  reduceMax: { build: ([a], { axes }) => ops.reduceMax(a!, axes), gradient: null },

  matmul: {
    build: ([a, b], attributes) => matmul(a!, b!, attributes),
    gradient: (node, dy, wanted) => {
      const [a, b] = node.inputs as [Node, Node];
      const { transposeA, transposeB, alpha } = node.attributes;
      const da = (): Node =>
        transposeA
          ? matmul(b, dy, { transposeA: transposeB, transposeB: true, alpha })
          : dy.op === 'crossEntropyGradient' && transposeB
            ? labelledProduct(dy, b, alpha)
            : matmul(dy, b, { transposeB: !transposeB, alpha });
      const db = (): Node =>
        transposeB
          ? matmul(dy, a, { transposeA: true, transposeB: transposeA, alpha })
          : matmul(a, dy, { transposeA: !transposeA, alpha });
      return [wanted[0] ? da() : null, wanted[1] ? db() : null];
    },
  },

  // the gradient of the two thin products that the adapter is: the weight is frozen
  adaptedMatmul: {
    build: ([x, weight, a, b], attributes) => ops.adaptedMatmul(x!, weight!, a!, b!, attributes),
    gradient: (node, dy, wanted) => {
      const [x, weight, a, b] = node.inputs as [Node, Node, Node, Node];
      const { transposeB, scale } = node.attributes;
      const low = wanted[3] ? matmul(x, a, { transposeB: true }) : null;
      const dLow = matmul(dy, b, { alpha: scale });
      return [
        wanted[0] ? add(matmul(dy, weight, { transposeB: !transposeB }), matmul(dLow, a)) : null,
        null,
        wanted[2] ? matmul(dLow, x, { transposeA: true }) : null,
        low && matmul(dy, low, { transposeA: true, alpha: scale }),
      ];
    },
  },

  mergedWeight: {
    build: ([weight, a, b], { scale }) => ops.mergedWeight(weight!, a!, b!, scale),
    gradient: null,
  },

  // the weight is frozen: only x has a gradient
  quantizedMatmul: {
    build: ([x, ...parts], { layout, transposeB }) => ops.quantizedMatmul(x!, parts, layout, transposeB),
    gradient: (node, dy) => {
      const [, ...parts] = node.inputs;
      const { layout, transposeB } = node.attributes;
      return [ops.quantizedMatmul(dy, parts, layout, !transposeB), ...parts.map(() => null)];
    },
  },

  groupedMatmul: {
    build: (inputs, attributes) =>
      ops.groupedMatmul(inputs[0]!, inputs[1]!, ops.groupedWeights(inputs, attributes), attributes),
    gradient: (node, dy, wanted) => {
      const [x, bounds] = node.inputs as [Node, Node];
      const { attributes } = node;
      const { transposeB, alpha } = attributes;
      const dx = (): Node =>
        ops.groupedMatmul(dy, bounds, ops.groupedWeights(node.inputs, attributes), {
          ...attributes,
          transposeB: !transposeB,
        });
      // weights in codes and in half floats are frozen
      const dWeight = (group: number): Node =>
        transposeB ? ops.groupedOuter(dy, x, bounds, group, alpha) : ops.groupedOuter(x, dy, bounds, group, alpha);
      return [
        wanted[0] ? dx() : null,
        null,
        ...node.inputs.slice(2).map((_, e) => (wanted[e + 2] ? dWeight(e) : null)),
      ];
    },
  },
  groupedOuter: {
    build: ([a, b, bounds], { group, alpha }) => ops.groupedOuter(a!, b!, bounds!, group, alpha),
    gradient: null,
  },
  order: { build: ([a], { direction, count }) => ops.order(a!, direction, count), gradient: null },

  // the exact gradient of the product in f32; the other direction reads the weight as it lies for it
  // decoding only
  blockCodesMatmul: {
    build: ([x, codes, scales], { layout }) => ops.blockCodesMatmul(x!, [codes!, scales!], layout),
    gradient: null,
  },
  integerMatmul: {
    build: ([x, matrix, scales], { layout, transposeB }) =>
      ops.integerMatmul(x!, [matrix!, scales!], layout, transposeB),
    gradient: (node, dy) => {
      const { layout, transposeB } = node.attributes;
      const { gradient } = layout.integer;
      if (typeof gradient === 'number') {
        return [ops.integerMatmul(dy, ops.otherWay(node), layout, !transposeB), null, null];
      }
      const table = ops.cast(ops.weight(gradient.name, gradient.dtype, layout.shape), 'float32');
      const isLabelled = dy.op === 'crossEntropyGradient' && transposeB;
      return [isLabelled ? labelledProduct(dy, table, 1) : matmul(dy, table, { transposeB: !transposeB }), null, null];
    },
  },

  reshape: {
    build: ([a], { shape }) => ops.reshape(a!, shape),
    gradient: (node, dy) => [ops.reshape(dy, node.inputs[0]!.shape)],
  },
  expand: {
    build: ([a], { shape }) => ops.expand(a!, shape),
    gradient: (node, dy) => [sumTo(dy, node.inputs[0]!.shape)],
  },
  transpose: {
    build: ([a], { permutation }) => ops.transpose(a!, permutation),
    gradient: (node, dy) => {
      const inverse: number[] = [];
      node.attributes.permutation.forEach((axis, i) => {
        inverse[axis] = i;
      });
      return [ops.transpose(dy, inverse)];
    },
  },
  concat: {
    build: (inputs, { axis, total }) => ops.concat(inputs, axis, total),
    gradient: (node, dy, wanted) => {
      const { axis } = node.attributes;
      let start = 0;
      return node.inputs.map((part, i) => {
        const end = start + (part.shape[axis] as number);
        const piece = wanted[i] ? ops.slice(dy, axis, start, end) : null;
        start = end;
        return piece;
      });
    },
  },
  slice: {
    build: ([a], { axis, start, end }) => ops.slice(a!, axis, start, end),
    gradient: (node, dy) => {
      const a = node.inputs[0]!;
      const { axis, start, end } = node.attributes;
      const size = a.shape[axis] as number;
      const zeros = (length: number): Node =>
        ops.expand(
          scalar(0),
          a.shape.map((dim, i) => (i === axis ? length : dim)),
        );
      const parts = [dy];
      if (start > 0) parts.unshift(zeros(start));
      if (end < size) parts.push(zeros(size - end));
      return [ops.concat(parts, axis)];
    },
  },

  gather: {
    build: ([a, index]) => ops.gather(a!, index!),
    gradient: (node, dy) => [ops.scatterAdd(dy, node.inputs[1]!, node.inputs[0]!.shape[0]!), null],
  },
  scatterAdd: {
    build: ([a, index], { rows }) => ops.scatterAdd(a!, index!, rows),
    gradient: (node, dy) => [ops.gather(dy, node.inputs[1]!), null],
  },
  permuteRows: {
    build: ([a, index, inverse], { fill }) => ops.permuteRows(a!, index!, inverse!, fill),
    gradient: (node, dy) => {
      const [, index, inverse] = node.inputs as [Node, Node, Node];
      const fill = node.attributes.fill === 'none' ? 'zero' : 'none';
      return [ops.permuteRows(dy, inverse, index, fill), null, null];
    },
  },

  // decoding only
  jointSoftmax: { build: ([a, b, bias], { part }) => ops.jointSoftmax(a!, b!, bias!, part), gradient: null },
  softmax: unary(ops.softmax, (_x, y, dy) => mul(y, sub(dy, ops.reduceSum(mul(dy, y), [-1])))),
  rmsNorm: {
    build: ([x, gain], { epsilon }) => ops.rmsNorm(x!, gain!, epsilon),
    gradient: (node, dy, wanted) => {
      const [x, gain] = node.inputs as [Node, Node];
      const inverseRoot = ops.rmsScale(x, gain, node.attributes.epsilon);
      // r (g - x mean(g x) r^2) with r the inverse root and g = dy gain: the fewest passes over the rows
      const dx = (): Node => {
        const g = mul(dy, gain);
        const projection = mul(ops.reduceMean(mul(g, x), [-1]), mul(inverseRoot, inverseRoot));
        return mul(sub(g, mul(x, projection)), inverseRoot);
      };
      const dGain = (): Node => sumTo(mul(dy, mul(x, inverseRoot)), gain.shape);
      return [wanted[0] ? dx() : null, wanted[1] ? dGain() : null];
    },
  },
  rmsScale: { build: ([x, gain], { epsilon }) => ops.rmsScale(x!, gain!, epsilon), gradient: null },
  layerNorm: {
    build: ([x, gain, bias], { epsilon }) => ops.layerNorm(x!, gain!, bias!, epsilon),
    gradient: (node, dy, wanted) => {
      const [x, gain, bias] = node.inputs as [Node, Node, Node];
      const centred = sub(x, ops.reduceMean(x, [-1]));
      const variance = ops.reduceMean(mul(centred, centred), [-1]);
      const inverseRoot = div(one(), ops.sqrt(add(variance, scalar(node.attributes.epsilon))));
      const normalized = mul(centred, inverseRoot);
      const dx = (): Node => {
        const g = mul(dy, gain);
        const along = mul(normalized, ops.reduceMean(mul(g, normalized), [-1]));
        return mul(inverseRoot, sub(sub(g, ops.reduceMean(g, [-1])), along));
      };
      return [
        wanted[0] ? dx() : null,
        wanted[1] ? sumTo(mul(dy, normalized), gain.shape) : null,
        wanted[2] ? sumTo(dy, bias.shape) : null,
      ];
    },
  },
  // turning back by the same angle
  rotary: {
    build: ([x, cos, sin], { passing }) => ops.rotary(x!, cos!, sin!, passing),
    gradient: (node, dy) => [
      ops.rotary(dy, node.inputs[1]!, neg(node.inputs[2]!), node.attributes.passing),
      null,
      null,
    ],
  },
  crossEntropy: {
    build: ([logits, probabilities, labels]) => ops.crossEntropy(logits!, probabilities!, labels!),
    gradient: (node, dy) => {
      const [, probabilities, labels] = node.inputs as [Node, Node, Node];
      return [ops.crossEntropyGradient(probabilities, labels, dy), null, null];
    },
  },
  crossEntropyGradient: {
    build: ([probabilities, labels, dy]) => ops.crossEntropyGradient(probabilities!, labels!, dy!),
    gradient: null,
  },
  causalAttention: {
    build: (inputs, { rule, form }) => ops.makeAttention(inputs, rule, form),
    gradient: (node, dy, wanted) => {
      const { rule, form } = node.attributes;
      const parts = (['q', 'k', 'v'] as const).map((of, i) =>
        wanted[i] ? ops.causalAttentionGradient(node.inputs, node, dy, rule, form, of) : null,
      );
      return [...parts, null, null, null];
    },
  },
  causalAttentionGradient: {
    build: (inputs, { rule, form, of }) =>
      ops.causalAttentionGradient(inputs.slice(0, -2), inputs.at(-2)!, inputs.at(-1)!, rule, form, of),
    gradient: null,
  },
  cut: { build: ([a], { index }) => ops.cut(a!, index), gradient: (_node, dy) => [dy] },
};

/** Phi(x) + x phi(x). */
function geluSlope(x: Node): Node {
  const cumulative = mul(scalar(0.5), add(one(), ops.erf(mul(x, scalar(Math.SQRT1_2)))));
  const density = mul(scalar(1 / Math.sqrt(2 * Math.PI)), ops.exp(mul(scalar(-0.5), mul(x, x))));
  return add(cumulative, mul(x, density));
}

/** (1 + t)/2 + x/2 (1 - t^2) u' with t = tanh(u), u = c (x + 0.044715 x^3). */
function tanhGeluSlope(x: Node): Node {
  const c = Math.sqrt(2 / Math.PI);
  const square = mul(x, x);
  const t = ops.tanh(mul(x, add(scalar(c), mul(scalar(c * 0.044715), square))));
  const inner = add(scalar(c), mul(scalar(c * 3 * 0.044715), square));
  const slope = mul(sub(one(), mul(t, t)), mul(x, inner));
  return mul(scalar(0.5), add(add(one(), t), slope));
}

/** (p - onehot(label)) * dy times a table [V, D] without the [R, V] tensor: the one-hot part is just a row of the table. */
function labelledProduct(gradient: Node, table: Node, alpha: number): Node {
  const [probabilities, labels, dy] = gradient.inputs as [Node, Node, Node];
  const rows = ops.gather(table, ops.reshape(labels, [labels.shape[0]!]));
  const product = mul(sub(matmul(probabilities, table), rows), dy);
  return alpha === 1 ? product : mul(product, scalar(alpha));
}

/** The node with other inputs; attributes and shape rule stay. */
export function rebuild<O extends OpName>(node: Node<O>, inputs: readonly Node[]): Node {
  return operations[node.op].build(inputs, node.attributes, node);
}

/** The gradients of the node's inputs, or `null` where the operation has none. */
export function gradientOf<O extends OpName>(
  node: Node<O>,
  dy: Node,
  wanted: readonly boolean[],
): readonly (Node | null)[] | null {
  const rule = operations[node.op].gradient;
  return rule ? rule(node, dy, wanted) : null;
}
