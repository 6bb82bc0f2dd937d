/**
 * The probability that an answer goes on with given bytes, over all their tokenisations: a tree of the tokens that may come, each
 * node of which is known once the model has run it. What is not known yet counts as not spelling them.
 */
import { type Distribution, distributionOf } from './distribution.ts';
import { drawsTokens, processedLogits, type SamplingSettings } from './sampling.ts';
import { TokenHistory } from './token-history.ts';
import type { VocabularyIndex } from './vocabulary-index.ts';

export interface SpellingNode {
  readonly parent: SpellingNode | undefined;
  readonly token: number;
  /** Tokens of the answer up to here. */
  readonly depth: number;
  /** Bytes of the answer up to here. */
  readonly text: string;
  readonly children: Map<number, SpellingNode>;
  known: { readonly logits: Float32Array; readonly distribution: Distribution } | undefined;
}

/** How a probability divides: continuations that spell some bytes, and those that do not. */
export interface Split {
  readonly spelled: number;
  readonly left: number;
}

/** A node that must be run for a probability to be known, and how probable it is. */
export interface UnknownNode {
  readonly node: SpellingNode;
  readonly weight: number;
}

export interface SpellingTreeOptions {
  readonly vocabulary: VocabularyIndex;
  readonly promptIds: ArrayLike<number>;
  readonly sampling: SamplingSettings;
  readonly stopIds: ReadonlySet<number>;
  readonly maxNewTokens: number;
}

/** Tokens of the answer that lead to a node. */
export function pathOf(node: SpellingNode): number[] {
  const path: number[] = [];
  for (let at = node; at.parent !== undefined; at = at.parent) path.push(at.token);
  return path.reverse();
}

export class SpellingTree {
  readonly root: SpellingNode = {
    parent: undefined,
    token: -1,
    depth: 0,
    text: '',
    children: new Map(),
    known: undefined,
  };
  private readonly options: SpellingTreeOptions;

  constructor(options: SpellingTreeOptions) {
    this.options = options;
  }

  /** The node behind a token; a stop id adds nothing to the text. */
  child(node: SpellingNode, token: number): SpellingNode {
    const child = node.children.get(token) ?? this.loose(node, token);
    node.children.set(token, child);
    return child;
  }

  /** A node behind a token that the tree does not keep. */
  loose(parent: SpellingNode, token: number): SpellingNode {
    const { vocabulary, stopIds } = this.options;
    const text = stopIds.has(token) ? parent.text : parent.text + vocabulary.of(token);
    return { parent, token, depth: parent.depth + 1, text, children: new Map(), known: undefined };
  }

  /** Takes the logits behind a node, f32[V]; they are copied. */
  learn(node: SpellingNode, logits: Float32Array): void {
    if (node.known !== undefined) return;
    const { promptIds, sampling, stopIds } = this.options;
    const history = new TokenHistory(promptIds);
    for (const id of pathOf(node)) history.push(id);
    const scores = processedLogits(logits, sampling, history, stopIds);
    const uncut = { temperature: 1, topK: 0, topP: 1, minP: 0 };
    node.known = {
      logits: logits.slice(),
      distribution: distributionOf(scores, drawsTokens(sampling) ? sampling : uncut),
    };
  }

  /**
   * The probability that what follows a node spells `text`, among continuations that begin with its first `fixed` bytes.
   * @param unknown told the nodes that it could not look into, down to the weight `least`.
   */
  split(node: SpellingNode, text: string, fixed: number, unknown: UnknownNode[] = [], least = 0, weight = 1): Split {
    if (node.known === undefined) {
      unknown.push({ node, weight });
      return { spelled: 0, left: 1 };
    }
    const { vocabulary, stopIds, maxNewTokens } = this.options;
    const { distribution } = node.known;
    const isPossible = (id: number): boolean => !stopIds.has(id) && distribution.probabilityOf(id) > 0;
    const whole = vocabulary.startingWith(text).filter(isPossible);
    const parts = vocabulary.beginningsOf(text).filter(isPossible);
    const sum = (ids: readonly number[]): number =>
      ids.reduce((total, id) => total + distribution.probabilityOf(id), 0);
    let spelled = sum(whole);
    const agreeing = spelled + sum(parts);
    // most places are not worth the sum over all other tokens
    if (fixed === 0 && weight * agreeing <= least) return { spelled: 0, left: 1 };
    let left = 0;
    if (fixed === 0 && agreeing < 0.5) {
      left = 1 - agreeing;
    } else {
      // nearly all of it may agree: what is left is then no difference of two numbers
      const known = new Set([...whole, ...parts]);
      const others = fixed === 0 ? distribution.ids : vocabulary.startingWith(text.slice(0, fixed)).filter(isPossible);
      for (const id of others) if (!known.has(id)) left += distribution.probabilityOf(id);
    }
    const isLast = node.depth + 1 >= maxNewTokens;
    for (const id of parts) {
      const probability = distribution.probabilityOf(id);
      const bytes = vocabulary.of(id);
      const reached = weight * probability;
      const known = node.children.get(id);
      if (isLast || (known === undefined && reached <= least)) {
        if (bytes.length >= fixed) left += probability;
        continue;
      }
      const rest = Math.max(0, fixed - bytes.length);
      const child = known ?? this.child(node, id);
      const below = this.split(child, text.slice(bytes.length), rest, unknown, least, reached);
      spelled += probability * below.spelled;
      left += probability * below.left;
    }
    return { spelled, left };
  }

  /** At most so probable is it that the next token begins to spell a text. */
  begins(node: SpellingNode, text: string): number {
    const { vocabulary, stopIds } = this.options;
    if (node.known === undefined) return 0;
    let total = 0;
    for (const id of [...vocabulary.startingWith(text), ...vocabulary.beginningsOf(text)]) {
      if (!stopIds.has(id)) total += node.known.distribution.probabilityOf(id);
    }
    return total;
  }

  /** Forgets what lies so many bytes before the ends of answers that no token which may still come begins there. */
  forgetBefore(ends: readonly SpellingNode[]): void {
    const { longest } = this.options.vocabulary;
    const needed = new Set<SpellingNode>();
    for (const end of ends) {
      const border = (end.parent ?? end).text.length - longest;
      for (let at: SpellingNode | undefined = end; at !== undefined && at.text.length >= border; at = at.parent) {
        needed.add(at);
      }
    }
    for (const end of ends) {
      for (let at = end.parent; at !== undefined; at = at.parent) {
        if (needed.has(at)) continue;
        if (at.known === undefined) break;
        at.known = undefined;
        at.children.clear();
      }
    }
  }
}
