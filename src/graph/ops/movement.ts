/** Operations that move elements and compute nothing. */
import { makeNode, type Node } from '../node.ts';
import { broadcastShapes, type Dim, formatShape, normalizeAxis, sameShape, type Shape } from '../shape.ts';
import { require } from './check.ts';

function numbersProduct(shape: Shape): number {
  return shape.reduce<number>((product, dim) => (typeof dim === 'number' ? product * dim : product), 1);
}
function names(shape: Shape): string {
  return shape
    .filter((dim) => typeof dim === 'string')
    .sort()
    .join();
}

/** The same elements in row-major order under another shape. Symbolic dimensions are checked at run time where they differ by name. */
export function reshape(a: Node, shape: Shape): Node {
  if (sameShape(a.shape, shape)) return a;
  require(names(a.shape) !== names(shape) ||
    numbersProduct(a.shape) ===
      numbersProduct(shape), 'reshape', `the number of elements of ${formatShape(shape)}`, () => formatShape(a.shape));
  const source = a.op === 'reshape' ? a.inputs[0]! : a;
  if (sameShape(source.shape, shape)) return source;
  return makeNode('reshape', [source], { shape }, a.dtype, shape);
}

/** Repeats dimensions of size 1 up to `shape`. */
export function expand(a: Node, shape: Shape): Node {
  if (sameShape(a.shape, shape)) return a;
  require(sameShape(
    broadcastShapes('expand', a.shape, shape),
    shape,
  ), 'expand', `a shape that broadcasts to ${formatShape(shape)}`, () => formatShape(a.shape));
  return makeNode('expand', [a], { shape }, a.dtype, shape);
}

/** Axes in another order: result axis i is axis `permutation[i]` of `a`. */
export function transpose(a: Node, permutation: readonly number[]): Node<'transpose'> {
  require([...permutation].sort((x, y) => x - y).every((axis, i) => axis === i) &&
    permutation.length === a.shape.length, 'transpose', `a permutation of the ${a.shape.length} axes`, () =>
    permutation.join());
  const shape = permutation.map((axis) => a.shape[axis]!);
  return makeNode('transpose', [a], { permutation }, a.dtype, shape);
}

/** Slices of one tensor that lie side by side along the axis, as one. */
function mergeNeighbours(parts: readonly Node[], axis: number): readonly Node[] {
  const merged: Node[] = [];
  for (const part of parts) {
    const before = merged.at(-1);
    if (before?.op === 'slice' && part.op === 'slice' && before.inputs[0] === part.inputs[0]) {
      const left = (before as Node<'slice'>).attributes;
      const right = (part as Node<'slice'>).attributes;
      if (left.axis === axis && right.axis === axis && left.end === right.start) {
        merged[merged.length - 1] = slice(part.inputs[0]!, axis, left.start, right.end);
        continue;
      }
    }
    merged.push(part);
  }
  return merged;
}

/**
 * Tensors one after the other along an axis; all other dimensions are equal.
 * @param total the name of the result's dimension there, where a part's is symbolic.
 */
export function concat(given: readonly Node[], axis: number, total?: string): Node {
  const position = normalizeAxis('concat', axis, given[0]!.shape.length);
  const parts = mergeNeighbours(given, position);
  const first = parts[0]!;
  if (parts.length === 1) return first;
  let sum = 0;
  for (const part of parts) {
    const dim = part.shape[position];
    require(part.dtype === first.dtype &&
      part.shape.length === first.shape.length &&
      part.shape.every((d, i) => i === position || d === first.shape[i]) &&
      (typeof dim === 'number' ||
        total !==
          undefined), 'concat', `parts like ${first.dtype}${formatShape(first.shape)} apart from axis ${position}, of known size there`, () =>
      part.dtype + formatShape(part.shape));
    sum += typeof dim === 'number' ? dim : 0;
  }
  const size: Dim = total ?? sum;
  const shape = first.shape.map((dim, i): Dim => (i === position ? size : dim));
  return makeNode('concat', parts, { axis: position, ...(total === undefined ? {} : { total }) }, first.dtype, shape);
}

/** Elements `start` (inclusive) to `end` (exclusive) of an axis of known size. */
export function slice(a: Node, axis: number, start: number, end: number): Node {
  const position = normalizeAxis('slice', axis, a.shape.length);
  const dim = a.shape[position]!;
  require(typeof dim === 'number' &&
    start >= 0 &&
    start < end &&
    end <= dim, 'slice', `a non-empty range inside axis ${position} of ${formatShape(a.shape)}`, () =>
    `${start} to ${end}`);
  if (start === 0 && end === dim) return a;
  const shape = a.shape.map((d, i): Dim => (i === position ? end - start : d));
  return makeNode('slice', [a], { axis: position, start, end }, a.dtype, shape);
}

/** Identity that marks the border between segment `index` and the next one. */
export function cut(a: Node, index: number): Node<'cut'> {
  return makeNode('cut', [a], { index }, a.dtype, a.shape);
}
