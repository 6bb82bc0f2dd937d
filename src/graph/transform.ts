/** Graphs made of graphs: substitution, and cutting at the marked borders. */
import { type Node, reachableNodes } from './node.ts';
import { rebuild } from './operations.ts';

/** The outputs with some nodes replaced; nodes above a replaced one are built again, all others are shared. */
export function substitute(outputs: readonly Node[], replacements: ReadonlyMap<Node, Node>): Node[] {
  const result = new Map<Node, Node>(replacements);
  const pending = [...outputs];
  // depth first without recursion: graphs of whole models are deep
  for (let node = pending.at(-1); node !== undefined; node = pending.at(-1)) {
    if (result.has(node)) {
      pending.pop();
      continue;
    }
    const missing = node.inputs.filter((input) => !result.has(input));
    if (missing.length > 0) {
      pending.push(...missing);
      continue;
    }
    const inputs = node.inputs.map((input) => result.get(input)!);
    const changed = inputs.some((input, i) => input !== node.inputs[i]);
    result.set(node, changed ? rebuild(node, inputs) : node);
    pending.pop();
  }
  return outputs.map((output) => result.get(output)!);
}

/** Takes the place of a node, given what nodes before it have become; undefined: it is built again as it was. */
export type RewriteRule = (node: Node, current: (before: Node) => Node) => Node | undefined;

/** The outputs with nodes replaced as `rule` says, from the inputs up. */
export function rewrite(outputs: readonly Node[], rule: RewriteRule): Node[] {
  const result = new Map<Node, Node>();
  const current = (node: Node): Node => result.get(node)!;
  for (const node of reachableNodes(outputs)) {
    const inputs = node.inputs.map(current);
    const changed = inputs.some((input, i) => input !== node.inputs[i]);
    result.set(node, rule(node, current) ?? (changed ? rebuild(node, inputs) : node));
  }
  return outputs.map(current);
}

/** The cut nodes that the outputs reach, by index. */
export function cutNodes(outputs: readonly Node[]): Node<'cut'>[] {
  return reachableNodes(outputs)
    .filter((node): node is Node<'cut'> => node.op === 'cut')
    .sort((a, b) => a.attributes.index - b.attributes.index);
}
