/** MMLU, C-Eval and CMMLU: the answer whose letter is the most probable one next counts as the model's. */
import { encodePrompt } from '../../data/index.ts';
import type { Generator } from '../../generate/index.ts';
import { hashKey, permutation } from '../../util/index.ts';
import { choiceLetters, type ChoiceTaskName, factoryTurns, harnessContext } from './choice-form.ts';
import { scoreChoices, scoreNext } from './loglikelihood.ts';
import { type Question, readSubjects, type Subject } from './questions.ts';
import { accuracyOf, type TaskProgress, type TaskResult } from './task-result.ts';

/** How the questions are put. */
export interface ChoiceSettings {
  readonly task: ChoiceTaskName;
  readonly part?: string | undefined;
  readonly task_dir: string;
  readonly subjects: readonly string[];
  readonly n_shot: number;
  readonly lang: 'en' | 'zh';
  readonly prompt_form: 'lm-eval' | 'llamafactory';
  readonly max_samples?: number | undefined;
  readonly seed: number;
}

/** Questions that are put to the model at once, so that they share steps. */
const questionsAtOnce = 16;

/** ln p of each letter. */
type Ask = (subject: Subject, index: number) => Promise<readonly number[]>;

/** As lm-eval asks: the first solved questions, then the question, as one text. */
function askHarness(generator: Generator, { task, n_shot }: ChoiceSettings): Ask {
  const choices = choiceLetters.map((letter) => ` ${letter}`);
  return (subject, index) => {
    const shots = subject.shots.slice(0, n_shot);
    return scoreChoices(generator, harnessContext(task, subject.name, shots, subject.questions[index]!), choices);
  };
}

/** As LLaMA-Factory asks: solved questions drawn for each question, as turns in the template. */
function askFactory(generator: Generator, { lang, n_shot, seed }: ChoiceSettings): Ask {
  const { tokenizer } = generator.text;
  const template = generator.text.requireTemplate();
  const letters = choiceLetters.map((letter) => tokenizer.encode(letter).at(-1)!);
  return (subject, index) => {
    const order = permutation(subject.shots.length, hashKey('shots', seed, subject.name, index));
    const shots = Array.from(order.subarray(0, n_shot), (shot) => subject.shots[shot]!);
    const name = subject.name.replaceAll('_', ' ');
    const turns = factoryTurns(lang, name, shots, subject.questions[index]!);
    return scoreNext(generator, Array.from(encodePrompt(tokenizer, template, turns)), letters);
  };
}

/** The index of the highest value, the first of equal ones. */
function highest(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
}

/** Asks all questions. @throws what reading the questions throws; ConfigError `template-missing` in LLaMA-Factory's form. */
export async function runChoiceTask(
  generator: Generator,
  settings: ChoiceSettings,
  onProgress: TaskProgress = () => undefined,
): Promise<TaskResult> {
  const { task, part, seed, n_shot, prompt_form } = settings;
  const subjects = await readSubjects({
    task,
    part,
    taskDir: settings.task_dir,
    subjects: settings.subjects,
    withShots: n_shot > 0,
    maxSamples: settings.max_samples,
  });
  const ask = prompt_form === 'lm-eval' ? askHarness(generator, settings) : askFactory(generator, settings);
  const total = subjects.reduce((sum, { questions }) => sum + questions.length, 0);
  let done = 0;
  const isRight = async (subject: Subject, index: number, { answer }: Question): Promise<boolean> => {
    const right = highest(await ask(subject, index)) === answer;
    onProgress(++done, total);
    return right;
  };
  const bySubject: (readonly boolean[])[] = [];
  for (const subject of subjects) {
    const right: boolean[] = [];
    for (let from = 0; from < subject.questions.length; from += questionsAtOnce) {
      const group = subject.questions.slice(from, from + questionsAtOnce);
      right.push(...(await Promise.all(group.map((question, i) => isRight(subject, from + i, question)))));
    }
    bySubject.push(right);
  }
  return {
    ...accuracyOf(task, bySubject.flat(), seed),
    parts: subjects.map(({ name }, i) => accuracyOf(`${task}_${name}`, bySubject[i]!, seed)),
    settings: { n_shot, prompt_form, ...(prompt_form === 'lm-eval' ? {} : { lang: settings.lang, seed }) },
  };
}
