/**
 * Sequence suppression (requirements, article D): the probability that the answer spells a given text from some place on is
 * multiplied by a coefficient c, every other continuation by (1 - c p) / (1 - p). p is the probability of the text over all its
 * tokenisations, given the tokens before: tokens that begin before the place or reach beyond the text included.
 *
 * How: tokens are drawn as always; what may still become the text is held back. When it is complete it stays with
 * probability c. Else the answer goes back to the last token from which the text could have begun otherwise, and another
 * continuation is drawn from there, under the condition that what stood before the place stays and the text is not spelled
 * (`SuppressionSearch`). Greedy search takes the most probable continuation of the changed distribution. Places are decided
 * in their order.
 */
import type { Choice, ChoicePlace, TokenChooser } from './answers.ts';
import { argmax, drawsTokens, nextDistribution, processedLogits } from './sampling.ts';
import { type Occurrence, SuppressionSearch } from './suppression-search.ts';
import {
  coefficientOf,
  isInScope,
  spellingRoot,
  suppressedTexts,
  type SuppressedText,
  type Suppression,
  type SuppressionReport,
} from './suppressed-text.ts';
import type { VocabularyIndex } from './vocabulary-index.ts';

interface Target extends SuppressedText {
  possible: number;
  fired: number;
  avoided: number;
}

/** Chooses the tokens of one answer with texts suppressed. */
export class SuppressingChooser implements TokenChooser {
  private readonly targets: readonly Target[];
  private readonly vocabulary: VocabularyIndex;
  /** Bytes of the answer. */
  private text = '';
  /** The answer's tokens, and the bytes up to the end of each. */
  private readonly ids: number[] = [];
  private readonly ends: number[] = [];
  /** Bytes in which every complete text is decided. */
  private checked = 0;
  /** Places that are decided. */
  private readonly decided = new Map<Target, Map<number, 'fired' | 'avoided'>>();
  /** Places whose beginning was counted. */
  private readonly begun = new Map<Target, Set<number>>();
  /** Tokens that were told: they stay. */
  private told = 0;
  private firstLogits: Float32Array | undefined;
  private search: SuppressionSearch | undefined;
  /** Tokens of a search's result that are still to be run through the model. */
  private readonly ahead: number[] = [];
  private draws = 0;

  constructor(suppressions: readonly Suppression[], vocabulary: VocabularyIndex) {
    this.vocabulary = vocabulary;
    this.targets = suppressedTexts(suppressions).map((text) => ({ ...text, possible: 0, fired: 0, avoided: 0 }));
    for (const target of this.targets) {
      this.decided.set(target, new Map());
      this.begun.set(target, new Set());
    }
  }

  /** What happened so far, one for each text that is suppressed at all. */
  get reports(): SuppressionReport[] {
    return this.targets.map(({ suppression, possible, fired, avoided }) => ({
      text: suppression.text,
      possible,
      fired,
      avoided,
    }));
  }

  choose(place: ChoicePlace): Choice {
    if (this.search === undefined) {
      const queued = this.ahead.shift();
      if (queued !== undefined) return this.settle(queued, place);
      if (this.ends.length === 0) this.firstLogits = place.logits.slice();
      const { logits, history, settings, stopIds } = place;
      const token = drawsTokens(settings)
        ? nextDistribution(logits, settings, history, stopIds).draw(place.random(this.ends.length))
        : argmax(processedLogits(logits, settings, history, stopIds));
      return this.settle(token, place);
    }
    return this.follow(this.search.take(place), place);
  }

  /** Adds a token; where it completes a text, that is decided. */
  private settle(token: number, place: ChoicePlace): Choice {
    const keep = this.ends.length;
    this.push(token);
    if (this.ahead.length > 0) return { token, keep, certain: this.told };
    if (place.stopIds.has(token)) return { token, keep };
    for (let found = this.completed(); found !== undefined; found = this.completed()) {
      const search = this.decide(found, place);
      if (search === undefined) continue;
      this.search = search;
      return this.follow(search.begin(place, this.logitsAt(search.root, place)), place);
    }
    this.told = Math.max(this.told, this.certain());
    return { token, keep, certain: this.told };
  }

  /** Does what a search asks for: runs a token, or takes its result over. */
  private follow(step: ReturnType<SuppressionSearch['take']>, place: ChoicePlace): Choice {
    const search = this.search!;
    if (step.kind === 'run') {
      const { token, keep, logits } = step;
      return { token, keep, certain: this.told, ...(logits === undefined ? {} : { logits }) };
    }
    this.search = undefined;
    const { target, at } = step.occurrence;
    const outcome = step.spelled ? 'fired' : 'avoided';
    this.decided.get(target as Target)!.set(at, outcome);
    (target as Target)[outcome]++;
    // the result replaces all from the root on; what the model has run of it already need not be run again
    this.cut(search.root);
    const shared = place.history.ids.slice(search.root);
    let same = 0;
    while (same < Math.min(shared.length, step.tokens.length - 1) && shared[same] === step.tokens[same]) same++;
    for (const token of step.tokens.slice(0, same)) this.push(token);
    const [next, ...rest] = step.tokens.slice(same);
    this.ahead.push(...rest);
    const choice = this.settle(next!, place);
    const logits = this.search === undefined ? search.logitsBehind(step.tokens.slice(0, same)) : undefined;
    return logits === undefined || choice.logits !== undefined ? choice : { ...choice, logits };
  }

