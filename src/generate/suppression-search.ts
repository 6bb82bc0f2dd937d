/**
 * Another continuation in place of a suppressed text: drawn from the model's distribution under the condition that the text
 * before the place stays and the suppressed one is not spelled; or, without draws, the most probable continuation of the
 * changed distribution.
 *
 * The continuations that still follow the text form a tree of tokens. A node is known once the model has run its tokens;
 * `others` is the probability of leaving the text below it, `spelled` that of spelling it. What is not known yet counts as
 * leaving. Draws go down the tree by these weights; where a node turns out to have less weight than it counted for, the
 * draw begins again with the difference as probability (rejection with an envelope that only shrinks), so that the result has
 * exactly the conditional distribution.
 */
import type { ChoicePlace } from './answers.ts';
import { type Distribution, distributionOf } from './distribution.ts';
import { processedLogits, drawsTokens } from './sampling.ts';
import type { TokenHistory } from './token-history.ts';
import type { VocabularyIndex } from './vocabulary-index.ts';

/** A text at a place (byte) of the answer. */
export interface Occurrence<T extends { readonly bytes: string } = { readonly bytes: string }> {
  readonly target: T;
  readonly at: number;
}

export interface SuppressionSearchOptions {
  /** Tokens of the answer that stay. */
  readonly root: number;
  /** Those tokens. */
  readonly prefixIds: readonly number[];
  /** Bytes of the answer before the root. */
  readonly before: string;
  /** Bytes from the root on that every continuation must begin with. */
  readonly fixed: string;
  /** What is suppressed. */
  readonly occurrence: Occurrence;
  /** What must not be spelled either. */
  readonly others: readonly Occurrence[];
  /** Greedy search compares the text with this coefficient; 0: it is not spelled at all. */
  readonly coefficient: number;
  readonly vocabulary: VocabularyIndex;
  /** A number that no other draw of the answer has. */
  readonly nextDraw: () => number;
}

/** What the search asks for next, or what it found. */
export type SearchStep =
  | {
      readonly kind: 'run';
      readonly keep: number;
      readonly token: number;
      /** Those at the place of `token`, where they are known. */
      readonly logits: Float32Array | undefined;
    }
  | {
      readonly kind: 'found';
      /** Tokens from the root on, at least one. */
      readonly tokens: readonly number[];
      readonly spelled: boolean;
      readonly occurrence: Occurrence;
    };

interface Follower {
  readonly id: number;
  readonly probability: number;
  readonly node: SearchNode;
}

interface Known {
  readonly logits: Float32Array;
  readonly distribution: Distribution;
  /** Tokens that neither follow nor break a rule: the text is left with them. */
  readonly leaving: { readonly ids: Int32Array; readonly probabilities: Float64Array; readonly total: number };
  /** Tokens after which the text may still be spelled. */
  readonly followers: readonly Follower[];
  /** Tokens that complete the text (greedy search only may take them). */
  readonly completing: readonly { readonly id: number; readonly probability: number }[];
}

interface SearchNode {
  readonly tokens: readonly number[];
  /** Bytes from the root on. */
  readonly bytes: string;
  known: Known | undefined;
}

/** Nodes that greedy search looks at; the rest of the text's tokenisations counts as not spelling it. */
const maxGreedyNodes = 48;
/** A share of the probability below which greedy search does not look further. */
const negligible = 1e-5;

/** From the settings' own distribution to what always has another continuation. */
const looseness = ['as set', 'uncut', 'unprocessed'] as const;

export class SuppressionSearch {
  readonly root: number;
  private readonly options: SuppressionSearchOptions;
  private tree: SearchNode = { tokens: [], bytes: '', known: undefined };
  /** The node whose logits come next. */
  private wanted: SearchNode = this.tree;
  private looseness = 0;
  private place!: ChoicePlace;
  /** Where a draw stands that waits for a node. */
  private isDrawing = false;

  constructor(options: SuppressionSearchOptions) {
    this.options = options;
    this.root = options.root;
  }

  /** Begins; `logits` are those at the root, where they are at hand. */
  begin(place: ChoicePlace, logits: Float32Array | undefined): SearchStep {
    this.place = place;
    if (logits !== undefined) {
      const history = place.history.fork();
      history.truncate(this.root);
      this.learn(this.tree, logits, history);
    }
    return this.advance();
  }

  /** Takes the logits of the last token that was asked for. */
  take(place: ChoicePlace): SearchStep {
    this.place = place;
    if (!this.isAt(this.wanted)) return this.run(this.wanted);
    this.learn(this.wanted, place.logits, place.history);
    return this.advance();
  }

  /** Whether the model's history is the path of a node. */
  private isAt(node: SearchNode): boolean {
    const { ids } = this.place.history;
    const path = [...this.options.prefixIds, ...node.tokens];
    return ids.length === path.length && path.every((id, i) => ids[i] === id);
  }

