/**
 * Sequence suppression in beam search. The score of a beam is the logarithm of its probability under the changed distribution, which at
 * every place of the answer multiplies what spells the text there by c, and all else that begins alike by (1 - c p) / (1 - p). p is the
 * probability of the text at that place under the distribution before, over all tokenisations, given the tokens before it and the bytes
 * up to it. A beam that has spelled a beginning of the text has both in it: c s + (1 - s) (1 - c p) / (1 - p), where s is the
 * probability that it goes on to spell it.
 *
 * To know p and s the model runs the beginnings of the text ahead, in rows beside those of the beams. What has less than the share
 * `negligible` of a probability is not looked at and counts as not spelling the text; so does what is not reached in
 * `maxLooks` runs. Where texts overlap, the p of each place is taken as if the other places were not changed.
 */
import type { BeamReshaper } from './beams.ts';
import type { RowMove } from './engine.ts';
import { type SpellingNode, SpellingTree, type SpellingTreeOptions, type UnknownNode } from './spelling-tree.ts';
import {
  coefficientOf,
  isInScope,
  spellingRoot,
  type SuppressedText,
  suppressedTexts,
  type Suppression,
  type SuppressionReport,
} from './suppressed-text.ts';
import type { VocabularyIndex } from './vocabulary-index.ts';

/** A share of the probability below which nothing is run ahead. */
const negligible = 1e-5;
/** Times that tokens are run ahead for one beam before its next token. */
const maxLooks = 48;

/** What beam search must not write, or seldom. */
export interface BeamSuppression {
  readonly suppressions: readonly Suppression[];
  readonly vocabulary: VocabularyIndex;
}

interface Counts {
  readonly possible: number;
  readonly fired: number;
  readonly avoided: number;
}

/** A place at which a beam may still spell a text. */
interface OpenPlace {
  /** Number of the text. */
  readonly text: number;
  readonly at: number;
  readonly coefficient: number;
  /** (1 - c p) / (1 - p). */
  readonly others: number;
  /** Whether the text is more probable there than not. */
  readonly isLikely: boolean;
  readonly isBegun: boolean;
}

/** What is known of the places of a beam. */
interface BeamPlaces {
  readonly node: SpellingNode;
  /** Logarithm of what the decided places have multiplied its probability by. */
  readonly decided: number;
  readonly open: readonly OpenPlace[];
  readonly counts: readonly Counts[];
  /** Places from this byte on are not looked at. */
  readonly next: number;
}

interface BeamState {
  places: BeamPlaces;
  /** The places once all that is needed is known, up to the end of the beam. */
  resolved: BeamPlaces | undefined;
  looks: number;
}

const nothing: Counts = { possible: 0, fired: 0, avoided: 0 };

export class SuppressedBeams implements BeamReshaper {
  private readonly texts: readonly SuppressedText[];
  private readonly vocabulary: VocabularyIndex;
  private readonly tree: SpellingTree;
  private states: BeamState[];
  /** What each row of the engine has run: every beam is the beginning of one. */
  private rows: SpellingNode[];
  private readonly most: number;

  /** @param most rows that may run ahead at once. */
  constructor(
    { suppressions, vocabulary }: BeamSuppression,
    most: number,
    options: Omit<SpellingTreeOptions, 'vocabulary'>,
  ) {
    this.texts = suppressedTexts(suppressions);
    this.vocabulary = vocabulary;
    this.tree = new SpellingTree({ ...options, vocabulary });
    this.most = most;
    const { root } = this.tree;
    const counts = this.texts.map(() => nothing);
    this.states = [newState({ node: root, decided: 0, open: [], counts, next: 0 })];
    this.rows = [root];
  }

  /** Takes the logits of all rows; gives the moves of further ones that must run first, none where the beams can go on. */
  take(logits: readonly Float32Array[]): readonly RowMove[] {
    this.rows.forEach((node, row) => this.tree.learn(node, logits[row]!));
    const wanted = new Map<SpellingNode, number>();
    for (const state of this.states) {
      if (state.resolved !== undefined) continue;
      const unknown = this.resolve(state);
      if (unknown.length === 0) continue;
      for (const { node, weight } of unknown) wanted.set(node, Math.max(weight, wanted.get(node) ?? 0));
    }
    if (wanted.size === 0) return [];
    const chosen = [...wanted].sort((a, b) => b[1] - a[1]).slice(0, this.most);
    return this.run(chosen.map(([node]) => node));
  }

  /** f32[V] behind each beam. */
  get logits(): readonly Float32Array[] {
    return this.states.map(({ places }) => places.node.known!.logits);
  }

