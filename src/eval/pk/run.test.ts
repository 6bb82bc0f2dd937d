import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { FettleOptions } from '../../config/index.ts';
import { hashKey, RandomStream } from '../../util/index.ts';
import { auditPairs } from './audit.ts';
import { answersFile, cleanUp, codes, config, jsonl, root, serve, serverOf } from './comparison.fixture.ts';
import { judgePrompts } from './judge-prompts.ts';
import type { Participant, Respond } from './participant.ts';
import { summarize } from './results.ts';
import { runPk } from './run.ts';
import { playPairs } from './whole-answers.ts';

afterAll(cleanUp);

const shownAnswers = (prompt: string): [number, number] =>
  ['A', 'B'].map((name) => {
    const match = new RegExp(`Start of Assistant ${name}'s Answer\\]\\n[^\\n]*?(-?\\d+)\\n`).exec(prompt);
    return Number(match?.[1]);
  }) as [number, number];

const fairVerdict = (prompt: string): string => {
  const [a, b] = shownAnswers(prompt);
  return a === b ? 'Both. [[C]]' : a > b ? 'A is larger, not [[B]]: [[A]]' : 'My verdict: [[B]]';
};

describe('pairs', () => {
  test('a system that is better on 60 % of the questions is found; the report tells how', async () => {
    const better = (q: number): boolean => hashKey('planted', q) / 2 ** 32 < 0.6;
    const a = answersFile(260, (q) => (better(q) ? 9 : 5));
    const b = answersFile(260, () => 7);
    const judge = await serve(fairVerdict);
    const settings = config({
      systems: { tuned: { answers: a }, base: { answers: b } },
      judge: { ...serverOf(judge), price: { input: 1, output: 2 } },
    });
    const { results, files: written } = await runPk(settings);
    const wins = Array.from({ length: 260 }, (_, q) => q).filter(better).length;
    expect(results).toMatchObject({
      a: 'tuned',
      b: 'base',
      n: 260,
      wins,
      ties: 0,
      losses: 260 - wins,
      win_rate: wins / 260,
      better: 'a',
      order_agreement: 1,
      unreadable: 0,
    });
    expect(results.ci![0]).toBeGreaterThan(0.5);
    expect(results.p_value).toBeLessThan(0.05);
    expect(judge.requests).toHaveLength(520);
    expect(judge.requests[0]!.body).toMatchObject({ temperature: 0, max_tokens: 2048 });
    expect(judge.requests[0]!.body.messages[0]).toEqual({ role: 'system', content: judgePrompts['pair-v2'].system });
    expect(results.judge).toMatchObject({ asked: 520, remembered: 0, kind: 'server', title: 'm' });
    expect(results.judge.cost).toBeCloseTo((results.judge.promptTokens + 2 * results.judge.completionTokens) / 1e6, 12);
    const names = written.map((file) => file.split('/').at(-1));
    expect(names).toEqual(['pk.html', 'pk_results.json', 'pk_games.jsonl', 'journal.jsonl', 'pk.svg', 'pk.png']);
    const page = readFileSync(written[0]!, 'utf8');
    expect(page).toContain('tuned is better: tuned wins');
    expect(page).toContain('A is larger, not [[B]]: [[A]]');
    expect(page).not.toMatch(/https?:\/\/(?!www\.w3\.org)|<script/);
    expect(readFileSync(written[4]!, 'utf8')).toContain('base wins');
    // Again: nothing is asked, the result is the same.
    const again = await runPk(settings);
    expect(judge.requests).toHaveLength(520);
    expect(again.results).toMatchObject({ ...results, judge: { asked: 0, remembered: 520, cost: 0 } });
  });

  test('a system against itself under a judge of chance: one half is covered in at least 93 of 100 trials', async () => {
    const questions = Array.from({ length: 60 }, (_, q) => ({ id: `q${q}`, turns: [`ask ${q}`] }));
    let [covered, claims, exposed] = [0, 0, 0];
    for (let trial = 0; trial < 100; trial++) {
      const random = new RandomStream(hashKey('self', trial));
      const samples = (): Map<string, string[]> => new Map(questions.map(({ id }) => [id, [`${random.nextInt(100)}`]]));
      const judge = chanceJudge(() => random.next());
      const games = await playPairs(
        {
          questions,
          systems: new Map([
            ['one', samples()],
            ['same', samples()],
          ]),
          judge,
          prompts: judgePrompts,
          maxTokens: 9,
          onProgress: () => undefined,
        },
        new Map(),
      );
      const results = summarize({
        ...empty,
        names: ['one', 'same'],
        questions: questions.map(({ id }) => id),
        decisions: games,
        order: auditPairs(games, trial),
      });
      if (results.ci![0] <= 0.5 && results.ci![1] >= 0.5) covered++;
      if (results.better !== null) claims++;
      if (codes(results).includes('judge-like-chance')) exposed++;
    }
    expect(covered).toBeGreaterThanOrEqual(93);
    expect(claims).toBeLessThanOrEqual(7);
    // 97.5 % of the intervals of kappa begin at or below 0.
    expect(exposed).toBeGreaterThanOrEqual(90);
  });

  test('a judge that takes what stands first is exposed, and its verdicts prove nothing', async () => {
    const judge = await serve(() => 'The first is better. [[A]]');
    const { results, files: written } = await runPk(
      config({
        systems: { x: { answers: answersFile(40, () => 9) }, y: { answers: answersFile(40, () => 1) } },
        judge: serverOf(judge),
      }),
    );
    expect(codes(results)).toContain('judge-favours-place');
    expect(codes(results)).toContain('judge-like-chance');
    expect(results).toMatchObject({ ties: 40, order_agreement: 0, order: { first_place: 1, kappa: 0 } });
    expect(results.better).toBeNull();
    expect(readFileSync(written[0]!, 'utf8')).toContain('The judge favours a place');
  });

  test('a judge that decides nothing, and one that cannot be read, are named', async () => {
    const systems = { x: { answers: answersFile(30, () => 1) }, y: { answers: answersFile(30, () => 2) } };
    const tie = await runPk(config({ systems, judge: {} }), { judge: () => '[[C]]' });
    expect(codes(tie.results)).toContain('judge-says-one-thing');
    expect(tie.results).toMatchObject({ ties: 30, win_rate: 0.5, better: null });
    const dumb = await runPk(config({ systems, judge: {} }), {
      judge: ({ messages }) => (messages.at(-1)!.content.includes('ask 3\n') ? '[[A]]' : 'no idea'),
    });
    expect(codes(dumb.results)).toEqual(['judgments-unreadable', 'few-questions']);
    expect(dumb.results).toMatchObject({ n: 1, unreadable: 29, ties: 1 });
  });

  test('a preference for length is named, with the win rate at equal length', async () => {
    const long = jsonl(
      Array.from({ length: 60 }, (_, q) => ({ id: q, prompt: 'p', answer: 'x'.repeat(q % 3 === 0 ? 10 : 200) })),
    );
    const short = jsonl(Array.from({ length: 60 }, (_, q) => ({ id: q, prompt: 'p', answer: 'y'.repeat(50) })));
    const { results } = await runPk(
      config({ systems: { long: { answers: long }, short: { answers: short } }, judge: {} }),
      {
        judge: ({ messages }) => {
          const text = messages.at(-1)!.content;
          const [a, b] = ['A', 'B'].map(
            (n) => text.indexOf(`End of Assistant ${n}'s`) - text.indexOf(`Start of Assistant ${n}'s`),
          );
          return a! > b! ? '[[A]]' : '[[B]]';
        },
      },
    );
    expect(results.length).toMatchObject({ n: 60, longer_wins: 1 });
    expect(codes(results)).toContain('length-decides');
    expect(results.better).toBe('a');
    expect(results.length.controlled_win_rate!).toBeLessThan(0.6);
  });
});

