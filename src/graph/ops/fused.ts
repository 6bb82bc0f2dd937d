/** Operations with a kernel of their own or a gradient that is better written by hand. */
import { makeNode, type Node } from '../node.ts';
import { formatShape, sameShape } from '../shape.ts';
import { require, requireDtype } from './check.ts';

/** exp(a) over its sum along the last axis. -Infinity gives 0. */
export function softmax(a: Node): Node<'softmax'> {
  return makeNode('softmax', [a], {}, requireDtype('softmax', [a], ['float32']), a.shape);
}

/**
 * softmax of two tensors joined along the last axis and of a bias, of which one `part` is given: a f32[..., C], b f32[..., T], bias
 * f32[..., S] with S = C + T, which broadcasts to them. Both parts of the same three are computed once.
 */
export function jointSoftmax(a: Node, b: Node, bias: Node, part: 'first' | 'second'): Node<'jointSoftmax'> {
  requireDtype('jointSoftmax', [a, b, bias], ['float32']);
  require(sameShape(a.shape.slice(0, -1), b.shape.slice(0, -1)), 'jointSoftmax', 'equal leading axes', () =>
    `${formatShape(a.shape)} and ${formatShape(b.shape)}`);
  return makeNode('jointSoftmax', [a, b, bias], { part }, 'float32', part === 'first' ? a.shape : b.shape);
}

/** x / sqrt(mean(x^2) + epsilon) * gain along the last axis: x f32[..., D], gain f32[D] (Zhang and Sennrich 2019). */
export function rmsNorm(x: Node, gain: Node, epsilon: number): Node<'rmsNorm'> {
  requireDtype('rmsNorm', [x, gain], ['float32']);
  require(gain.shape.length === 1 &&
    gain.shape[0] === x.shape.at(-1), 'rmsNorm', `a gain of shape [${x.shape.at(-1)}]`, () => formatShape(gain.shape));
  return makeNode('rmsNorm', [x, gain], { epsilon }, 'float32', x.shape);
}

/** 1 / sqrt(mean(x^2) + epsilon) of each row of `rmsNorm` of the same inputs, which leaves it behind: f32[..., 1]. */
export function rmsScale(x: Node, gain: Node, epsilon: number): Node<'rmsScale'> {
  requireDtype('rmsScale', [x, gain], ['float32']);
  return makeNode('rmsScale', [x, gain], { epsilon }, 'float32', [...x.shape.slice(0, -1), 1]);
}

/** (x - mean(x)) / sqrt(variance(x) + epsilon) * gain + bias along the last axis: x f32[..., D], gain and bias f32[D] (Ba et al. 2016). */
export function layerNorm(x: Node, gain: Node, bias: Node, epsilon: number): Node<'layerNorm'> {
  requireDtype('layerNorm', [x, gain, bias], ['float32']);
  require([gain, bias].every(
    ({ shape }) => shape.length === 1 && shape[0] === x.shape.at(-1),
  ), 'layerNorm', `a gain and a bias of shape [${x.shape.at(-1)}]`, () =>
    `${formatShape(gain.shape)} and ${formatShape(bias.shape)}`);
  return makeNode('layerNorm', [x, gain, bias], { epsilon }, 'float32', x.shape);
}

/**
 * Rotary position embedding in the half-split layout (Su et al. 2021, as Hugging Face's Llama has it):
 * x f32[N, H, E], cos and sin f32[N, 1, E/2]; element i turns with element i + E/2.
 * @param passing so many heads, the last ones, stay as they are.
 */
export function rotary(x: Node, cos: Node, sin: Node, passing = 0): Node<'rotary'> {
  requireDtype('rotary', [x, cos, sin], ['float32']);
  const [n, , e] = x.shape;
  require(x.shape.length === 3 &&
    typeof e === 'number' &&
    sameShape(cos.shape, [n!, 1, e / 2]) &&
    sameShape(sin.shape, cos.shape), 'rotary', 'x of shape [N, H, E] and tables of shape [N, 1, E/2]', () =>
    [x, cos, sin].map((node) => formatShape(node.shape)).join(', '));
  return makeNode('rotary', [x, cos, sin], passing > 0 ? { passing } : {}, 'float32', x.shape);
}

/**
 * -log softmax(logits)[label] per row: logits f32[R, V], their softmax f32[R, V], labels int64[R, 1]; f32[R, 1].
 * The gradient goes to `logits` as a whole; none flows through `probabilities`.
 */
export function crossEntropy(logits: Node, probabilities: Node, labels: Node): Node<'crossEntropy'> {
  requireCrossEntropy('crossEntropy', [logits, probabilities], labels);
  return makeNode('crossEntropy', [logits, probabilities, labels], {}, 'float32', labels.shape);
}

/** (probabilities - onehot(label)) * dy: the gradient of `crossEntropy`, dy f32[R, 1]; f32[R, V]. */
export function crossEntropyGradient(probabilities: Node, labels: Node, dy: Node): Node<'crossEntropyGradient'> {
  requireCrossEntropy('crossEntropyGradient', [probabilities], labels);
  return makeNode('crossEntropyGradient', [probabilities, labels, dy], {}, 'float32', probabilities.shape);
}

function requireCrossEntropy(op: string, tables: readonly Node[], labels: Node): void {
  requireDtype(op, [labels], ['int64']);
  requireDtype(op, tables, ['float32']);
  require(tables.every(
    ({ shape }) => shape.length === 2 && sameShape(labels.shape, [shape[0]!, 1]),
  ), op, 'tables [R, V] and labels [R, 1]', () =>
    [...tables, labels].map((node) => formatShape(node.shape)).join(', '));
}
