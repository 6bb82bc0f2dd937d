/**
 * Article D's comparison: reviews are split into aspects and items, the judge looks for every item among the items of the
 * human reviews, and the system with more confirmed items wins the paper. Every item is looked for twice, in the list of
 * human items from its beginning and from its end; it counts as confirmed only if both say so.
 */
import { DataError } from '../../errors.ts';
import type { Outcome } from './comparison.ts';
import { mapConcurrently, settleAll } from './concurrent.ts';
import { fillPrompt } from './judge-prompts.ts';
import { askJudge, type Decision, type Judgment, type JudgeTask, pairsOf, progressOf } from './judged.ts';
import { type Review, type ReviewForm, reviewOf } from './review.ts';
import { parseNumber } from './verdict.ts';

/** One look at the human items. */
export interface PointJudgment extends Judgment {
  /** Number of the matching human item, counted from 0 in the list from its beginning; null: none; undefined: unreadable. */
  readonly match: number | null | undefined;
  /** Its place in the list as it was shown, counted from 1. */
  readonly place: number | undefined;
}

/** One item of a system's review. */
export interface PointCheck {
  readonly question: string;
  readonly system: string;
  readonly aspect: string;
  readonly item: string;
  readonly confirmed: boolean;
  readonly judgments: readonly [PointJudgment, PointJudgment];
}

/** What a comparison of reviews found. */
export interface PointResults {
  readonly checks: readonly PointCheck[];
  /** Human items by paper. */
  readonly human: ReadonlyMap<string, readonly string[]>;
  /** Papers whose human reviews hold no item: nothing can be confirmed there, and they are left out. */
  readonly papersWithoutItems: readonly string[];
  /** Aspects in the order of the chart. */
  readonly aspects: readonly string[];
  readonly decisions: readonly Decision[];
  /** The same for each aspect. */
  readonly byAspect: ReadonlyMap<string, readonly Decision[]>;
}

/** A review of hundreds of points was split wrongly, and each of them costs two judgments. */
const mostItems = 200;

/** How reviews become items. */
export interface PointOptions extends ReviewForm {
  /** Whether the judge splits reviews first. */
  readonly splitByJudge: boolean;
}

/** Has the judge split a review of free text. */
async function splitByJudge(task: JudgeTask, text: string, { aspects, emptyItem }: PointOptions): Promise<string> {
  const { system, template } = task.prompts['aspect-split'];
  const instruction =
    aspects.length === 0
      ? 'Choose short names of aspects of a paper, such as Motivation, Method, Results, Presentation.'
      : `Use these aspects and no others: ${aspects.join(', ')}.`;
  const { text: split } = await askJudge(
    task,
    system,
    fillPrompt(template, { review: text, instruction, empty: emptyItem }),
  );
  return split;
}

/** The review of a text or of aspects with items. @throws DataError `pk-review-form`, `pk-review-items` */
async function readReview(
  task: JudgeTask,
  value: unknown,
  who: string,
  id: string,
  options: PointOptions,
): Promise<Review> {
  const written = options.splitByJudge && typeof value === 'string' ? await splitByJudge(task, value, options) : value;
  const review = reviewOf(written, options);
  if (review === undefined) throw new DataError('pk-review-form', { who, id });
  const count = [...review.values()].reduce((sum, items) => sum + items.length, 0);
  if (count > mostItems) throw new DataError('pk-review-items', { who, id, count, most: mostItems });
  return review;
}

/** Numbered points; each with its aspect, so that the judge knows what it is about. */
const line = (aspect: string, item: string): string => (aspect === '' ? item : `(${aspect}) ${item}`);
const numbered = (points: readonly string[]): string => points.map((point, i) => `${i + 1}. ${point}`).join('\n');