describe('what is wrong is said before anybody is asked', () => {
  const systems = { x: { answers: answersFile(3, () => 1) }, y: { answers: answersFile(3, () => 1) } };
  const judge: Respond = () => {
    throw new Error('asked');
  };
  const run = async (options: FettleOptions): Promise<unknown> =>
    runPk(config({ systems, judge: {}, ...options }), { judge });

  test('wrong rows, each with its line; missing answers; ids', async () => {
    const file = jsonl([{ id: 1, answer: 'x' }, { id: 2 }, { id: 3, turns: [] }]);
    await expect(run({ systems: { ...systems, y: { answers: file } } })).rejects.toThrow(
      `${file}:2: must hold choices[0].turns, turns or one of answer, predict, response, output, review, text, got {"id":2}\n${file}:3: must hold`,
    );
    const short = answersFile(2, () => 1);
    await expect(run({ systems: { ...systems, y: { answers: short } } })).rejects.toThrow(
      `${short}: must have a row for every question, got none for 1 of 3 ("q2"). Set max_samples`,
    );
    const mixed = jsonl([{ id: 'q0', answer: 'x' }, { answer: 'x' }, { answer: 'x' }]);
    await expect(run({ systems: { ...systems, y: { answers: mixed } } })).rejects.toThrow('got 1 of 3');
    const twice = jsonl([
      { id: 'q0', answer: 'x' },
      { id: 'q0', answer: 'x' },
    ]);
    await expect(run({ systems: { ...systems, y: { answers: twice } } })).rejects.toThrow('got "q0" twice');
    await expect(run({ questions: jsonl([]) })).rejects.toThrow('must hold at least one row, got none');
    await expect(run({ questions: jsonl([{ id: 1 }]) })).rejects.toThrow(
      ':1: must hold turns (a list of texts), prompt',
    );
    await expect(run({ questions: join(root, 'none.jsonl') })).rejects.toThrow('cannot be read: no such file');
    await expect(run({ systems: { f: {}, g: {} } })).rejects.toThrow('questions: a file of questions must be given');
  });

  test('a participant that is nobody, a function that is no text, a review that is too long', async () => {
    await expect(runPk(config({ systems, judge: {} }))).rejects.toThrow(
      'judge: model_name_or_path, a server (model), answers',
    );
    await expect(runPk(config({ systems, judge: { plugin: 'mine' } }))).rejects.toThrow(
      'got "mine". None is registered',
    );
    await expect(runPk(config({ systems, judge: {} }), { judge: () => 5 as never })).rejects.toThrow('got number');
    await expect(
      runPk(config({ systems, judge: { answers: jsonl([{ key: 'k', scope: 's', text: 't' }]) } })),
    ).rejects.toThrow('must hold what judge is asked');
    const reviews = jsonl([{ id: 'q0', reviews: [Array.from({ length: 300 }, (_, i) => `- ${i}`).join('\n')] }]);
    await expect(run({ pkForm: 'aspects', references: reviews, maxSamples: 1 })).rejects.toThrow(
      'the review of "q0" must have at most 200 items, got 300',
    );
  });

  test('a stop keeps what was answered and says how to go on', async () => {
    const controller = new AbortController();
    const server = await serve((_, index) => {
      if (index === 2) controller.abort(new Error('stop'));
      return { text: '[[C]]', delayMs: 5 };
    });
    const two = { x: systems.x, y: { answers: answersFile(3, () => 2) } };
    const settings = config({ systems: two, judge: { ...serverOf(server), concurrency: 1 } });
    const stopped = runPk(settings, { signal: controller.signal });
    await expect(stopped).rejects.toMatchObject({ code: 'pk-stopped', fields: { done: 3 } });
    await runPk(settings);
    expect(server.requests).toHaveLength(6);
  });
});

const nobody = { name: 'x', kind: 'file', title: 'x' } as const;
const spending = {
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
};
const empty = {
  form: 'pair' as const,
  means: [],
  judgments: 0,
  unreadableJudgments: 0,
  cutJudgments: 0,
  cutAnswers: new Map<string, number>(),
  papersWithoutItems: 0,
  systems: [],
  judge: { ...nobody, ...spending },
  seed: 1,
};

/** A judge that draws A, B or C. */
function chanceJudge(next: () => number): Participant {
  return {
    ...nobody,
    atOnce: 1,
    spending,
    tell: async () => ({ key: '', text: `[[${'ABC'[Math.floor(next() * 3)]}]]`, finishReason: 'stop' }),
    close: async () => undefined,
  };
}
