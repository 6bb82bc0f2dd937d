/** Sums that a matrix product computes by itself, for the lowering and for the plan of the memory. */
import { countUses, type Node } from './node.ts';
import { sameShape } from './shape.ts';

/**
 * Sums whose one term is a matrix product that nobody else needs: the product then adds to the other term by itself,
 * which saves a tensor and a pass. Of two such terms the younger is taken, an adapter's rather than the frozen layer's.
 */
export function accumulatedProducts(nodes: readonly Node[], outputs: readonly Node[]): Map<Node, Node<'matmul'>> {
  const uses = countUses(nodes, outputs);
  const result = new Map<Node, Node<'matmul'>>();
  for (const node of nodes) {
    if (node.op !== 'add') continue;
    const [a, b] = node.inputs as [Node, Node];
    const fits = (term: Node): term is Node<'matmul'> =>
      term.op === 'matmul' && term.shape.length === 2 && uses.get(term) === 1 && sameShape(term.shape, node.shape);
    const candidates = [a, b].filter(fits).sort((x, y) => y.id - x.id);
    if (candidates[0] && a !== b) result.set(node, candidates[0]);
  }
  return result;
}