  /** Asks for the next token on the way to a node that is not known. */
  private run(node: SearchNode): SearchStep {
    this.wanted = node;
    const path = [...this.options.prefixIds, ...node.tokens];
    const { ids } = this.place.history;
    let same = 0;
    while (same < Math.min(ids.length, path.length - 1) && ids[same] === path[same]) same++;
    const logits = same < this.root ? undefined : this.logitsBehind(path.slice(this.root, same));
    return { kind: 'run', keep: same, token: path[same]!, logits };
  }

  /** The logits behind tokens from the root on, where the model has run them. */
  logitsBehind(tokens: readonly number[]): Float32Array | undefined {
    let node: SearchNode | undefined = this.tree;
    for (const id of tokens) node = node?.known?.followers.find((follower) => follower.id === id)?.node;
    return node?.known?.logits;
  }

  private learn(node: SearchNode, logits: Float32Array, history: TokenHistory): void {
    const { settings, stopIds } = this.place;
    const draws = drawsTokens(settings);
    const scores = this.looseness === 2 ? logits : processedLogits(logits, settings, history, stopIds);
    const temperature = draws && this.looseness < 2 ? settings.temperature : 1;
    const uncut = { temperature, topK: 0, topP: 1, minP: 0 };
    const distribution = distributionOf(scores, draws && this.looseness === 0 ? settings : uncut);
    node.known = { logits: logits.slice(), ...this.sortTokens(node, distribution) };
  }

  /** What the answer reads with a node's bytes, from the place on. */
  private spelledFrom({ at }: Occurrence, bytes: string): string {
    const { before } = this.options;
    return at >= before.length ? bytes.slice(at - before.length) : before.slice(at) + bytes;
  }

  /** The rest of a text that a node would still have to spell, or undefined where it has left it. */
  private restOf(occurrence: Occurrence, bytes: string): string | undefined {
    const text = occurrence.target.bytes;
    const spelled = this.spelledFrom(occurrence, bytes);
    // before the place: what is fixed, then the text
    const missing = occurrence.at - this.options.before.length - bytes.length;
    if (missing > 0) return this.options.fixed.slice(bytes.length, bytes.length + missing) + text;
    return text.startsWith(spelled) ? text.slice(spelled.length) : undefined;
  }

  private sortTokens(node: SearchNode, distribution: Distribution): Omit<Known, 'logits'> {
    const { vocabulary, fixed, occurrence, others } = this.options;
    const fixedRest = fixed.slice(node.bytes.length);
    const rest = this.restOf(occurrence, node.bytes);
    const otherRests = others.flatMap((other) => this.restOf(other, node.bytes) || []);
    const isLast = this.root + node.tokens.length + 1 >= this.place.maxNewTokens;
    const special = new Set<number>();
    const followers: Follower[] = [];
    const completing: { id: number; probability: number }[] = [];
    const consider = (id: number): void => {
      if (special.has(id)) return;
      special.add(id);
      const probability = distribution.probabilityOf(id);
      if (probability === 0) return;
      const bytes = vocabulary.of(id);
      const isStop = this.place.stopIds.has(id);
      // a token that ends the answer ends it here; what must come first has not come
      if (isStop ? fixedRest !== '' : !agree(bytes, fixedRest)) return;
      if (!isStop && otherRests.some((other) => bytes.startsWith(other))) return;
      if (!isStop && rest !== undefined && bytes.startsWith(rest)) {
        completing.push({ id, probability });
        return;
      }
      const after = node.bytes + bytes;
      const follows =
        !isStop &&
        !isLast &&
        (after.length < fixed.length || [occurrence, ...others].some((each) => this.restOf(each, after) !== undefined));
      if (follows) {
        followers.push({ id, probability, node: { tokens: [...node.tokens, id], bytes: after, known: undefined } });
      } else leaving.push(id);
    };
    const leaving: number[] = [];
    // with text that must come first, only tokens that agree with it may; else all but those that meet a text
    const isFixed = fixedRest !== '';
    const texts = isFixed ? [fixedRest] : [...(rest === undefined ? [] : [rest]), ...otherRests];
    for (const text of texts) {
      for (const id of vocabulary.startingWith(text)) consider(id);
      for (const id of vocabulary.beginningsOf(text)) consider(id);
    }
    if (!isFixed) {
      for (const id of distribution.ids) if (!special.has(id)) leaving.push(id);
    }
    const probabilities = Float64Array.from(leaving, (id) => distribution.probabilityOf(id));
    const total = probabilities.reduce((sum, value) => sum + value, 0);
    return { distribution, leaving: { ids: Int32Array.from(leaving), probabilities, total }, followers, completing };
  }

  /** The probability below a node that the text is left (at most, where not all is known). */
  private othersBelow(node: SearchNode): number {
    if (node.known === undefined) return 1;
    const { leaving, followers } = node.known;
    return followers.reduce(
      (sum, { probability, node: child }) => sum + probability * this.othersBelow(child),
      leaving.total,
    );
  }

  /** The probability below a node that the text is spelled (at least). */
  private spelledBelow(node: SearchNode): number {
    if (node.known === undefined) return 0;
    const { completing, followers } = node.known;
    const here = completing.reduce((sum, { probability }) => sum + probability, 0);
    return followers.reduce((sum, { probability, node: child }) => sum + probability * this.spelledBelow(child), here);
  }

