/** Elementwise operations; two inputs broadcast as in numpy. */
import type { DType } from '../dtype.ts';
import { makeNode, type Node } from '../node.ts';
import { broadcastShapes } from '../shape.ts';
import { arithmeticTypes, requireDtype } from './check.ts';

type Binary = 'add' | 'sub' | 'mul' | 'div';
type Unary = 'neg' | 'exp' | 'log' | 'sqrt' | 'tanh' | 'sigmoid' | 'silu' | 'erf';
type Comparison = 'greaterOrEqual' | 'less' | 'equal';

function binary<O extends Binary>(op: O, a: Node, b: Node): Node<O> {
  const dtype = requireDtype(op, [a, b], arithmeticTypes);
  return makeNode<Binary>(op, [a, b], {}, dtype, broadcastShapes(op, a.shape, b.shape)) as Node<O>;
}
function unary<O extends Unary>(op: O, a: Node): Node<O> {
  return makeNode<Unary>(op, [a], {}, requireDtype(op, [a], ['float32']), a.shape) as Node<O>;
}
function comparison<O extends Comparison>(op: O, a: Node, b: Node): Node<O> {
  requireDtype(op, [a, b], arithmeticTypes);
  return makeNode<Comparison>(op, [a, b], {}, 'bool', broadcastShapes(op, a.shape, b.shape)) as Node<O>;
}

export const add = (a: Node, b: Node): Node<'add'> => binary('add', a, b);
export const sub = (a: Node, b: Node): Node<'sub'> => binary('sub', a, b);
export const mul = (a: Node, b: Node): Node<'mul'> => binary('mul', a, b);
export const div = (a: Node, b: Node): Node<'div'> => binary('div', a, b);
export const neg = (a: Node): Node<'neg'> => unary('neg', a);
export const exp = (a: Node): Node<'exp'> => unary('exp', a);
export const log = (a: Node): Node<'log'> => unary('log', a);
export const sqrt = (a: Node): Node<'sqrt'> => unary('sqrt', a);
export const tanh = (a: Node): Node<'tanh'> => unary('tanh', a);
export const sigmoid = (a: Node): Node<'sigmoid'> => unary('sigmoid', a);
/** x sigmoid(x), also called swish (Elfwing et al. 2017). */
export const silu = (a: Node): Node<'silu'> => unary('silu', a);
/**
 * x Phi(x) with the normal distribution's Phi (Hendrycks and Gimpel 2016), or its usual approximation
 * x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), which GPT-2, Phi and Gemma were trained with.
 */
export function gelu(a: Node, approximation: 'none' | 'tanh'): Node<'gelu'> {
  return makeNode('gelu', [a], { approximation }, requireDtype('gelu', [a], ['float32']), a.shape);
}
export const erf = (a: Node): Node<'erf'> => unary('erf', a);
export const greaterOrEqual = (a: Node, b: Node): Node<'greaterOrEqual'> => comparison('greaterOrEqual', a, b);
export const less = (a: Node, b: Node): Node<'less'> => comparison('less', a, b);
export const equal = (a: Node, b: Node): Node<'equal'> => comparison('equal', a, b);

/** Both, of two bool tensors. */
export function and(a: Node, b: Node): Node<'and'> {
  requireDtype('and', [a, b], ['bool']);
  return makeNode('and', [a, b], {}, 'bool', broadcastShapes('and', a.shape, b.shape));
}

/** `a` where `condition` (bool) holds, else `b`. */
export function where(condition: Node, a: Node, b: Node): Node<'where'> {
  requireDtype('where', [condition], ['bool']);
  const dtype = requireDtype('where', [a, b], arithmeticTypes);
  const shape = broadcastShapes('where', condition.shape, broadcastShapes('where', a.shape, b.shape));
  return makeNode('where', [condition, a, b], {}, dtype, shape);
}

/** Another element type; a node that has it already is returned as it is. */
export function cast(a: Node, to: DType): Node {
  return a.dtype === to ? a : makeNode('cast', [a], { to }, to, a.shape);
}
