/**
 * Whole answers, as MT-Bench judges them (Zheng et al. 2023): in pairs, each in both orders, where a win counts only if both
 * orders agree; or rated one by one. The second turn of a question is judged with the first in view.
 */
import type { Outcome } from './comparison.ts';
import { mapConcurrently, settleAll } from './concurrent.ts';
import { fillPrompt, type JudgePromptName, referenceCategories } from './judge-prompts.ts';
import { askJudge, type Decision, type Judgment, type JudgeTask, type Pair, pairsOf, progressOf } from './judged.ts';
import type { Question } from './rows.ts';
import { type PairVerdict, parsePairVerdict, parseRating, tieDelta } from './verdict.ts';

/** Answers that are known to be right, by question: their turns. */
export type References = ReadonlyMap<string, readonly string[]>;

/** A pair of answers, judged twice. */
export interface Game extends Decision {
  readonly prompt: JudgePromptName;
  /** With the answer of `a` first, and with that of `b` first. */
  readonly judgments: readonly [
    Judgment & { readonly verdict: PairVerdict },
    Judgment & { readonly verdict: PairVerdict },
  ];
}

/** One answer, rated. */
export interface Rating {
  readonly question: string;
  readonly system: string;
  readonly turn: number;
  readonly category?: string | undefined;
  readonly prompt: JudgePromptName;
  /** 1 to 10; null where the judge gave none. */
  readonly rating: number | null;
  readonly judgment: Judgment;
}

/** MT-Bench judges two turns; of longer talks the first two are judged. */
const mostTurns = 2;

/** A question and a turn that all systems answered. */
interface Round {
  readonly question: Question;
  /** 0 or 1. */
  readonly turn: number;
  readonly reference: readonly string[] | undefined;
}

function roundsOf(task: JudgeTask, references: References): readonly Round[] {
  const answered = (id: string): number => Math.min(...[...task.systems.values()].map((rows) => rows.get(id)!.length));
  return task.questions.flatMap((question) => {
    const turns = Math.min(mostTurns, question.turns.length, answered(question.id));
    const needed = question.category === undefined || referenceCategories.includes(question.category);
    const reference = needed ? references.get(question.id) : undefined;
    return Array.from({ length: turns }, (_, turn): Round => {
      const usable = reference !== undefined && reference.length > turn ? reference : undefined;
      return { question, turn, reference: usable };
    });
  });
}

function promptName(kind: 'pair' | 'single', { turn, reference }: Round): JudgePromptName {
  const plain = kind === 'pair' ? 'pair-v2' : 'single-v1';
  const names = reference === undefined ? plain : (`${kind}-math-v1` as const);
  return turn === 0 ? names : `${names}-multi-turn`;
}

function commonPlaces({ question, turn, reference }: Round): Record<string, string> {
  return {
    ...(turn === 0 ? { question: question.turns[0]! } : {}),
    question_1: question.turns[0]!,
    question_2: question.turns[1] ?? '',
    ref_answer_1: reference?.[0] ?? '',
    ref_answer_2: reference?.[1] ?? '',
  };
}

/** Both answers in the places of a pair prompt. */
function pairPlaces(first: readonly string[], second: readonly string[]): Record<string, string> {
  const places = (name: string, turns: readonly string[]): Record<string, string> => ({
    [`answer_${name}`]: turns[0]!,
    [`answer_${name}_1`]: turns[0]!,
    [`answer_${name}_2`]: turns[1] ?? '',
  });
  return { ...places('a', first), ...places('b', second) };
}

const swapped: Readonly<Record<PairVerdict, PairVerdict>> = {
  first: 'second',
  second: 'first',
  tie: 'tie',
  unreadable: 'unreadable',
};

/** A win counts only where both orders say so; an order that cannot be read leaves the game without an outcome. */
export function outcomeOf(first: PairVerdict, second: PairVerdict): Outcome | 'unreadable' {
  if (first === 'unreadable' || second === 'unreadable') return 'unreadable';
  if (first !== swapped[second] || first === 'tie') return 'tie';
  return first === 'first' ? 'win' : 'loss';
}

