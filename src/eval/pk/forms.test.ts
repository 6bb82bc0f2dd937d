import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { cleanUp, codes, config, jsonl, serve, serverOf } from './comparison.fixture.ts';
import type { Ask, Respond } from './participant.ts';
import { type PkOptions, runPk } from './run.ts';

afterAll(cleanUp);

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
