/**
 * Low-rank adapters merged into the weights of their products where that is cheaper: x Wᵀ + s (x Aᵀ) Bᵀ reads and writes the
 * whole result twice, x (W + s B A)ᵀ the weight once more. Only frozen f32 weights; all else stays as it is.
 */
import { countUses, type Node, reachableNodes } from './node.ts';
import { adaptedMatmul, add, matmul, mergedWeight } from './ops/index.ts';
import { rewrite } from './transform.ts';

/** An adapter's product and the module's that it is added to. */
interface Match {
  readonly product: Node<'matmul'>;
  readonly a: Node;
  readonly b: Node;
  readonly scale: number;
}

function isMatmul(node: Node | undefined): node is Node<'matmul'> {
  return node?.op === 'matmul';
}

/** The parts of `node`, a sum of a module's product and its adapter's. */
function match(y: Node, adapter: Node): Match | undefined {
  if (!isMatmul(y) || !isMatmul(adapter) || adapter.shape.length !== 2) return undefined;
  const [x, weight] = y.inputs as [Node, Node];
  const [low, b] = adapter.inputs as [Node, Node];
  if (weight.op !== 'weight' || b.op !== 'input' || !isMatmul(low)) return undefined;
  const [lowX, a] = low.inputs as [Node, Node];
  const isPlain = !y.attributes.transposeA && y.attributes.alpha === 1;
  const isAdapter =
    a.op === 'input' &&
    lowX === x &&
    [adapter, low].every(({ attributes }) => attributes.transposeB && !attributes.transposeA) &&
    low.attributes.alpha === 1;
  return isPlain && isAdapter ? { product: y, a, b, scale: adapter.attributes.alpha } : undefined;
}

/**
 * The outputs with adapters merged into the weights of modules with at most `width` inputs: as many as a batch has rows, since
 * then the result holds more than the weight.
 */
export function mergeAdapters(outputs: readonly Node[], width: number): Node[] {
  return rewrite(outputs, (node, current) => {
    if (node.op !== 'add') return undefined;
    const [y, adapter] = node.inputs.map(current) as [Node, Node];
    const bias = y.op === 'add' && y.inputs[1]!.op === 'weight' ? y.inputs[1]! : undefined;
    const found = match(bias ? y.inputs[0]! : y, adapter);
    if (!found) return undefined;
    const { product, a, b, scale } = found;
    const [x, weight] = product.inputs as [Node, Node];
    if ((a.shape[1] as number) > width) return undefined;
    const merged = adaptedMatmul(x, weight, a, b, { transposeB: product.attributes.transposeB, scale });
    return bias ? add(merged, bias) : merged;
  });
}

/** How much wider than its own gradient the gradient must be that a module gives on, for merging to save more than it costs. */
const wideEnough = 2;

/**
 * The gradients that modules of few outputs and many inputs give on, dY W + (s dY B) A, with the adapter merged into W: dY is
 * then read once and the wide result written once.
 * @param width most outputs of such a module: as many as a batch has rows.
 */
export function mergeGradients(outputs: Readonly<Record<string, Node>>, width: number): Record<string, Node> {
  const names = Object.keys(outputs);
  const results = Object.values(outputs);
  const all = reachableNodes(results);
  const uses = countUses(all, results);
  // thin products that meet others are joined with them instead
  const meeting = new Set(all.flatMap(({ op, inputs }) => (op === 'add' ? inputs : [])));
  const nodes = rewrite(results, (node, current) => {
    if (node.op !== 'add' || meeting.has(node)) return undefined;
    const [product, thin] = node.inputs.toSorted((x) => (x.inputs[1]?.op === 'weight' ? -1 : 1)) as [Node, Node];
    if (!isMatmul(product) || !isMatmul(thin) || uses.get(product) !== 1 || uses.get(thin) !== 1) return undefined;
    const [dy, weight] = product.inputs as [Node, Node];
    const [low, a] = thin.inputs as [Node, Node];
    if (weight.op !== 'weight' || a.op !== 'input' || !isMatmul(low)) return undefined;
    const [lowDy, b] = low.inputs as [Node, Node];
    const isPlain = [product, thin, low].every(({ attributes }) => !attributes.transposeA && !attributes.transposeB);
    if (!isPlain || lowDy !== dy || b.op !== 'input' || product.attributes.alpha !== 1) return undefined;
    const [outs, ins] = weight.shape as [number, number];
    if (outs > width || ins < wideEnough * outs) return undefined;
    const scale = low.attributes.alpha * thin.attributes.alpha;
    return matmul(current(dy), mergedWeight(weight, a, b, scale));
  });
  return Object.fromEntries(names.map((name, i) => [name, nodes[i]!]));
}