  specialIds(beam: number): readonly number[] {
    const { open, node } = this.states[beam]!.resolved!;
    const ids = new Set<number>();
    for (const { text, at } of open) {
      const rest = this.texts[text]!.bytes.slice(node.text.length - at);
      for (const id of this.vocabulary.startingWith(rest)) ids.add(id);
      // what adds nothing to the text changes no weight of its own
      for (const id of this.vocabulary.beginningsOf(rest)) if (this.vocabulary.of(id) !== '') ids.add(id);
    }
    return [...ids];
  }

  weightOf(beam: number, token: number, ends: boolean): number {
    const { resolved } = this.states[beam]!;
    const node = resolved!.node.children.get(token) ?? this.tree.loose(resolved!.node, token);
    const after = this.extend(resolved!, node, ends);
    return ends ? this.closed(after).decided : this.prefixWeight(after, [], 0);
  }

  reports(beam: number, token: number): readonly SuppressionReport[] {
    const { resolved } = this.states[beam]!;
    const { counts } = this.closed(this.extend(resolved!, this.tree.loose(resolved!.node, token), true));
    return this.texts.map(({ suppression: { text } }, i) => ({ text, ...counts[i]! }));
  }

  follow(beams: readonly { readonly beam: number; readonly token: number }[]): readonly RowMove[] {
    const before = this.states;
    this.states = beams.map(({ beam, token }) => {
      const places = before[beam]!.resolved!;
      return newState(this.extend(places, this.tree.child(places.node, token), false));
    });
    const moves = this.states.map(({ places: { node } }) => this.moveTo(node, node.depth - 1));
    this.rows = this.states.map(({ places }) => places.node);
    this.tree.forgetBefore(this.rows);
    return moves;
  }

  /** Looks at the places of a beam; gives the nodes that must be run first, most of all for what it decides. */
  private resolve(state: BeamState): UnknownNode[] {
    const unknown: UnknownNode[] = [];
    const resolved = this.look(state.places, unknown);
    this.prefixWeight(resolved, unknown, negligible);
    const wanted = state.looks < maxLooks ? unknown.filter(({ weight: share }) => share > negligible) : [];
    if (wanted.length === 0) state.resolved = resolved;
    else state.looks++;
    return wanted;
  }

  /** The next moves towards nodes that are to be run, with a row for every beam that has none on its way. */
  private run(nodes: readonly SpellingNode[]): RowMove[] {
    const targets = new Set<SpellingNode>();
    for (const node of nodes) {
      let target = node;
      // a row can only go on by one token
      while (this.common(target) < target.depth - 1) target = target.parent!;
      targets.add(target);
    }
    const isOnWay = (end: SpellingNode): boolean =>
      [...targets].some((target) => {
        for (let at: SpellingNode | undefined = target; at !== undefined; at = at.parent) if (at === end) return true;
        return false;
      });
    const held = this.states.map(({ places }) => places.node).filter((node) => !isOnWay(node));
    const rows = [...new Set([...held, ...targets])];
    const moves = rows.map((node) => this.moveTo(node, node.depth - 1));
    this.rows = rows;
    return moves;
  }

  /** The greatest depth to which a row has run the way to a node. */
  private common(node: SpellingNode): number {
    return Math.max(...this.rows.map((row) => sharedDepth(row, node)));
  }

  /** From the row that has run the first `keep` tokens of a node. */
  private moveTo(node: SpellingNode, keep: number): RowMove {
    const from = this.rows.findIndex((row) => sharedDepth(row, node) >= keep);
    return { from, keep, token: node.token };
  }

  /** A beam with one more token: texts that are now complete count, places that were left are closed. */
  private extend(
    { node: before, decided, open, counts, next }: BeamPlaces,
    node: SpellingNode,
    ends: boolean,
  ): BeamPlaces {
    const after = [...counts];
    const still: OpenPlace[] = [];
    let weight = decided;
    const added = node.text.slice(before.text.length);
    for (const place of open) {
      const rest = this.texts[place.text]!.bytes.slice(before.text.length - place.at);
      if (added.startsWith(rest)) weight += this.fire(place.text, after);
      else if (!ends && rest.startsWith(added)) still.push({ ...place, isBegun: place.isBegun || added !== '' });
      else weight += leave(place, after);
    }
    for (const [i, text] of this.texts.entries()) {
      for (
        let at = node.text.indexOf(text.bytes, before.text.length + 1);
        at >= 0;
        at = node.text.indexOf(text.bytes, at + 1)
      ) {
        if (isInScope(text, node.text, at)) weight += this.fire(i, after);
      }
    }
    return { node, decided: weight, open: still, counts: after, next };
  }

