/**
 * What a segment's forward program leaves for its backward program, so that this need not multiply again: results of products,
 * which take long to compute for the room that they take. What is made of them value by value is computed again.
 */
import * as g from '../graph/index.ts';

const products: ReadonlySet<g.OpName> = new Set(['matmul', 'adaptedMatmul', 'quantizedMatmul', 'integerMatmul']);

/** Multiplications for each token of the products with weights that the outputs need where some nodes are given. */
function multiplications(outputs: readonly g.Node[], given: ReadonlySet<g.Node>): number {
  const seen = new Set(given);
  const stack = [...outputs];
  let sum = 0;
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (seen.has(node)) continue;
    seen.add(node);
    stack.push(...node.inputs);
    const { op, inputs, shape } = node;
    if (!products.has(op) || shape[0] !== 'N' || shape.length !== 2) continue;
    sum += (shape[1] as number) * (inputs[0]!.shape[1] as number);
  }
  return sum;
}

/** Values of a node for each token. */
export function valuesPerToken({ shape }: g.Node): number {
  return shape.slice(1).reduce<number>((product, size) => product * Number(size), 1);
}

/**
 * The nodes of the forward part that save most multiplications of the backward part for each value that is kept, until nothing
 * is saved any more.
 * @param end the segment's result; @param backward the gradients' nodes, which read those of the forward part.
 */
export function productsToKeep(end: g.Node, backward: readonly g.Node[]): g.Node[] {
  const forward = new Set(g.reachableNodes([end]));
  const read = new Set<g.Node>();
  for (const node of g.reachableNodes(backward)) {
    if (!forward.has(node)) for (const input of node.inputs) if (forward.has(input)) read.add(input);
  }
  let candidates = [...read].filter(
    ({ op, shape, dtype }) =>
      op !== 'input' && op !== 'weight' && op !== 'constant' && dtype === 'float32' && shape[0] === 'N',
  );
  const chosen: g.Node[] = [];
  let left = multiplications(backward, new Set());
  while (candidates.length > 0) {
    const trials = candidates.map((node) => {
      const count = multiplications(backward, new Set([...chosen, node]));
      return { node, count, gain: (left - count) / valuesPerToken(node) };
    });
    const best = trials.reduce((a, b) => (b.gain > a.gain ? b : a));
    if (best.gain <= 0) break;
    chosen.push(best.node);
    left = best.count;
    // what saves nothing beside fewer others saves nothing beside more
    candidates = trials.filter(({ node, gain }) => gain > 0 && node !== best.node).map(({ node }) => node);
  }
  return chosen.sort((a, b) => a.id - b.id);
}

/** The backward part with kept nodes as inputs, by the name of each. */
export function replaced(
  backward: readonly g.Node[],
  kept: readonly g.Node[],
  name: (index: number) => string,
): g.Node[] {
  return g.substitute(backward, new Map(kept.map((node, i) => [node, g.input(name(i), node.dtype, node.shape)])));
}
