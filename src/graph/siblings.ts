/**
 * Operations on the same rows joined into one: products of x with several frozen weights become one product with the weights
 * behind one another, and heads that turn by the same tables turn together. The same numbers in fewer and longer kernels, for
 * runs of so few rows that the number of kernels counts. Weights are joined when the program is made, in memory of its own.
 */
import { type Node, reachableNodes } from './node.ts';
import { blockCodesMatmul, concat, matmul, reshape, rotary, slice } from './ops/index.ts';
import { rewrite } from './transform.ts';

/** Groups of two and more by key, each member with its group. */
function groupsOf<T extends Node>(members: readonly T[], keyOf: (member: T) => string): Map<Node, readonly T[]> {
  const byKey = new Map<string, T[]>();
  for (const member of members) {
    const key = keyOf(member);
    byKey.set(key, [...(byKey.get(key) ?? []), member]);
  }
  return new Map(
    [...byKey.values()]
      .filter(({ length }) => length > 1)
      .flatMap((group) => group.map((member) => [member, group] as const)),
  );
}

type Product = Node<'matmul'> | Node<'blockCodesMatmul'>;

function isFrozen(node: Node): boolean {
  return node.op === 'weight' || (node.op === 'cast' && node.inputs[0]!.op === 'weight');
}

function isFrozenProduct(node: Node): node is Product {
  return (node.op === 'matmul' || node.op === 'blockCodesMatmul') && node.inputs.slice(1).every(isFrozen);
}

function productKey(node: Product): string {
  const x = node.inputs[0]!.id;
  if (node.op === 'blockCodesMatmul') return `${x} ${node.attributes.layout.bits} bits`;
  return `${x} ${JSON.stringify(node.attributes)}`;
}

/** x times all weights of the group at once. */
function joinedProduct(group: readonly Product[], x: Node): Node {
  const leaves = (input: number, axis: number): Node =>
    concat(
      group.map((node) => node.inputs[input]!),
      axis,
    );
  const [first] = group as readonly [Product];
  if (first.op === 'matmul') {
    const { attributes } = first;
    return matmul(x, leaves(1, attributes.transposeB ? 0 : 1), attributes);
  }
  const { layout } = first.attributes;
  const outputs = group.reduce((sum, { shape }) => sum + (shape[1] as number), 0);
  return blockCodesMatmul(x, [leaves(1, 0), leaves(2, 0)], { ...layout, shape: [outputs, layout.shape[1]] });
}

function joinProducts(outputs: readonly Node[]): Node[] {
  const products = reachableNodes(outputs).filter(isFrozenProduct);
  const groups = groupsOf(products, productKey);
  const joined = new Map<readonly Product[], Node>();
  return rewrite(outputs, (node, current) => {
    const group = groups.get(node);
    if (!group) return undefined;
    let whole = joined.get(group);
    if (!whole) joined.set(group, (whole = joinedProduct(group, current(node.inputs[0]!))));
    let start = 0;
    for (const member of group) {
      if (member === node) break;
      start += member.shape[1] as number;
    }
    return slice(whole, 1, start, start + (node.shape[1] as number));
  });
}

/** The columns of a wider tensor that some heads f32[N, H, E] are. */
function columnsOf(heads: Node): Node<'slice'> | undefined {
  const source = heads.op === 'reshape' ? heads.inputs[0]! : undefined;
  if (source?.op !== 'slice') return undefined;
  const columns = source as Node<'slice'>;
  return columns.shape.length === 2 && columns.attributes.axis === 1 ? columns : undefined;
}

/** Neighbouring columns that turn together, and those behind them that pass through with them. */
interface Turning {
  readonly source: Node;
  readonly start: number;
  /** Where what turns ends, and what passes begins. */
  readonly turned: number;
  readonly end: number;
  readonly size: number;
  readonly tables: readonly [Node, Node];
}

function turningsOf(nodes: readonly Node[]): Map<Node, Turning> {
  const rotations = nodes.filter(
    (node): node is Node<'rotary'> => node.op === 'rotary' && columnsOf(node.inputs[0]!) !== undefined,
  );
  const columns = (node: Node): Node<'slice'> => columnsOf(node.inputs[0]!)!;
  const groups = groupsOf(rotations, (node) => {
    const [heads, cos, sin] = node.inputs as [Node, Node, Node];
    return [columns(node).inputs[0]!.id, heads.shape[2], cos.id, sin.id].join();
  });
  const result = new Map<Node, Turning>();
  for (const group of new Set(groups.values())) {
    const parts = group.map((node) => columns(node).attributes).toSorted((a, b) => a.start - b.start);
    if (parts.some(({ start }, i) => i > 0 && parts[i - 1]!.end !== start)) continue;
    const [, cos, sin] = group[0]!.inputs as [Node, Node, Node];
    const source = columns(group[0]!).inputs[0]!;
    const [start, turned] = [parts[0]!.start, parts.at(-1)!.end];
    const size = group[0]!.shape[2] as number;
    // values lie behind keys; much more than heads would turn by nothing at a cost
    const behind = nodes.find((node): node is Node<'slice'> => {
      if (node.op !== 'slice' || node.inputs[0] !== source) return false;
      const own = (node as Node<'slice'>).attributes;
      const width = own.end - own.start;
      return own.axis === 1 && own.start === turned && width % size === 0 && width <= turned - start;
    });
    const end = behind?.attributes.end ?? turned;
    const turning = { source, start, turned, end, size, tables: [cos, sin] as const };
    for (const node of behind ? [...group, behind] : group) result.set(node, turning);
  }
  return result;
}

function joinRotations(outputs: readonly Node[]): Node[] {
  const turnings = turningsOf(reachableNodes(outputs));
  const joined = new Map<Turning, Node>();
  return rewrite(outputs, (node, current) => {
    const turning = turnings.get(node);
    if (!turning) return undefined;
    const { start, turned, end, size, tables } = turning;
    let whole = joined.get(turning);
    if (!whole) {
      const tokens = node.shape[0]!;
      const part = slice(current(turning.source), 1, start, end);
      const heads = reshape(part, [tokens, (end - start) / size, size]);
      const [cos, sin] = tables;
      whole = reshape(rotary(heads, current(cos), current(sin), (end - turned) / size), [tokens, end - start]);
      joined.set(turning, whole);
    }
    const own = (node.op === 'slice' ? (node as Node<'slice'>) : columnsOf(node.inputs[0]!)!).attributes;
    return reshape(slice(whole, 1, own.start - start, own.end - start), node.shape);
  });
}

/** The outputs with sibling operations joined. For decoding: weights that training moves stay apart. */
export function joinSiblings(outputs: Readonly<Record<string, Node>>): Record<string, Node> {
  const nodes = joinRotations(joinProducts(Object.values(outputs)));
  return Object.fromEntries(Object.keys(outputs).map((name, i) => [name, nodes[i]!]));
}
