/** Wording, windows and scores of tasks against lm-evaluation-harness (`bench/eval/record_tasks.py`), and tasks from files to numbers. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type FettleConfig, parseConfig } from '../../config/index.ts';
import { type Generator, openGenerator } from '../../generate/index.ts';
import { runTask } from '../run-task.ts';
import { choiceLetters, type ChoiceTaskName, factoryTurns, harnessContext } from './choice-form.ts';
import { lambadaParts } from './lambada.ts';
import { encodePair, scoreChoices, scorePairs } from './loglikelihood.ts';
import { slidingWindows } from './perplexity.ts';
import type { Question } from './questions.ts';

interface Sample {
  readonly arguments: readonly (readonly [string, string])[];
  /** ln p and whether greedy decoding would write it. */
  readonly responses: readonly (readonly [number, boolean])[];
}
interface RecordedTask {
  readonly subject: string;
  readonly shots: readonly (readonly [string, readonly string[], number])[];
  readonly questions: readonly (readonly [string, readonly string[], number])[];
  readonly shots_0: readonly Sample[];
  readonly shots_5: readonly Sample[];
  readonly metrics_0: Readonly<Record<string, number>>;
  readonly metrics_5: Readonly<Record<string, number>>;
}
interface Golden {
  readonly tasks: Readonly<Record<ChoiceTaskName, RecordedTask>> & {
    readonly lambada: RecordedTask & { readonly passages: readonly string[] };
  };
  readonly windows: readonly {
    readonly count: number;
    readonly longest: number;
    readonly windows: readonly (readonly [readonly number[], readonly number[]])[];
  }[];
}
const golden = JSON.parse(
  readFileSync(new URL('../../../test/goldens/eval/tasks.json', import.meta.url), 'utf8'),
) as Golden;
const names = ['mmlu', 'ceval', 'cmmlu'] as const;

function questions(list: RecordedTask['questions']): readonly Question[] {
  return list.map(([question, choices, answer]) => ({ question, choices, answer }));
}

const demo = join(import.meta.dirname, '../../../assets/demo/model');
let folder: string;
let generator: Generator;
function config(more: Record<string, unknown>): FettleConfig {
  const keys = { model_name_or_path: demo, threads: 1, seed: 5, ...more };
  return parseConfig(JSON.stringify(keys), 'eval.json').config;
}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-tasks-'));
  generator = await openGenerator(config({}));
});
afterAll(async () => {
  await generator.release();
  await rm(folder, { recursive: true, force: true });
});

describe.each(names)('%s', (name) => {
  const task = golden.tasks[name];
  it.each([0, 5] as const)('is worded as in lm-eval with %i solved questions', (count) => {
    const shots = questions(task.shots).slice(0, count);
    const contexts = questions(task.questions).map((question) => harnessContext(name, task.subject, shots, question));
    expect(contexts).toEqual(task[`shots_${count}`].map((sample) => sample.arguments[0]![0]));
    for (const sample of task[`shots_${count}`]) {
      expect(sample.arguments.map(([, continuation]) => continuation)).toEqual(
        choiceLetters.map((letter) => ` ${letter}`),
      );
    }
  });
  it.each([0, 5] as const)('is scored as by lm-eval with %i solved questions, cut ones too', async (count) => {
    // Long prompts cost time: two of them tell as much as eight.
    const samples = task[`shots_${count}`].slice(0, count === 0 ? 8 : 2);
    for (const sample of samples) {
      const continuations = sample.arguments.map(([, continuation]) => continuation);
      const scores = await scoreChoices(generator, sample.arguments[0]![0], continuations);
      scores.forEach((score, i) => expect(score).toBeCloseTo(sample.responses[i]![0], 3));
    }
  });
});

describe('lambada', () => {
  const { passages, shots_0: samples, metrics_0: metrics } = golden.tasks.lambada;
  it('is divided and scored as by lm-eval', async () => {
    const parts = passages.map(lambadaParts);
    expect(parts.map(({ context, continuation }) => [[context, continuation]])).toEqual(
      samples.map((sample) => sample.arguments),
    );
    const scores = await scorePairs(
      generator,
      parts.map((pair) => encodePair(generator, pair)),
    );
    scores.forEach(({ logprob, isGreedy }, i) => {
      expect(logprob).toBeCloseTo(samples[i]!.responses[0]![0], 3);
      expect(isGreedy).toBe(samples[i]!.responses[0]![1]);
    });
  });
  it('gives the numbers of lm-eval', async () => {
    const file = join(folder, 'lambada.jsonl');
    await writeFile(file, passages.map((text) => `${JSON.stringify({ text })}\n`).join(''));
    const result = await runTask(config({ task: 'lambada', task_dir: file }));
    expect(result).toMatchObject({ task: 'lambada', metric: 'acc', value: metrics['acc'], n: 6 });
    const [perplexity] = result.parts!;
    expect(perplexity).toMatchObject({ metric: 'perplexity', n: 6 });
    expect(perplexity!.value / metrics['perplexity']!).toBeCloseTo(1, 3);
  });
});

