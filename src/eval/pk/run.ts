/**
 * `fettle pk` from its configuration to its files: the systems answer, the judge judges, the figures are computed. Every
 * answer and judgment is in the journal before it is used, so that the same call goes on where another one ended.
 */
import { join } from 'node:path';
import type { FettleConfig } from '../../config/index.ts';
import { ConfigError, RunError } from '../../errors.ts';
import { openJournal } from '../../endpoint/index.ts';
import { writeAtomically, writeFileAtomically } from '../../formats/index.ts';
import { pluginsOf } from '../../plugins/index.ts';
import { acquireRunLock } from '../../run/index.ts';
import { writePicture } from '../picture-files.ts';
import { auditPairs, auditPoints } from './audit.ts';
import { mapConcurrently } from './concurrent.ts';
import { judgePrompts, readJudgePrompts } from './judge-prompts.ts';
import type { Answers, Decision, JudgeTask, Judgment } from './judged.ts';
import { comparisonPage, type JudgedPieces } from './page.ts';
import { openParticipant, type Participant, type Respond, type Surroundings } from './participant.ts';
import { groupBars, overallBars, strengthBars, winRates } from './pictures.ts';
import { meanOf, type ParticipantReport, type PkResults, summarize, type SystemMean } from './results.ts';
import { comparePoints } from './review-points.ts';
import { byQuestion, type Question, readAnswers, readQuestions, readReviews, withoutThoughts } from './rows.ts';
import { decideRatings, playPairs, rateAnswers, type References } from './whole-answers.ts';

/** What a comparison tells while it runs. */
export type PkEvent =
  | { readonly type: 'answering'; readonly system: string; readonly done: number; readonly total: number }
  | { readonly type: 'judging'; readonly done: number; readonly total: number };

/** What may be given besides a configuration. */
export interface PkOptions {
  /** A judge that is a function; it goes before the configuration's. */
  readonly judge?: Respond | undefined;
  /** Systems that are functions, by the names that they have in `systems`. */
  readonly systems?: Readonly<Record<string, Respond>> | undefined;
  readonly onEvent?: ((event: PkEvent) => void) | undefined;
  /** Stops: what is under way is finished and kept. */
  readonly signal?: AbortSignal | undefined;
  /** How servers are reached; for tests. */
  readonly endpoint?: Surroundings['endpoint'];
}

/** The result and where it lies. */
export interface PkRun {
  readonly results: PkResults;
  readonly files: readonly string[];
}

/** Names of the files in `output_dir`. */
export const pkFileNames = {
  journal: 'journal.jsonl',
  games: 'pk_games.jsonl',
  results: 'pk_results.json',
  page: 'pk.html',
} as const;

/** The keys that a comparison cannot do without. */
export function pkNeeds(config: FettleConfig): ('systems' | 'judge' | 'references' | 'output_dir')[] {
  return ['systems', 'judge', ...(config.pk_form === 'aspects' ? (['references'] as const) : []), 'output_dir'];
}

/** Everything that was read before anybody is asked. */
interface Material {
  readonly questions: readonly Question[];
  /** Answers that files hold, by system. */
  readonly answers: ReadonlyMap<string, Answers>;
  readonly references: References;
  readonly human: ReadonlyMap<string, readonly unknown[]>;
}

