import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { configFromOptions, type FettleConfig, type FettleOptions } from '../../config/index.ts';
import { type MockAnswer, type MockServer, startMockServer } from '../../endpoint/mock-server.fixture.ts';
import { hashKey, RandomStream } from '../../util/index.ts';
import { auditPairs } from './audit.ts';
import { judgePrompts } from './judge-prompts.ts';
import type { Ask, Participant, Respond } from './participant.ts';
import { type PkResults, summarize } from './results.ts';
import { type PkOptions, runPk } from './run.ts';
import { playPairs } from './whole-answers.ts';

const root = mkdtempSync(join(tmpdir(), 'fettle-pk-'));
const servers: MockServer[] = [];
afterAll(async () => {
  await Promise.all(servers.map(async (server) => server.close()));
  rmSync(root, { recursive: true, force: true });
});

async function serve(answer: (user: string, index: number) => string | MockAnswer): Promise<MockServer> {
  const server = await startMockServer(({ body }, index) => {
    const told = answer(body.messages.at(-1)!.content, index);
    return typeof told === 'string' ? { text: told } : told;
  });
  servers.push(server);
  return server;
}

let files = 0;
function jsonl(rows: readonly object[]): string {
  const path = join(root, `rows-${files++}.jsonl`);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

const config = (options: FettleOptions): FettleConfig =>
  configFromOptions({ outputDir: join(root, `out-${files++}`), maxNewTokens: 64, ...options }).config;

const serverOf = (server: MockServer): { base_url: string; model: string } => ({
  base_url: server.baseUrl,
  model: 'm',
});

/** Answers whose quality is a number in them: what a judge with eyes sees. */
function answersFile(count: number, quality: (question: number) => number): string {
  return jsonl(
    Array.from({ length: count }, (_, q) => ({ id: `q${q}`, prompt: `ask ${q}`, answer: `it is ${quality(q)}` })),
  );
}

const shownAnswers = (prompt: string): [number, number] =>
  ['A', 'B'].map((name) => {
    const match = new RegExp(`Start of Assistant ${name}'s Answer\\]\\n[^\\n]*?(-?\\d+)\\n`).exec(prompt);
    return Number(match?.[1]);
  }) as [number, number];

const fairVerdict = (prompt: string): string => {
  const [a, b] = shownAnswers(prompt);
  return a === b ? 'Both. [[C]]' : a > b ? 'A is larger, not [[B]]: [[A]]' : 'My verdict: [[B]]';
};

const codes = (results: PkResults): string[] => results.findings.map(({ code }) => code);

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

test('predictions of two runs compete as they are: rows by their order, labels as references', async () => {
  const predictions = (answer: string): string =>
    jsonl([1, 2, 3].map((row) => ({ prompt: `ask ${row}`, predict: `${answer} ${row}`, label: `right ${row}` })));
  const prompts: string[] = [];
  const { results } = await runPk(
    config({
      systems: { x: { answers: predictions('x') }, y: { answers: predictions('y') } },
      judge: {},
      maxSamples: 2,
    }),
    {
      judge: ({ messages }) => {
        prompts.push(messages.at(-1)!.content);
        return '[[C]]';
      },
    },
  );
  expect(results).toMatchObject({ n: 2, ties: 2 });
  expect(prompts.every((text) => /Reference Answer\]\nright [12]\n/.test(text))).toBe(true);
});

