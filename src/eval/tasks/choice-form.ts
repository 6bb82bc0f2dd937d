/** How multiple-choice questions are worded: as lm-evaluation-harness 0.4.13 does, and as LLaMA-Factory does. Pure text. */
import { cevalSubjects, cmmluSubjects } from './chinese-subjects.ts';
import type { Question } from './questions.ts';

export const choiceTaskNames = ['mmlu', 'ceval', 'cmmlu'] as const;
export type ChoiceTaskName = (typeof choiceTaskNames)[number];

export const choiceLetters = ['A', 'B', 'C', 'D'] as const;

/** Wording of a task. */
interface Wording {
  readonly introduction: (subject: string) => string;
  readonly answer: string;
}

const english: Wording = {
  introduction: (subject) => `The following are multiple choice questions (with answers) about ${subject}.\n\n`,
  answer: 'Answer:',
};

const wordings: Readonly<Record<ChoiceTaskName, Wording>> = {
  mmlu: english,
  ceval: {
    introduction: (subject) => `以下是中国关于${subject}的单项选择题，请选出其中的正确答案。\n\n`,
    answer: '答案：',
  },
  cmmlu: {
    introduction: (subject) => `以下是关于${subject}的单项选择题，请直接给出正确答案的选项。\n\n`,
    answer: '答案：',
  },
};

const subjectNames: Readonly<Record<ChoiceTaskName, Readonly<Record<string, string>>>> = {
  mmlu: {},
  ceval: cevalSubjects,
  cmmlu: cmmluSubjects,
};

/** The name of a subject as its questions are introduced with. */
export function subjectName(task: ChoiceTaskName, file: string): string {
  return subjectNames[task][file] ?? file.replaceAll('_', ' ');
}

/** A question in the wording of lm-eval, up to where the answer is to come. */
function harnessQuestion({ question, choices }: Question, answer: string): string {
  const lines = choices.map((choice, i) => `${choiceLetters[i]!}. ${choice}`);
  return [question.trim(), ...lines, answer].join('\n');
}

/** The context of a question as lm-eval writes it; what is scored behind it is a blank and a letter. */
export function harnessContext(
  task: ChoiceTaskName,
  subject: string,
  shots: readonly Question[],
  question: Question,
): string {
  const { introduction, answer } = wordings[task];
  const solved = shots.map((shot) => `${harnessQuestion(shot, answer)} ${choiceLetters[shot.answer]!}\n\n`);
  return introduction(subjectName(task, subject)) + solved.join('') + harnessQuestion(question, answer);
}

/** LLaMA-Factory's two languages; the task does not matter to it. */
const factoryWordings: Readonly<Record<'en' | 'zh', Wording>> = {
  en: { ...english, answer: '\nAnswer:' },
  zh: {
    introduction: (subject) => `以下是中国关于${subject}考试的单项选择题，请选出其中的正确答案。\n\n`,
    answer: '\n答案：',
  },
};

/** A turn of the conversation that LLaMA-Factory asks in. */
export interface ChoiceTurn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** The turns of a question as LLaMA-Factory writes them; the letter comes as the next answer. */
export function factoryTurns(
  language: 'en' | 'zh',
  subject: string,
  shots: readonly Question[],
  question: Question,
): readonly ChoiceTurn[] {
  const { introduction, answer } = factoryWordings[language];
  const ask = ({ question: text, choices }: Question): ChoiceTurn => ({
    role: 'user',
    content: text + choices.map((choice, i) => `\n${choiceLetters[i]!}. ${choice}`).join('') + answer,
  });
  const turns = shots.flatMap((shot): ChoiceTurn[] => [
    ask(shot),
    { role: 'assistant', content: choiceLetters[shot.answer]! },
  ]);
  const [first, ...rest] = [...turns, ask(question)];
  return [{ ...first, content: introduction(subject) + first.content }, ...rest];
}