async function readMaterial(config: FettleConfig): Promise<Material> {
  const files = Object.entries(config.systems!).flatMap(([name, { answers }]) =>
    answers === undefined ? [] : [[name, answers] as const],
  );
  const rows = new Map(await Promise.all(files.map(async ([name, file]) => [name, await readAnswers(file)] as const)));
  const own = files.map(([name]) => rows.get(name)!);
  const withQuestions = own.find((list) => list.every(({ question }) => question !== undefined));
  const all =
    config.questions === undefined
      ? withQuestions?.map(({ id, question }, index): Question => ({ id: id ?? String(index), turns: [question!] }))
      : await readQuestions(config.questions);
  if (all === undefined) throw new ConfigError('pk-questions-missing', {});
  const questions = all.slice(0, config.max_samples);
  const answers = new Map(
    files.map(([name, file]) => {
      const found = byQuestion(file, rows.get(name)!, questions);
      return [name, new Map([...found].map(([id, list]) => [id, list[0]!.turns]))] as const;
    }),
  );
  const isAspects = config.pk_form === 'aspects';
  const { references: file } = config;
  const human = isAspects ? byQuestion(file!, await readReviews(file!), questions) : new Map<string, never[]>();
  // References need not be complete: MT-Bench has them for three of its eight categories.
  const given =
    isAspects || file === undefined
      ? (withQuestions ?? []).flatMap(({ id, reference }, i) =>
          reference === undefined ? [] : [{ id: id ?? String(i), turns: [reference] }],
        )
      : await readAnswers(file);
  const references = byQuestion(file ?? 'references', given, questions, false);
  return {
    questions,
    answers,
    references: new Map([...references].map(([id, [first]]) => [id, first!.turns])),
    human: new Map([...human].map(([id, list]) => [id, list.flatMap(({ reviews }) => reviews)])),
  };
}

/** What a system said, and how many of its answers were cut off. */
interface Answered {
  readonly answers: Answers;
  readonly cut: number;
}

/** Has a system answer every question, turn by turn. */
async function answerAll(
  participant: Participant,
  { config, questions, signal, onEvent }: { config: FettleConfig; questions: readonly Question[] } & PkOptions,
): Promise<Answered> {
  const { do_sample: draws, temperature, top_p: topP, seed, max_new_tokens: maxTokens } = config;
  const isDrawn = draws && temperature > 0;
  let [done, cut] = [0, 0];
  const total = questions.length;
  const tell = (): void => onEvent?.({ type: 'answering', system: participant.name, done, total });
  tell();
  const answers = await mapConcurrently(questions, participant.atOnce, async ({ turns }) => {
    const messages: { role: 'user' | 'assistant'; content: string }[] = [];
    const told: string[] = [];
    for (const content of turns) {
      messages.push({ role: 'user', content });
      const { text, finishReason } = await participant.tell(
        {
          messages: [...messages],
          maxTokens,
          temperature: isDrawn ? temperature : 0,
          ...(isDrawn ? { topP, seed } : {}),
        },
        signal,
      );
      const answer = withoutThoughts(text);
      messages.push({ role: 'assistant', content: answer });
      told.push(answer);
      if (finishReason === 'length') cut++;
    }
    done++;
    tell();
    return told;
  });
  return { answers: new Map(questions.map(({ id }, i) => [id, answers[i]!])), cut };
}

const reportOf = ({ name, kind, title, spending }: Participant): ParticipantReport => ({
  name,
  kind,
  title,
  ...spending,
});

/** A system whose answers lie in a file costs nothing. */
const fileReport = (name: string, file: string): ParticipantReport => ({
  name,
  kind: 'file',
  title: file,
  asked: 0,
  remembered: 0,
  tries: 0,
  promptTokens: 0,
  completionTokens: 0,
  untold: 0,
  rememberedPromptTokens: 0,
  rememberedCompletionTokens: 0,
  cost: null,
  rememberedCost: null,
});

/** What the judge found, whatever the form. */
interface Judged {
  readonly decisions: readonly Decision[];
  readonly groups?: ReadonlyMap<string, readonly Decision[]>;
  readonly order: PkResults['order'];
  readonly means: readonly SystemMean[];
  readonly judgments: readonly { readonly judgment: Judgment; readonly readable: boolean }[];
  readonly papersWithoutItems: number;
  readonly pieces: Pick<JudgedPieces, 'games' | 'ratings' | 'checks'>;
}

