/**
 * Thin products joined: adapters of modules that read the same rows, or whose gradients meet in the same rows, are one product
 * of all their ranks instead of one each. Each passes over the rows once then; the small matrices are copied side by side.
 */
import { countUses, type Node, reachableNodes } from './node.ts';
import { add, concat, matmul, slice } from './ops/index.ts';
import { sameShape } from './shape.ts';
import { rebuild } from './operations.ts';

/** Columns up to which a matrix counts as thin: side by side they still are. */
const thin = 64;

/** What a product is joined by. */
interface Group {
  readonly members: Node<'matmul'>[];
  joined?: readonly Node[];
}

function isMatmul(node: Node): node is Node<'matmul'> {
  return node.op === 'matmul' && node.shape.length === 2;
}

function isThin(size: Node['shape'][number] | undefined): size is number {
  return typeof size === 'number' && size <= thin;
}

/** x Aᵀ with a small A that is given, whose x others read too. */
function isReading(node: Node): node is Node<'matmul'> {
  if (!isMatmul(node)) return false;
  const { transposeA, transposeB } = node.attributes;
  return !transposeA && transposeB && isThin(node.shape[1]) && node.inputs[1]!.op === 'input';
}

/** Dᵀ x with a thin D: a gradient of such an A. */
function isOuter(node: Node): node is Node<'matmul'> {
  if (!isMatmul(node)) return false;
  const { transposeA, transposeB } = node.attributes;
  return transposeA && !transposeB && isThin(node.shape[0]);
}

/** D A with a thin D. */
function isSpread(node: Node): node is Node<'matmul'> {
  if (!isMatmul(node)) return false;
  const { transposeA, transposeB } = node.attributes;
  return !transposeA && !transposeB && isThin(node.inputs[0]!.shape[1]) && node.inputs[1]!.op === 'input';
}

/** The terms of a sum, where inner sums are of the same shape and nobody else reads them. */
function termsOf(node: Node, uses: ReadonlyMap<Node, number>): Node[] {
  return node.inputs.flatMap((input) =>
    input.op === 'add' && uses.get(input) === 1 && input.inputs.every(({ shape }) => sameShape(shape, node.shape))
      ? termsOf(input, uses)
      : [input],
  );
}

/** The outputs with thin products joined. */
export function joinThinProducts(outputs: Readonly<Record<string, Node>>): Record<string, Node> {
  const results = Object.values(outputs);
  const nodes = reachableNodes(results);
  const uses = countUses(nodes);
  const inner = new Set<Node>();
  const given = new Set(results);
  const readings = new Map<string, Group>();
  const outers = new Map<string, Group>();
  const groupOf = new Map<Node, Group>();
  for (const node of nodes) {
    const [first, second] = node.inputs;
    // gradients that are results can wait for one another
    const isResult = given.has(node) && !uses.has(node);
    const [groups, key] = isReading(node)
      ? [readings, `${first!.id} ${node.attributes.alpha}`]
      : isOuter(node) && isResult
        ? [outers, `${second!.id} ${node.attributes.alpha}`]
        : [undefined, ''];
    if (!groups) continue;
    const group = groups.get(key) ?? { members: [] };
    groups.set(key, group);
    group.members.push(node as Node<'matmul'>);
    groupOf.set(node, group);
  }
  // sums from the outermost in
  const spread = new Map<Node, Node<'matmul'>[]>();
  for (const node of nodes.toReversed()) {
    if (node.op !== 'add' || inner.has(node) || !node.inputs.every(({ shape }) => sameShape(shape, node.shape)))
      continue;
    const terms = termsOf(node, uses);
    const thinTerms = terms.filter(
      (term): term is Node<'matmul'> => isSpread(term) && uses.get(term) === 1 && !given.has(term),
    );
    if (thinTerms.length < 2 || new Set(thinTerms.map(({ attributes }) => attributes.alpha)).size > 1) continue;
    spread.set(node, thinTerms);
    const mark = (sum: Node): void => {
      for (const input of sum.inputs) {
        if (input.op === 'add' && uses.get(input) === 1) {
          inner.add(input);
          mark(input);
        }
      }
    };
    mark(node);
  }

  const result = new Map<Node, Node>();
  const of = (node: Node): Node => result.get(node)!;
  const sideBySide = new Map<string, Node>();
  const columns = (parts: readonly Node[]): Node => {
    const key = parts.map(({ id }) => id).join();
    let joined = sideBySide.get(key);
    if (!joined) sideBySide.set(key, (joined = concat(parts, 1)));
    return joined;
  };
  const stacks = new Map<string, Node>();
  const stack = (parts: readonly Node[]): Node => {
    const key = parts.map(({ id }) => id).join();
    let joined = stacks.get(key);
    if (!joined) stacks.set(key, (joined = concat(parts, 0)));
    return joined;
  };
  const pieces = (whole: Node, axis: 0 | 1, parts: readonly Node[]): Node[] => {
    let start = 0;
    return parts.map(({ shape }) => {
      const begin = start;
      start += shape[axis] as number;
      return slice(whole, axis, begin, start);
    });
  };
  for (const node of nodes) {
    const group = groupOf.get(node);
    if (group && group.members.length > 1) {
      const { members } = group;
      const { alpha } = members[0]!.attributes;
      if (isReading(node)) {
        group.joined ??= pieces(
          matmul(of(node.inputs[0]!), stack(members.map(({ inputs }) => inputs[1]!)), { transposeB: true, alpha }),
          1,
          members,
        );
        result.set(node, group.joined[members.indexOf(node)]!);
      } else if (node === members.at(-1)) {
        const whole = matmul(columns(members.map(({ inputs }) => of(inputs[0]!))), of(node.inputs[1]!), {
          transposeA: true,
          alpha,
        });
        pieces(whole, 0, members).forEach((piece, i) => result.set(members[i]!, piece));
      }
      continue;
    }
    const thinTerms = spread.get(node);
    if (thinTerms) {
      const rest = termsOf(node, uses).filter((term) => !thinTerms.includes(term as Node<'matmul'>));
      const product = matmul(
        columns(thinTerms.map(({ inputs }) => of(inputs[0]!))),
        stack(thinTerms.map(({ inputs }) => of(inputs[1]!))),
        { alpha: thinTerms[0]!.attributes.alpha },
      );
      result.set(
        node,
        [...rest.map(of), product].reduce((sum, term) => add(sum, term)),
      );
      continue;
    }
    const inputs = node.inputs.map((input) => of(input));
    result.set(node, inputs.some((input, i) => input !== node.inputs[i]) ? rebuild(node, inputs) : node);
  }
  return Object.fromEntries(Object.entries(outputs).map(([name, node]) => [name, of(node)]));
}
