/** A graph as text, one node a line, for snapshots and for people. */
import { type Node, reachableNodes } from './node.ts';
import { formatShape } from './shape.ts';

function formatAttributes(node: Node): string {
  const entries = Object.entries(node.attributes).filter(([, value]) => value !== false);
  return entries.map(([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`).join(' ');
}

/** One node: `%3 = matmul(%1, %2) transposeB=true : float32[N,8]`. */
export function formatNode(node: Node, name: (node: Node) => string = (n) => `%${n.id}`): string {
  const attributes = formatAttributes(node);
  return `${name(node)} = ${node.op}(${node.inputs.map(name).join(', ')})${attributes ? ` ${attributes}` : ''} : ${node.dtype}${formatShape(node.shape)}`;
}

/** The whole graph, nodes numbered in order of creation from %0, last line the outputs. */
export function printGraph(outputs: Readonly<Record<string, Node>>): string {
  const nodes = reachableNodes(Object.values(outputs));
  const numbers = new Map(nodes.map((node, i) => [node, `%${i}`]));
  const name = (node: Node): string => numbers.get(node)!;
  const lines = nodes.map((node) => formatNode(node, name));
  lines.push(
    `return ${Object.entries(outputs)
      .map(([key, node]) => `${key}=${name(node)}`)
      .join(', ')}`,
  );
  return lines.join('\n');
}