/** Numbers by their key, in the order of the keys' first occurrence. */
function byKey(pairs: readonly (readonly [string, number])[]): number[][] {
  const groups = new Map<string, number[]>();
  for (const [key, value] of pairs) groups.set(key, [...(groups.get(key) ?? []), value]);
  return [...groups.values()];
}

async function judgeAll(task: JudgeTask, config: FettleConfig, material: Material): Promise<Judged> {
  const nothing = { games: [], ratings: [], checks: [] };
  const names = [...task.systems.keys()];
  if (config.pk_form === 'pair') {
    const games = await playPairs(task, material.references);
    return {
      decisions: games,
      order: auditPairs(games, config.seed),
      means: [],
      judgments: games.flatMap(({ judgments }) =>
        judgments.map((judgment) => ({ judgment, readable: judgment.verdict !== 'unreadable' })),
      ),
      papersWithoutItems: 0,
      pieces: { ...nothing, games },
    };
  }
  if (config.pk_form === 'score') {
    const ratings = await rateAnswers(task, material.references);
    const of = (name: string): number[][] =>
      byKey(
        ratings.flatMap(({ system, question, rating }) =>
          system === name && rating !== null ? [[question, rating]] : [],
        ),
      );
    return {
      decisions: decideRatings(task, ratings),
      order: null,
      means: names.map((name) => meanOf(name, of(name), config.seed)),
      judgments: ratings.map(({ judgment, rating }) => ({ judgment, readable: rating !== null })),
      papersWithoutItems: 0,
      pieces: { ...nothing, ratings },
    };
  }
  const { aspects, empty_item: emptyItem, split_reviews: split } = config;
  const found = await comparePoints(task, material.human, { aspects, emptyItem, splitByJudge: split === 'judge' });
  const of = (name: string): number[][] =>
    byKey(
      found.checks.flatMap(({ system, question, confirmed }) =>
        system === name ? [[question, confirmed ? 1 : 0]] : [],
      ),
    );
  return {
    decisions: found.decisions,
    groups: found.byAspect,
    order: auditPoints(found.checks, found.human, config.seed),
    means: names.map((name) => meanOf(name, of(name), config.seed)),
    judgments: found.checks.flatMap(({ judgments }) =>
      judgments.map((judgment) => ({ judgment, readable: judgment.match !== undefined })),
    ),
    papersWithoutItems: found.papersWithoutItems.length,
    pieces: { ...nothing, checks: found.checks },
  };
}

async function writeResults(folder: string, results: PkResults, pieces: JudgedPieces): Promise<string[]> {
  const path = (name: string): string => join(folder, name);
  await writeAtomically(path(pkFileNames.games), async (file) => {
    for (const piece of [...pieces.games, ...pieces.ratings, ...pieces.checks]) {
      await file.appendFile(`${JSON.stringify(piece)}\n`);
    }
  });
  await writeFileAtomically(path(pkFileNames.results), `${JSON.stringify(results, null, 2)}\n`);
  await writeFileAtomically(path(pkFileNames.page), comparisonPage(results, pieces));
  const pictures: [string, string | undefined][] = [
    ['pk', overallBars(results)],
    ...(results.pairs.length > 1 ? [['pk_win_rates', winRates(results)] as [string, string]] : []),
    ['pk_strengths', strengthBars(results)],
    ...results.pairs.map((pair, i): [string, string | undefined] => [
      results.pairs.length === 1 ? 'pk_groups' : `pk_groups_${i + 1}`,
      groupBars(results, pair),
    ]),
  ];
  const drawn: string[] = [];
  for (const [name, svg] of pictures) if (svg !== undefined) drawn.push(...(await writePicture(folder, name, svg)));
  return [...[pkFileNames.page, pkFileNames.results, pkFileNames.games, pkFileNames.journal].map(path), ...drawn];
}

/**
 * Runs a comparison, or goes on with one: `systems`, `judge` and `output_dir` must be set, and `references` for aspects.
 * @throws ConfigError, DataError and FileError before anybody is asked where files or settings are wrong; BackendError
 *   where a server fails for good; RunError `run-locked`, and `pk-stopped` after a stop.
 */