async function checkPoint(
  task: JudgeTask,
  points: readonly string[],
  aspect: string,
  item: string,
): Promise<Pick<PointCheck, 'confirmed' | 'judgments'>> {
  const { system, template } = task.prompts['aspect-match'];
  const look = async (isReversed: boolean): Promise<PointJudgment> => {
    const shown = isReversed ? [...points].reverse() : points;
    const prompt = fillPrompt(template, { points: numbered(shown), item: line(aspect, item) });
    const judgment = await askJudge(task, system, prompt);
    const place = parseNumber(judgment.text, points.length);
    const match = place === undefined ? undefined : place === 0 ? null : isReversed ? points.length - place : place - 1;
    return { ...judgment, match, place };
  };
  const judgments = await settleAll([look(false), look(true)]);
  return { judgments, confirmed: judgments.every(({ match }) => typeof match === 'number') };
}

/** More of something is better. */
const outcomeOfCounts = (mine: number, other: number): Outcome =>
  mine === other ? 'tie' : mine > other ? 'win' : 'loss';

/**
 * Compares reviews by their confirmed items.
 * @param human the reviews of people by paper
 */
export async function comparePoints(
  task: JudgeTask,
  human: ReadonlyMap<string, readonly unknown[]>,
  options: PointOptions,
): Promise<PointResults> {
  const names = [...task.systems.keys()];
  const sources = [
    ...task.questions.flatMap(({ id }) => human.get(id)!.map((value) => ({ id, who: undefined, value }))),
    ...names.flatMap((who) =>
      task.questions.map(({ id }) => ({ id, who, value: task.systems.get(who)!.get(id)!.at(-1)! })),
    ),
  ];
  const reviews = await mapConcurrently(sources, task.judge.atOnce, async ({ id, who, value }) => ({
    id,
    who,
    review: await readReview(task, value, who ?? 'references', id, options),
  }));
  const aspects = aspectsOf(reviews, options);
  const humanItems = new Map(task.questions.map(({ id }) => [id, [] as string[]]));
  for (const { id, who, review } of reviews) {
    if (who !== undefined) continue;
    for (const [aspect, items] of review) for (const item of items) humanItems.get(id)!.push(line(aspect, item));
  }
  const judged = task.questions.filter(({ id }) => humanItems.get(id)!.length > 0).map(({ id }) => id);
  const isJudged = new Set(judged);
  const works = reviews.flatMap(({ id, who, review }) =>
    who === undefined || !isJudged.has(id)
      ? []
      : [...review].flatMap(([aspect, items]) => items.map((item) => ({ question: id, system: who, aspect, item }))),
  );
  const step = progressOf(task, works.length);
  const checks = await mapConcurrently(works, task.judge.atOnce, async (work): Promise<PointCheck> => {
    const check = { ...work, ...(await checkPoint(task, humanItems.get(work.question)!, work.aspect, work.item)) };
    step();
    return check;
  });
  const counts = new Map<string, number>();
  const keyOf = (...parts: readonly string[]): string => parts.join('\0');
  for (const { confirmed, question, system, aspect } of checks) {
    if (!confirmed) continue;
    for (const key of [keyOf(question, system), keyOf(question, system, aspect)]) {
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
  }
  const count = (...parts: readonly string[]): number => counts.get(keyOf(...parts)) ?? 0;
  const decide = (aspect?: string): Decision[] =>
    pairsOf(names).flatMap(({ a, b }) =>
      judged.map((id): Decision => {
        const length = (name: string): number => task.systems.get(name)!.get(id)!.at(-1)!.length;
        const outcome =
          aspect === undefined
            ? outcomeOfCounts(count(id, a), count(id, b))
            : outcomeOfCounts(count(id, a, aspect), count(id, b, aspect));
        return { question: id, turn: 1, a, b, outcome, lengths: [length(a), length(b)] };
      }),
    );
  return {
    checks,
    human: humanItems,
    papersWithoutItems: task.questions.filter(({ id }) => !isJudged.has(id)).map(({ id }) => id),
    aspects,
    decisions: decide(),
    byAspect: new Map(aspects.map((aspect) => [aspect, decide(aspect)])),
  };
}

/** The declared aspects, else all in the order of their first occurrence; items without heading come last. */
function aspectsOf(reviews: readonly { readonly review: Review }[], { aspects }: PointOptions): readonly string[] {
  const found = new Set(reviews.flatMap(({ review }) => [...review.keys()]));
  const others = [...found].filter((name) => name !== '' && !aspects.includes(name));
  return [...aspects, ...others, ...(found.has('') ? [''] : [])];
}