/** Judges every two answers to every question and turn, in both orders. */
export async function playPairs(task: JudgeTask, references: References): Promise<Game[]> {
  const rounds = roundsOf(task, references);
  const games = pairsOf([...task.systems.keys()]).flatMap((pair) => rounds.map((round) => ({ pair, round })));
  const step = progressOf(task, 2 * games.length);
  const judge = async (round: Round, first: readonly string[], second: readonly string[]) => {
    const { system, template } = task.prompts[promptName('pair', round)];
    const prompt = fillPrompt(template, { ...commonPlaces(round), ...pairPlaces(first, second) });
    const judgment = await askJudge(task, system, prompt);
    step();
    return { ...judgment, verdict: parsePairVerdict(judgment.text) };
  };
  return mapConcurrently(games, task.judge.atOnce, async ({ pair: { a, b }, round }): Promise<Game> => {
    const { question, turn } = round;
    const [ofA, ofB] = [task.systems.get(a)!.get(question.id)!, task.systems.get(b)!.get(question.id)!];
    const judgments = await settleAll([judge(round, ofA, ofB), judge(round, ofB, ofA)]);
    return {
      question: question.id,
      turn: turn + 1,
      ...(question.category === undefined ? {} : { category: question.category }),
      a,
      b,
      prompt: promptName('pair', round),
      lengths: [ofA[turn]!.length, ofB[turn]!.length],
      outcome: outcomeOf(judgments[0].verdict, judgments[1].verdict),
      judgments,
    };
  });
}

/** Rates every answer to every question and turn. */
export async function rateAnswers(task: JudgeTask, references: References): Promise<Rating[]> {
  const works = [...task.systems.keys()].flatMap((system) =>
    roundsOf(task, references).map((round) => ({ system, round })),
  );
  const step = progressOf(task, works.length);
  return mapConcurrently(works, task.judge.atOnce, async ({ system: name, round }): Promise<Rating> => {
    const { question, turn } = round;
    const turns = task.systems.get(name)!.get(question.id)!;
    const prompt = promptName('single', round);
    const { system, template } = task.prompts[prompt];
    const places = { ...commonPlaces(round), answer: turns[0]!, answer_1: turns[0]!, answer_2: turns[1] ?? '' };
    const judgment = await askJudge(task, system, fillPrompt(template, places));
    step();
    return {
      question: question.id,
      system: name,
      turn: turn + 1,
      ...(question.category === undefined ? {} : { category: question.category }),
      prompt,
      rating: parseRating(judgment.text) ?? null,
      judgment,
    };
  });
}

/** What ratings say of every two systems. */
export function decideRatings(task: JudgeTask, ratings: readonly Rating[]): Decision[] {
  const byAnswer = new Map(ratings.map((rating) => [`${rating.system}\0${rating.question}\0${rating.turn}`, rating]));
  const decide = ({ a, b }: Pair, mine: Rating): Decision => {
    const other = byAnswer.get(`${b}\0${mine.question}\0${mine.turn}`)!;
    const length = (name: string): number => task.systems.get(name)!.get(mine.question)![mine.turn - 1]!.length;
    return {
      question: mine.question,
      turn: mine.turn,
      ...(mine.category === undefined ? {} : { category: mine.category }),
      a,
      b,
      lengths: [length(a), length(b)],
      outcome: compareRatings(mine.rating, other.rating),
    };
  };
  return pairsOf([...task.systems.keys()]).flatMap((pair) =>
    ratings.filter(({ system }) => system === pair.a).map((mine) => decide(pair, mine)),
  );
}

/** The outcome of two ratings. */
export function compareRatings(mine: number | null, other: number | null): Decision['outcome'] {
  if (mine === null || other === null) return 'unreadable';
  // Decimal ratings such as 7.6 and 7.5 differ by a hair more than 0.1 in binary.
  if (Math.abs(mine - other) <= tieDelta + 1e-9) return 'tie';
  return mine > other ? 'win' : 'loss';
}