  private advance(): SearchStep {
    if (this.tree.known === undefined) return this.run(this.tree);
    return drawsTokens(this.place.settings) ? this.draw() : this.greedy();
  }

  /** Goes to a distribution with more continuations where this one has no other. */
  private loosen(): SearchStep {
    if (this.looseness === looseness.length - 1) return this.leastBad();
    this.looseness++;
    const { logits } = this.tree.known!;
    this.tree = { tokens: [], bytes: '', known: undefined };
    this.isDrawing = false;
    return this.begin(this.place, logits);
  }

  /** Every continuation has the probability 0: the first token that breaks no rule. */
  private leastBad(): SearchStep {
    const { vocabulary, occurrence, fixed } = this.options;
    const rest = this.restOf(occurrence, '') ?? '';
    const size = this.tree.known!.distribution.ids.length;
    for (let id = 0; id < size; id++) {
      const bytes = vocabulary.of(id);
      if (bytes !== '' && agree(bytes, fixed) && !agree(bytes, rest)) return this.found([id], false);
    }
    return this.found([this.tree.known!.distribution.ids[0]!], false);
  }

  private found(tokens: readonly number[], spelled: boolean): SearchStep {
    return { kind: 'found', tokens, spelled, occurrence: this.options.occurrence };
  }

  private uniform(depth: number): number {
    return this.place.random(this.root + depth, this.options.nextDraw());
  }

  private draw(): SearchStep {
    let node: SearchNode = this.tree;
    if (this.isDrawing) {
      // the draw had come to a node that was not known and counted as 1: it goes on with the probability that it has
      this.isDrawing = false;
      if (this.uniform(this.wanted.tokens.length) < this.othersBelow(this.wanted)) node = this.wanted;
    }
    for (;;) {
      const { leaving, followers } = node.known!;
      const weights = followers.map(({ probability, node: child }) => probability * this.othersBelow(child));
      const total = weights.reduce((sum, weight) => sum + weight, leaving.total);
      if (!(total > 0)) {
        if (node === this.tree) return this.loosen();
        node = this.tree;
        continue;
      }
      let rest = this.uniform(node.tokens.length) * total;
      const chosen = followers.find((_, i) => (rest -= weights[i]!) < 0);
      if (chosen === undefined) return this.found([...node.tokens, drawLeaving(leaving, rest)], false);
      if (chosen.node.known === undefined) {
        this.isDrawing = true;
        return this.run(chosen.node);
      }
      node = chosen.node;
    }
  }

  /** The most probable way on in the changed distribution, token by token. */
  private greedy(): SearchStep {
    const unknown = this.nextUnknown();
    if (unknown !== undefined) return this.run(unknown);
    const { coefficient: c } = this.options;
    const [spelled, others] = [this.spelledBelow(this.tree), this.othersBelow(this.tree)];
    if (!(others > 0)) return this.loosen();
    const p = spelled / (spelled + others);
    // both weights times (1 - p), which may be very small
    const weightOfText = c * (others / (spelled + others));
    const weightOfOthers = 1 - c * p;
    let node: SearchNode = this.tree;
    for (;;) {
      const { leaving, followers, completing } = node.known!;
      let best = { weight: -1, id: -1, go: undefined as SearchNode | undefined, spelled: false };
      const offer = (weight: number, id: number, go: SearchNode | undefined, isSpelled: boolean): void => {
        if (weight > best.weight || (weight === best.weight && id < best.id))
          best = { weight, id, go, spelled: isSpelled };
      };
      leaving.ids.forEach((id, i) => offer(weightOfOthers * leaving.probabilities[i]!, id, undefined, false));
      for (const { id, probability } of completing) offer(weightOfText * probability, id, undefined, true);
      for (const { id, probability, node: child } of followers) {
        const weight = weightOfText * this.spelledBelow(child) + weightOfOthers * this.othersBelow(child);
        offer(probability * weight, id, child, false);
      }
      if (best.go === undefined) return this.found([...node.tokens, best.id], best.spelled && c > 0);
      if (best.go.known === undefined) return this.run(best.go);
      node = best.go;
    }
  }

  /** The most probable node that greedy search should still look at. */
  private nextUnknown(): SearchNode | undefined {
    let count = 0;
    let best: { node: SearchNode; weight: number } | undefined;
    const visit = (node: SearchNode, weight: number): void => {
      if (node.known === undefined) {
        if (weight > (best?.weight ?? negligible)) best = { node, weight };
        return;
      }
      count++;
      for (const follower of node.known.followers) visit(follower.node, weight * follower.probability);
    };
    visit(this.tree, 1);
    return count < maxGreedyNodes ? best?.node : undefined;
  }
}

/** Whether one text begins with the other. */
function agree(a: string, b: string): boolean {
  return a.startsWith(b) || b.startsWith(a);
}

function drawLeaving({ ids, probabilities }: Known['leaving'], rest: number): number {
  let left = rest;
  let last = ids[0]!;
  for (let i = 0; i < ids.length; i++) {
    if (probabilities[i] === 0) continue;
    last = ids[i]!;
    left -= probabilities[i]!;
    if (left < 0) break;
  }
  return last;
}