describe('perplexity', () => {
  it('has the windows of lm-eval where they do not overlap', () => {
    for (const { count, longest, windows } of golden.windows) {
      const ids = [1, ...Array.from({ length: count }, (_, i) => 100 + i)];
      const own = slidingWindows(ids.length, longest, longest).map(({ begin, from, end }) => [
        ids.slice(begin, from),
        ids.slice(from, end),
      ]);
      expect(own).toEqual(windows);
    }
  });
  it('counts each token once, with at least half a window of context', () => {
    const windows = slidingWindows(1000, 64, 32);
    expect(windows.flatMap(({ from, end }) => Array.from({ length: end - from }, (_, i) => from + i))).toEqual(
      Array.from({ length: 999 }, (_, i) => i + 1),
    );
    for (const { begin, from, end } of windows.slice(1)) {
      expect(from - begin).toBeGreaterThanOrEqual(32);
      expect(end - begin).toBeLessThanOrEqual(65);
    }
  });
  it('is the same for one long window and for the mean of its tokens', async () => {
    const text = 'We liked the snack. My brother found the room really bad.';
    const file = join(folder, 'text.txt');
    await writeFile(file, text);
    const result = await runTask(config({ task: 'perplexity', task_dir: file }));
    const [score] = await scorePairs(generator, [encodePair(generator, { context: '', continuation: text })]);
    expect(result.value).toBeCloseTo(Math.exp(-score!.logprob / result.n), 6);
    const parts = Object.fromEntries(result.parts!.map(({ metric, value }) => [metric, value]));
    expect(parts['bits_per_byte']! * Math.LN2 * text.length).toBeCloseTo(-score!.logprob, 6);
    const short = await runTask(
      config({ task: 'perplexity', task_dir: file, perplexity_window: 8, perplexity_stride: 2 }),
    );
    expect(short.n).toBe(result.n);
    expect(short.value).not.toBe(result.value);
  });
});

describe('tasks from files', () => {
  const cell = (text: string): string => `"${text.replaceAll('"', '""')}"`;
  const csv = (list: readonly Question[]): string =>
    list
      .map(({ question, choices, answer }) => [question, ...choices, choiceLetters[answer]!].map(cell).join(','))
      .join('\n');
  beforeAll(async () => {
    const { shots, questions: asked } = golden.tasks.mmlu;
    for (const part of ['dev', 'test']) await mkdir(join(folder, 'mmlu', part), { recursive: true });
    await writeFile(join(folder, 'mmlu/dev/astronomy_dev.csv'), csv(questions(shots)));
    await writeFile(join(folder, 'mmlu/test/astronomy_test.csv'), csv(questions(asked)));
  });

  it('give the accuracy of lm-eval, by subject and in all', async () => {
    const save = join(folder, 'results');
    const result = await runTask(config({ task: 'mmlu_test', task_dir: folder, n_shot: 5, save_dir: save }));
    const { acc } = golden.tasks.mmlu.metrics_5;
    expect(result).toMatchObject({ task: 'mmlu', metric: 'acc', value: acc, n: 8 });
    expect(result.parts).toMatchObject([{ task: 'mmlu_astronomy', metric: 'acc', value: acc, n: 8 }]);
    expect(result.ci![0]).toBeLessThanOrEqual(acc!);
    expect(JSON.parse(await readFile(join(save, 'results.json'), 'utf8'))).toEqual(result);
  });
  it('are asked in the template in the form of LLaMA-Factory', async () => {
    const more = { task: 'mmlu_test', task_dir: folder, n_shot: 1, prompt_form: 'llamafactory', max_samples: 2 };
    expect(await runTask(config(more))).toMatchObject({ n: 2, settings: { prompt_form: 'llamafactory', lang: 'en' } });
    const [shot, question] = questions(golden.tasks.mmlu.questions);
    const turns = factoryTurns('zh', '农学', [shot!], { ...question!, question: '谁？' });
    expect(turns.map(({ role }) => role)).toEqual(['user', 'assistant', 'user']);
    expect(turns[0]!.content.startsWith('以下是中国关于农学考试的单项选择题，请选出其中的正确答案。\n\n')).toBe(true);
    expect(turns[2]!.content).toBe(
      `谁？\nA. ${question!.choices[0]}\nB. ${question!.choices[1]}\nC. ${question!.choices[2]}\nD. ${question!.choices[3]}\n答案：`,
    );
  });
  it.each([
    [{ task: 'gsm8k' }, 'task-unknown'],
    [{ task: 'mmlu_first' }, 'task-part'],
    [{ task: 'ceval' }, 'task-files'],
    [{ task: 'mmlu', subjects: 'law' }, 'task-subject'],
    [{ task: 'lambada', task_dir: 'nowhere' }, 'file-unreadable'],
  ])('%j is refused with %s', async (more, code) => {
    await expect(runTask(config({ task_dir: folder, ...more }))).rejects.toMatchObject({ code });
  });
  it('a question without a published answer is refused with its line', async () => {
    await mkdir(join(folder, 'open/test'), { recursive: true });
    await writeFile(join(folder, 'open/test/law_test.csv'), 'id,question,A,B,C,D\n0,q,a,b,c,d\n');
    await expect(
      runTask(config({ task: 'ceval_test', n_shot: 0, task_dir: join(folder, 'open') })),
    ).rejects.toMatchObject({ code: 'task-answer', fields: { line: 2 } });
  });
});
