/** Reverse-mode differentiation, graph to graph. Only nodes on a path from `wrt` to the outputs get a gradient. */
import { add, gradientOf, type Node, reachableNodes } from '../graph/index.ts';

/**
 * Gradients of sum_k sum(seed_k * output_k) with respect to each node of `wrt`.
 * @param seeds for each output, the gradient that arrives there (same shape as the output).
 * @returns one gradient per node of `wrt`, of its shape; `null` where no path leads to it.
 */
export function gradients(
  seeds: readonly { readonly output: Node; readonly seed: Node }[],
  wrt: readonly Node[],
): (Node | null)[] {
  const nodes = reachableNodes(seeds.map(({ output }) => output));
  const targets = new Set(wrt);
  const depends = new Set<Node>();
  for (const node of nodes) {
    if (targets.has(node) || node.inputs.some((input) => depends.has(input))) depends.add(node);
  }
  const arrived = new Map<Node, Node>();
  const accumulate = (node: Node, gradient: Node): void => {
    const earlier = arrived.get(node);
    arrived.set(node, earlier ? add(earlier, gradient) : gradient);
  };
  for (const { output, seed } of seeds) accumulate(output, seed);
  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i]!;
    const dy = arrived.get(node);
    if (dy === undefined || !depends.has(node)) continue;
    const wanted = node.inputs.map((input) => depends.has(input));
    if (!wanted.includes(true)) continue;
    const flows = gradientOf(node, dy, wanted);
    if (!flows) continue;
    node.inputs.forEach((input, k) => {
      const flow = flows[k];
      if (flow && wanted[k]) accumulate(input, flow);
    });
  }
  return wrt.map((node) => arrived.get(node) ?? null);
}
