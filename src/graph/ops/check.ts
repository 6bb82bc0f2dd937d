/** Shared checks of the builders. */
import { ShapeError } from '../../errors.ts';
import type { DType } from '../dtype.ts';
import type { Node } from '../node.ts';

/** Throws ShapeError unless `holds`. */
export function require(holds: boolean, op: string, requirement: string, actual: () => string): void {
  if (!holds) throw new ShapeError('shape-mismatch', { op, requirement, actual: actual() });
}

/** Throws ShapeError unless all nodes have one of the dtypes, and all the same one. */
export function requireDtype(op: string, nodes: readonly Node[], allowed: readonly DType[]): DType {
  const dtype = nodes[0]!.dtype;
  require(nodes.every((node) => node.dtype === dtype) &&
    allowed.includes(dtype), op, `inputs must share one dtype of ${allowed.join(', ')}`, () =>
    nodes.map((node) => node.dtype).join(', '));
  return dtype;
}

/** Types that arithmetic takes. */
export const arithmeticTypes: readonly DType[] = ['float32', 'int64', 'int32'];