  /** The logits behind the first `root` tokens, where they are at hand: those of this place, or of the answer's beginning. */
  private logitsAt(root: number, { logits, history }: ChoicePlace): Float32Array | undefined {
    if (root === 0) return this.firstLogits;
    const isHere = history.ids.length === root && history.ids.every((id, i) => id === this.ids[i]);
    return isHere ? logits : undefined;
  }

  private push(token: number): void {
    this.text += this.vocabulary.of(token);
    this.ids.push(token);
    this.ends.push(this.text.length);
  }

  private cut(tokens: number): void {
    this.ids.length = tokens;
    this.ends.length = tokens;
    this.text = this.text.slice(0, this.ends.at(-1) ?? 0);
    this.checked = Math.min(this.checked, this.text.length);
  }

  /** Places of a target that are not decided and at which the text so far has spelled it, in part (`whole` false) or whole. */
  private *places(target: Target, whole: boolean): Generator<number> {
    const { bytes } = target;
    const first = Math.max(0, (whole ? this.checked : this.text.length) - bytes.length + 1);
    for (let at = first; at < this.text.length; at++) {
      if (this.decided.get(target)!.has(at)) continue;
      const spelled = this.text.slice(at, at + bytes.length);
      if (whole ? spelled === bytes : spelled.length < bytes.length && bytes.startsWith(spelled)) {
        if (isInScope(target, this.text, at)) yield at;
      }
    }
  }

  /** The first text that is complete and not decided. */
  private completed(): Occurrence<Target> | undefined {
    let first: Occurrence<Target> | undefined;
    for (const target of this.targets) {
      for (const at of this.places(target, true)) {
        this.count(target, at);
        const end = at + target.bytes.length;
        if (first === undefined || end < first.at + first.target.bytes.length) first = { target, at };
        break;
      }
    }
    if (first === undefined) this.checked = this.text.length;
    return first;
  }

  private count(target: Target, at: number): void {
    const seen = this.begun.get(target)!;
    if (!seen.has(at)) target.possible++;
    seen.add(at);
  }

  /** Keeps a complete text (nothing is given back), or says how another continuation is found. */
  private decide({ target, at }: Occurrence<Target>, place: ChoicePlace): SuppressionSearch | undefined {
    const c = coefficientOf(target, target.fired);
    const draws = drawsTokens(place.settings);
    const root = this.rootOf(target, at);
    const keeps = c >= 1 || (draws && c > 0 && place.random(root, this.nextDraw()) < c);
    if (keeps) {
      this.decided.get(target)!.set(at, 'fired');
      target.fired++;
      return undefined;
    }
    const start = this.ends[root - 1] ?? 0;
    const fixed = Math.max(at, this.firedEnd());
    return new SuppressionSearch({
      root,
      prefixIds: this.ids.slice(0, root),
      before: this.text.slice(0, start),
      fixed: this.text.slice(start, fixed),
      occurrence: { target, at },
      others: this.mustNot(target, at),
      coefficient: draws ? 0 : c,
      vocabulary: this.vocabulary,
      nextDraw: () => this.nextDraw(),
    });
  }

  private nextDraw(): number {
    return ++this.draws;
  }

  /** Where the last text that stayed ends. */
  private firedEnd(): number {
    let end = 0;
    for (const target of this.targets) {
      for (const [at, outcome] of this.decided.get(target)!) {
        if (outcome === 'fired') end = Math.max(end, at + target.bytes.length);
      }
    }
    return end;
  }

  /** Places before that another continuation must not spell either: those that were taken back, and those that the text has left. */
  private mustNot(target: Target, at: number): Occurrence<Target>[] {
    const found: Occurrence<Target>[] = [];
    for (const other of this.targets) {
      const first = Math.max(0, at - other.bytes.length + 1);
      for (let place = first; place <= at; place++) {
        if ((other === target && place === at) || !other.bytes.startsWith(this.text.slice(place, at))) continue;
        const outcome = this.decided.get(other)!.get(place);
        const left = !other.bytes.startsWith(this.text.slice(place, place + other.bytes.length));
        if (
          outcome === 'avoided' ||
          (outcome === undefined && left && place < at && isInScope(other, this.text, place))
        ) {
          found.push({ target: other, at: place });
        }
      }
    }
    return found;
  }

  /** The token from which a text at a place can have begun; tokens that were told stay. */
  private rootOf(target: Target, at: number): number {
    return spellingRoot(target, this.text, this.ends, at, this.vocabulary, this.told);
  }

  /** Tokens that will not be taken back. */
  private certain(): number {
    let tokens = this.ends.length;
    for (const target of this.targets) {
      for (const at of this.places(target, false)) {
        this.count(target, at);
        tokens = Math.min(tokens, this.rootOf(target, at));
      }
      // the text may begin right here, and might have begun inside the last tokens
      if (isInScope(target, this.text, this.text.length)) {
        tokens = Math.min(tokens, this.rootOf(target, this.text.length));
      }
    }
    return tokens;
  }
}