  private fire(text: number, counts: Counts[]): number {
    const { possible, fired, avoided } = counts[text]!;
    counts[text] = { possible: possible + 1, fired: fired + 1, avoided };
    return Math.log(coefficientOf(this.texts[text]!, fired));
  }

  /** Opens the places that are not looked at yet, and closes those that the beam has left. */
  private look(places: BeamPlaces, unknown: UnknownNode[]): BeamPlaces {
    const { node, next } = places;
    const counts = [...places.counts];
    const open = [...places.open];
    let { decided } = places;
    if (next > node.text.length) return places;
    const ends = endsOf(node);
    for (const [i, text] of this.texts.entries()) {
      for (let at = next; at <= node.text.length; at++) {
        const spelled = node.text.slice(at, at + text.bytes.length);
        if (spelled === text.bytes || !isInScope(text, node.text, at)) continue;
        const place = this.placeAt(i, at, node, ends, counts[i]!.fired, unknown);
        if (text.bytes.startsWith(spelled)) open.push({ ...place, isBegun: spelled !== '' });
        else decided += leave(place, counts);
      }
    }
    return { node, decided, open, counts, next: node.text.length + 1 };
  }

  /** What suppression does at a place: p is the text's share of what begins with the bytes up to the place. */
  private placeAt(
    text: number,
    at: number,
    node: SpellingNode,
    ends: readonly number[],
    fired: number,
    unknown: UnknownNode[],
  ): OpenPlace {
    const suppressed = this.texts[text]!;
    const depth = spellingRoot(suppressed, node.text, ends, at, this.vocabulary);
    let root = node;
    let own = 1;
    while (root.depth > depth) {
      const { token, parent } = root;
      root = parent!;
      own *= root.text.length < at ? (root.known?.distribution.probabilityOf(token) ?? 1) : 1;
    }
    const fixed = node.text.slice(root.text.length, at);
    const coefficient = coefficientOf(suppressed, fired);
    const least = negligible * own;
    if (this.tree.begins(root, fixed + suppressed.bytes) <= least) {
      return { text, at, coefficient, others: 1, isLikely: false, isBegun: false };
    }
    const found: UnknownNode[] = [];
    const { spelled, left } = this.tree.split(root, fixed + suppressed.bytes, fixed.length, found, least);
    // as shares of what begins with the bytes before the place
    for (const each of found) unknown.push({ node: each.node, weight: each.weight / Math.max(own, Number.MIN_VALUE) });
    const others = left > 0 ? (spelled + left - coefficient * spelled) / left : 1;
    return { text, at, coefficient, others, isLikely: spelled > left, isBegun: false };
  }

  private prefixWeight({ node, decided, open }: BeamPlaces, unknown: UnknownNode[], least: number): number {
    let weight = decided;
    for (const { text, at, coefficient, others } of open) {
      const { spelled, left } =
        node.known === undefined
          ? { spelled: 0, left: 1 }
          : this.tree.split(node, this.texts[text]!.bytes.slice(node.text.length - at), 0, unknown, least);
      weight += Math.log((coefficient * spelled + (left > 0 ? others * left : 0)) / (spelled + left));
    }
    return weight;
  }

  /** The places of an answer that has ended. */
  private closed(places: BeamPlaces): BeamPlaces {
    const looked = this.look(places, []);
    const counts = [...looked.counts];
    const decided = looked.open.reduce((sum, place) => sum + leave(place, counts), looked.decided);
    return { ...looked, decided, open: [], counts };
  }
}

function newState(places: BeamPlaces): BeamState {
  return { places, resolved: undefined, looks: 0 };
}

function leave({ text, others, isLikely, isBegun }: OpenPlace, counts: Counts[]): number {
  const { possible, fired, avoided } = counts[text]!;
  if (isLikely || isBegun) counts[text] = { possible: possible + 1, fired, avoided: avoided + (isLikely ? 1 : 0) };
  return Math.log(others);
}

/** Bytes of the answer up to the end of each token. */
function endsOf(node: SpellingNode): number[] {
  const ends: number[] = [];
  for (let at = node; at.parent !== undefined; at = at.parent) ends.push(at.text.length);
  return ends.reverse();
}

/** Tokens that two ways have in common. */
function sharedDepth(a: SpellingNode, b: SpellingNode): number {
  let [one, other] = [a, b];
  while (one !== other) {
    if (one.depth >= other.depth) one = one.parent!;
    else other = other.parent!;
  }
  return one.depth;
}
