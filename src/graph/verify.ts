/** Checks a graph between passes: names the first node that does not keep the rules. */
import { ShapeError } from '../errors.ts';
import { formatNode } from './print.ts';
import { type Node, reachableNodes } from './node.ts';
import { rebuild } from './operations.ts';
import { formatShape, sameShape } from './shape.ts';

/**
 * Throws ShapeError unless every node that the outputs reach has the dtype and shape its rule gives, no leaf name means
 * two different tensors, and inputs are older than their users.
 */
export function verify(outputs: readonly Node[]): void {
  const leaves = new Map<string, Node>();
  for (const node of reachableNodes(outputs)) {
    if (node.op === 'input' || node.op === 'weight') {
      const key = `${node.op} ${(node as Node<'input'>).attributes.name}`;
      const known = leaves.get(key);
      if (known && !(sameShape(known.shape, node.shape) && known.dtype === node.dtype)) {
        fail(node, `one shape and dtype under the name of ${key}`, `${known.dtype}${formatShape(known.shape)} too`);
      }
      leaves.set(key, node);
      continue;
    }
    for (const input of node.inputs) {
      if (input.id >= node.id) fail(node, 'inputs older than the node', `%${input.id}`);
    }
    const again = rebuild(node, node.inputs);
    if (again.dtype !== node.dtype || !sameShape(again.shape, node.shape)) {
      fail(node, 'the dtype and shape that its rule gives', `${again.dtype}${formatShape(again.shape)}`);
    }
  }
}

function fail(node: Node, requirement: string, actual: string): never {
  throw new ShapeError('shape-mismatch', { op: `verify ${formatNode(node)}`, requirement, actual });
}
