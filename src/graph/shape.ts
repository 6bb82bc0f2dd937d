/** Shapes with symbolic dimensions: a number is known, a name ("N", "B", "T") stands for the same unknown wherever it occurs. */
import { ShapeError } from '../errors.ts';

export type Dim = number | string;
export type Shape = readonly Dim[];

/** `[2,N,64]` as text. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(',')}]`;
}

/** Whether two shapes are the same, dimension by dimension. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** Number of elements. Throws ShapeError where a dimension is symbolic. */
export function elementCount(shape: Shape): number {
  let count = 1;
  for (const dim of shape) {
    if (typeof dim !== 'number') {
      throw new ShapeError('shape-mismatch', {
        op: 'elementCount',
        requirement: 'every dimension must be a number',
        actual: formatShape(shape),
      });
    }
    count *= dim;
  }
  return count;
}

/** The numpy broadcast of two shapes; `op` names the caller in the error. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  const result: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x === y || y === 1) result.push(x);
    else if (x === 1) result.push(y);
    else {
      throw new ShapeError('shape-mismatch', {
        op,
        requirement: 'the shapes must broadcast',
        actual: `${formatShape(a)} and ${formatShape(b)}`,
      });
    }
  }
  return result;
}

/** Turns a negative axis into its position; throws ShapeError where it lies outside. */
export function normalizeAxis(op: string, axis: number, rank: number): number {
  const position = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(position) || position < 0 || position >= rank) {
    throw new ShapeError('shape-mismatch', {
      op,
      requirement: `the axis must lie in [${-rank}, ${rank - 1}]`,
      actual: String(axis),
    });
  }
  return position;
}
