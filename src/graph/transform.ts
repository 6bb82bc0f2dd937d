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

/** The cut nodes that the outputs reach, by index. */
export function cutNodes(outputs: readonly Node[]): Node<'cut'>[] {
  return reachableNodes(outputs)
    .filter((node): node is Node<'cut'> => node.op === 'cut')
    .sort((a, b) => a.attributes.index - b.attributes.index);
}
