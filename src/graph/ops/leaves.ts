/** Nodes without inputs. */
import type { DType } from '../dtype.ts';
import { makeNode, type Node } from '../node.ts';
import type { Shape } from '../shape.ts';
import { elementCount } from '../shape.ts';
import { require } from './check.ts';

/** A tensor that is given at each run. */
export function input(name: string, dtype: DType, shape: Shape): Node<'input'> {
  return makeNode('input', [], { name }, dtype, shape);
}

/** A frozen weight of the checkpoint, in the dtype it is stored in. */
export function weight(name: string, dtype: DType, shape: readonly number[]): Node<'weight'> {
  return makeNode('weight', [], { name }, dtype, shape);
}

/** A small constant tensor. */
export function constant(
  values: readonly number[],
  shape: readonly number[],
  dtype: DType = 'float32',
): Node<'constant'> {
  require(values.length === elementCount(shape), 'constant', `the shape must hold ${values.length} values`, () =>
    `[${shape.join(',')}]`);
  return makeNode('constant', [], { values }, dtype, shape);
}

/** A constant of rank 0. */
export function scalar(value: number, dtype: DType = 'float32'): Node<'constant'> {
  return constant([value], [], dtype);
}