export async function runPk(config: FettleConfig, options: PkOptions = {}): Promise<PkRun> {
  const material = await readMaterial(config);
  const prompts = config.judge_prompts === undefined ? judgePrompts : await readJudgePrompts(config.judge_prompts);
  const folder = config.output_dir!;
  const lock = await acquireRunLock(folder);
  try {
    const journal = await openJournal(join(folder, pkFileNames.journal));
    try {
      return await compare(config, options, { material, prompts, journal, folder });
    } catch (error) {
      if (options.signal?.aborted !== true || error !== options.signal.reason) throw error;
      throw new RunError('pk-stopped', { dir: folder, done: journal.size }, { cause: error });
    } finally {
      journal.close();
    }
  } finally {
    await lock.release();
  }
}

async function compare(
  config: FettleConfig,
  options: PkOptions,
  {
    material,
    prompts,
    journal,
    folder,
  }: { material: Material; prompts: JudgeTask['prompts']; journal: Surroundings['journal']; folder: string },
): Promise<PkRun> {
  const functions = new Map(Object.entries(options.systems ?? {}));
  if (options.judge !== undefined) functions.set('judge', options.judge);
  const around: Surroundings = {
    config,
    journal,
    functions,
    plugins: pluginsOf('judges') as ReadonlyMap<string, Respond>,
    endpoint: options.endpoint,
  };
  // All are opened before the first is asked: a missing key is said before anything is paid.
  const judge = await openParticipant('judge', config.judge ?? {}, around);
  const systems: [string, Participant | undefined][] = [];
  for (const [name, settings] of Object.entries(config.systems!)) {
    const isFile = settings.answers !== undefined && !functions.has(name);
    systems.push([name, isFile ? undefined : await openParticipant(name, settings, around)]);
  }
  const { questions } = material;
  const answers = new Map<string, Answers>();
  const cutAnswers = new Map<string, number>();
  const reports: ParticipantReport[] = [];
  try {
    for (const [name, participant] of systems) {
      if (participant === undefined) {
        answers.set(name, material.answers.get(name)!);
        reports.push(fileReport(name, config.systems![name]!.answers!));
        continue;
      }
      const answered = await answerAll(participant, { ...options, config, questions });
      answers.set(name, answered.answers);
      cutAnswers.set(name, answered.cut);
      reports.push(reportOf(participant));
      // A model's memory is free for the next one.
      await participant.close();
    }
    const task: JudgeTask = {
      questions,
      systems: answers,
      judge,
      prompts,
      maxTokens: config.judge_max_new_tokens,
      signal: options.signal,
      onProgress: (done, total) => options.onEvent?.({ type: 'judging', done, total }),
    };
    const judged = await judgeAll(task, config, material);
    const results = summarize({
      form: config.pk_form,
      names: [...answers.keys()],
      questions: questions.map(({ id }) => id),
      decisions: judged.decisions,
      groups: judged.groups,
      order: judged.order,
      means: judged.means,
      judgments: judged.judgments.length,
      unreadableJudgments: judged.judgments.filter(({ readable }) => !readable).length,
      cutJudgments: judged.judgments.filter(({ judgment }) => judgment.finish_reason === 'length').length,
      cutAnswers,
      papersWithoutItems: judged.papersWithoutItems,
      systems: reports,
      judge: reportOf(judge),
      seed: config.seed,
    });
    const byId = new Map(questions.map((question) => [question.id, question]));
    const pieces: JudgedPieces = {
      ...judged.pieces,
      questionOf: (id) => byId.get(id)!.turns.join('\n\n'),
      answersOf: (system, id) => answers.get(system)!.get(id)!,
    };
    return { results, files: await writeResults(folder, results, pieces) };
  } finally {
    await judge.close();
    for (const [, participant] of systems) await participant?.close();
  }
}
