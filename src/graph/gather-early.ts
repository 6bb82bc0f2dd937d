/**
 * Rows chosen before what is computed of them row by row, not after: of the last layer's MLP only the labelled rows are needed.
 * Attention mixes rows, so that nothing moves beyond it.
 */
import { type Node, type OpName, reachableNodes, usersOf } from './node.ts';
import { gather, reshape } from './ops/index.ts';
import { rebuild } from './operations.ts';
import { rewrite } from './transform.ts';

/** Operations whose row i needs just the rows i of those inputs that have rows, and of all others the whole. */
const byRow: ReadonlySet<OpName> = new Set([
  'add',
  'sub',
  'mul',
  'div',
  'neg',
  'exp',
  'tanh',
  'sigmoid',
  'silu',
  'gelu',
  'erf',
  'rmsNorm',
  'layerNorm',
  'reshape',
  'matmul',
  'adaptedMatmul',
  'quantizedMatmul',
  'integerMatmul',
]);

/** Whether row i of the node is made of rows i alone, along the axis that is called `rows`. */
function isByRow(node: Node, rows: string): boolean {
  if (!byRow.has(node.op) || node.shape[0] !== rows) return false;
  if (node.op === 'matmul' && (node.shape.length !== 2 || (node as Node<'matmul'>).attributes.transposeA)) return false;
  // broadcast or not, rows are rows only where they are the first of equally many axes
  return node.inputs.every(
    ({ shape }) =>
      !shape.includes(rows) ||
      (shape[0] === rows &&
        shape.lastIndexOf(rows) === 0 &&
        (shape.length === node.shape.length || node.op === 'reshape')),
  );
}

/** The outputs with every `gather` of rows moved towards the inputs as far as nobody else needs the rows that it leaves out. */
export function gatherEarly(outputs: readonly Node[]): Node[] {
  const nodes = reachableNodes(outputs);
  const users = usersOf(nodes);
  const given = new Set(outputs);
  /** Nodes that are computed of chosen rows only -> the gather that chooses. */
  const chosen = new Map<Node, Node>();
  for (const node of nodes.toReversed()) {
    const rows = node.shape[0];
    const [first, ...others] = users.get(node) ?? [];
    if (!first || given.has(node) || typeof rows !== 'string' || !isByRow(node, rows)) continue;
    const chooser = (user: Node): Node | undefined =>
      user.op === 'gather' && user.inputs[0] === node && user.inputs[1]!.op === 'input' ? user : chosen.get(user);
    const gathering = chooser(first);
    if (!gathering || others.some((user) => chooser(user)?.inputs[1] !== gathering.inputs[1])) continue;
    chosen.set(node, gathering);
  }
  if (chosen.size === 0) return [...outputs];
  const gathered = new Map<string, Node>();
  return rewrite(outputs, (node, current) => {
    const gathering = chosen.get(node);
    if (!gathering) return node.op === 'gather' && chosen.has(node.inputs[0]!) ? current(node.inputs[0]!) : undefined;
    const index = gathering.inputs[1]!;
    /** The chosen rows of an input. */
    const rowsOf = (input: Node): Node => {
      if (chosen.has(input) || input.shape[0] !== node.shape[0]) return current(input);
      const key = `${input.id} by ${index.id}`;
      let rows = gathered.get(key);
      if (!rows) gathered.set(key, (rows = gather(current(input), index)));
      return rows;
    };
    const inputs = node.inputs.map(rowsOf);
    if (node.op !== 'reshape') return rebuild(node, inputs);
    return reshape(inputs[0]!, [index.shape[0]!, ...node.shape.slice(1)]);
  });
}