describe('MT-Bench', () => {
  const questions = jsonl([
    { question_id: 81, category: 'writing', turns: ['write', 'rewrite'] },
    { question_id: 111, category: 'math', turns: ['add', 'subtract'] },
    { question_id: 121, category: 'coding', turns: ['code'] },
  ]);
  const references = jsonl([{ question_id: 111, choices: [{ index: 0, turns: ['ref one', 'ref two'] }] }]);
  const model = (name: string): string =>
    jsonl(
      [81, 111, 121].map((id) => ({ question_id: id, choices: [{ index: 0, turns: [`${name} 1`, `${name} 2`] }] })),
    );

  test('both turns are judged with the prompts of their kind; a question is one outcome', async () => {
    const prompts: string[] = [];
    const { results } = await runPk(
      config({ questions, references, systems: { a: { answers: model('x') }, b: { answers: model('y') } }, judge: {} }),
      {
        judge: ({ messages: [system, user] }) => {
          prompts.push(`${system!.content}\n${user!.content}`);
          // The second turn of 81 is lost by a, all else is won.
          const lost = user!.content.includes('rewrite');
          const aFirst = /Assistant A(?:'s Answer\]|:)\n[^\n]*x 1/.test(user!.content);
          return aFirst === lost ? '[[B]]' : '[[A]]';
        },
      },
    );
    expect(prompts).toHaveLength(10);
    expect(prompts.filter((text) => text.includes('ref one'))).toHaveLength(4);
    expect(prompts.filter((text) => text.includes('ref two') && text.includes('second user question'))).toHaveLength(2);
    expect(prompts.filter((text) => text.includes('[User Question]\nwrite\n'))).toHaveLength(2);
    expect(results).toMatchObject({ n: 3, wins: 2, ties: 1, losses: 0 });
    expect(results.groups).toEqual([
      { name: 'writing', wins: 1, ties: 0, losses: 1 },
      { name: 'math', wins: 2, ties: 0, losses: 0 },
      { name: 'coding', wins: 1, ties: 0, losses: 0 },
      { name: 'turn 1', wins: 3, ties: 0, losses: 0 },
      { name: 'turn 2', wins: 1, ties: 0, losses: 1 },
    ]);
  });

  const shared = join(import.meta.dirname, '../../../../shared/data/eval/mt_bench');
  test.skipIf(!existsSync(shared))(
    "FastChat's own files: 80 questions, 30 of them beside a reference (needs ../shared/data)",
    async () => {
      const prompts: string[] = [];
      const { results } = await runPk(
        config({
          questions: join(shared, 'question.jsonl'),
          references: join(shared, 'reference_answer_gpt-4.jsonl'),
          systems: { f: {}, g: {} },
          judge: {},
        }),
        {
          systems: { f: () => 'long answer', g: () => 'short' },
          judge: ({ messages }) => {
            prompts.push(messages.at(-1)!.content);
            return /Assistant A(?:'s Answer\]|:)\n+long/.test(messages.at(-1)!.content) ? '[[A]]' : '[[B]]';
          },
        },
      );
      expect(results).toMatchObject({ n: 80, wins: 80, order_agreement: 1 });
      expect(prompts).toHaveLength(320);
      expect(prompts.filter((text) => text.includes('The Start of Reference Answer'))).toHaveLength(120);
      expect(results.groups).toHaveLength(10);
    },
  );

  test('in the form of scores each answer is rated once; a tenth of a point is a tie', async () => {
    const ratings: Record<string, string> = { 'x 1': '[[8]]', 'y 1': '[[7.9]]', 'x 2': 'Rating: [3]', 'y 2': '[[9]]' };
    const judge = await serve(
      (user) =>
        ratings[/(?:Answer\]|Assistant A:)\n(?=[\s\S]*?)([xy] \d)(?![\s\S]*[xy] \d)/.exec(user)?.[1] ?? last(user)]!,
    );
    const last = (user: string): string => [...user.matchAll(/[xy] \d/g)].at(-1)![0];
    const { results } = await runPk(
      config({
        pkForm: 'score',
        questions,
        references,
        systems: { a: { answers: model('x') }, b: { answers: model('y') } },
        judge: serverOf(judge),
      }),
    );
    expect(judge.requests).toHaveLength(10);
    expect(results).toMatchObject({ n: 3, wins: 0, ties: 1, losses: 2, order_agreement: null, order: null });
    expect(results.means).toEqual([
      { system: 'a', mean: (8 * 3 + 3 * 2) / 5, ci: expect.anything() as unknown, n: 5 },
      {
        system: 'b',
        mean: expect.closeTo((7.9 * 3 + 9 * 2) / 5, 9) as unknown,
        ci: expect.anything() as unknown,
        n: 5,
      },
    ]);
  });

  test('systems answer turn by turn, with the talk before; three systems get strengths', async () => {
    const server = await serve((user) => `<think>served?</think>\n\nserved ${user}`);
    const asked: Ask[] = [];
    const options: PkOptions = {
      systems: {
        f: (ask) => {
          asked.push(ask);
          return `own ${ask.messages.length}`;
        },
      },
      judge: ({ messages }) => (messages.at(-1)!.content.includes('served') ? '[[A]]' : '[[C]]'),
    };
    const { results } = await runPk(
      config({
        questions,
        doSample: false,
        systems: {
          f: { system: 'be brief' },
          s: { ...serverOf(server), extra: { top_k: 3 } },
          file: { answers: model('z') },
        },
        judge: {},
      }),
      options,
    );
    expect(asked.find(({ messages }) => messages.at(-1)!.content === 'rewrite')).toEqual({
      messages: [
        { role: 'system', content: 'be brief' },
        { role: 'user', content: 'write' },
        { role: 'assistant', content: 'own 2' },
        { role: 'user', content: 'rewrite' },
      ],
      maxTokens: 64,
      temperature: 0,
    });
    expect(server.requests).toHaveLength(5);
    // Thoughts are in the journal, and neither in the talk nor before the judge.
    const talk = server.requests.find(({ body }) => body.messages.length === 3)!.body.messages;
    expect(talk[1]!.content).toMatch(/^served (?:write|add)$/);
    expect(server.requests[0]!.body).toMatchObject({ max_tokens: 64, temperature: 0, top_k: 3 });
    expect(results.pairs.map(({ a, b }) => `${a}-${b}`)).toEqual(['f-s', 'f-file', 's-file']);
    expect(results.strengths.map(({ system }) => system)).toEqual(['f', 's', 'file']);
    expect(results.pairs.every(({ p_holm: holm, p_value: p }) => holm >= p)).toBe(true);
  });
});

describe('review points', () => {
  const human = jsonl([
    { paper_id: 'p1', review: '## Method\n- sound proof\n- no ablation\n## Novelty\n- new idea' },
    { paper_id: 'p1', review: { Method: ['weak baselines'] } },
    { paper_id: 'p2', reviews: ['- too long'] },
    { paper_id: 'p3', reviews: ['<No related terms>'] },
  ]);
  const papers = jsonl(['p1', 'p2', 'p3'].map((id) => ({ id, prompt: `paper ${id}` })));
  const good = jsonl([
    { id: 'p1', review: '## Method\n- sound proof\n- no ablation\n## Novelty\n- <No related terms>' },
    { id: 'p2', review: '## Clarity\n- too long' },
    { id: 'p3', review: '- x' },
  ]);
  const poor = jsonl([
    { id: 'p1', review: { Method: ['nice', 'sound proof'], Novelty: ['new idea'] } },
    { id: 'p2', review: 'nothing' },
    { id: 'p3', review: '- x' },
  ]);
  const options = { pkForm: 'aspects' as const, questions: papers, references: human };
  const systems = { good: { answers: good }, poor: { answers: poor } };
  /** Finds the point whose words are the same. */
  const lookUp: Respond = ({ messages }) => {
    const text = messages.at(-1)!.content;
    const item = /\[Point to check\]\n(?:\([^)]*\) )?(.*)/.exec(text)![1]!;
    const found = [...text.matchAll(/^(\d+)\. (?:\([^)]*\) )?(.*)$/gm)].find((match) => match[2] === item);
    return `I looked. [[${found?.[1] ?? 0}]]`;
  };

  test('confirmed items decide a paper, over all and by aspect; papers that confirm nothing are left out', async () => {
    const { results, files: written } = await runPk(config({ ...options, systems, judge: {} }), { judge: lookUp });
    expect(results).toMatchObject({ form: 'aspects', n: 2, wins: 1, ties: 1, losses: 0, order_agreement: 1 });
    expect(results.groups).toEqual([
      { name: 'Method', wins: 1, ties: 1, losses: 0 },
      { name: 'Novelty', wins: 0, ties: 1, losses: 1 },
      { name: 'Clarity', wins: 1, ties: 1, losses: 0 },
      { name: '', wins: 0, ties: 2, losses: 0 },
    ]);
    expect(results.means).toMatchObject([
      { system: 'good', mean: 1, n: 3 },
      { system: 'poor', mean: 0.5, n: 4 },
    ]);
    expect(codes(results)).toContain('papers-without-items');
    expect(results.order).toMatchObject({ same_match: 1, kappa: 1 });
    expect(written.map((file) => file.split('/').at(-1))).toContain('pk_groups.svg');
    const declared = await runPk(config({ ...options, systems, aspects: ['Novelty', 'Method'], judge: {} }), {
      judge: lookUp,
    });
    expect(declared.results.groups.map(({ name }) => name)).toEqual(['Novelty', 'Method', '']);
  });

  test('an item counts only where both looks find it; a judge that names the first point is exposed', async () => {
    const many = (what: string): string =>
      jsonl(
        ['p1', 'p2', 'p3'].map((id) => ({
          id,
          review: Array.from({ length: 30 }, (_, i) => `- ${what} ${i}`).join('\n'),
        })),
      );
    const list = jsonl(['p1', 'p2', 'p3'].map((id) => ({ id, review: '- a\n- b\n- c\n- d' })));
    const both = { systems: { x: { answers: many('x') }, y: { answers: many('y') } }, judge: {} };
    const first = await runPk(config({ ...options, references: list, ...both }), { judge: () => '[[1]]' });
    expect(codes(first.results)).toEqual(expect.arrayContaining(['judge-favours-place', 'judge-says-one-thing']));
    expect(first.results.order).toMatchObject({ first_place: 0, same_match: 0 });
    let looks = 0;
    const oneLook = await runPk(config({ ...options, references: list, ...both }), {
      judge: () => `[[${looks++ % 2}]]`,
    });
    expect(oneLook.results).toMatchObject({ wins: 0, losses: 0, order_agreement: 0 });
    expect(oneLook.results.means).toMatchObject([{ mean: 0 }, { mean: 0 }]);
    expect(codes(oneLook.results)).toContain('judge-like-chance');
    const beyond = await runPk(config({ ...options, references: list, ...both }), { judge: () => '[[5]]' });
    expect(codes(beyond.results)).toContain('judgments-unreadable');
  });

  test('reviews of free text are split by the judge first', async () => {
    const free = jsonl(['p1', 'p2', 'p3'].map((id) => ({ id, reviews: ['The proof is sound. It is long.'] })));
    const split: string[] = [];
    const { results } = await runPk(
      config({ ...options, references: free, systems, splitReviews: 'judge', aspects: ['Method'], judge: {} }),
      {
        judge: (ask) => {
          const text = ask.messages.at(-1)!.content;
          if (!text.startsWith('[Review]')) return lookUp(ask);
          split.push(text);
          return text.includes('The proof is sound') ? '## Method\n- sound proof\n- long' : '## Method\n- sound proof';
        },
      },
    );
    expect(split.some((text) => text.includes('Use these aspects and no others: Method.'))).toBe(true);
    // The same human review stands for three papers and is split once; a review that is no text is not split.
    expect(split.filter((text) => text.includes('The proof is sound'))).toHaveLength(1);
    expect(results).toMatchObject({ n: 3, form: 'aspects' });
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
