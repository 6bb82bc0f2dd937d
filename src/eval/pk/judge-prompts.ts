/**
 * What judges are asked. The prompts of whole answers are FastChat's (lm-sys/FastChat, fastchat/llm_judge, Apache-2.0),
 * byte for byte; those of reviews are ours.
 */
import { DataError } from '../../errors.ts';
import { isJsonObject, readTextRecords } from '../../formats/index.ts';

/** One prompt: a system text, and a text with places such as `{question}`. */
export interface JudgePrompt {
  readonly system: string;
  readonly template: string;
}

const impartial = (of: string): string =>
  `Please act as an impartial judge and evaluate the quality of ${of} displayed below.`;
const factors =
  'Your evaluation should consider factors such as the helpfulness, relevance, accuracy, depth, creativity, and level of detail of';
const unbiased =
  'Avoid any position biases and ensure that the order in which the responses were presented does not influence your decision. Do not allow the length of the responses to influence your evaluation. Do not favor certain names of the assistants. Be as objective as possible. After providing your explanation, output your final verdict by strictly following this format: "[[A]]" if assistant A is better, "[[B]]" if assistant B is better, and "[[C]]" for a tie.';
const correct = 'Your evaluation should consider correctness and helpfulness.';
const mistakes = 'Identify and correct any mistakes.';
const rate =
  'Be as objective as possible. After providing your explanation, you must rate the response on a scale of 1 to 10 by strictly following this format: "[[rating]]", for example: "Rating: [[5]]".';
const twoAssistants = 'the responses provided by two AI assistants to the user';
const oneAssistant = 'the response provided by an AI assistant to the user question';
const assistant = 'You are a helpful assistant.';

const answerOf = (name: string, place: string): string =>
  `[The Start of Assistant ${name}'s Answer]\n{${place}}\n[The End of Assistant ${name}'s Answer]`;
const bothAnswers = `${answerOf('A', 'answer_a')}\n\n${answerOf('B', 'answer_b')}`;
const oneAnswer = "[The Start of Assistant's Answer]\n{answer}\n[The End of Assistant's Answer]";
const reference = '[The Start of Reference Answer]\n{ref_answer_1}\n[The End of Reference Answer]';
const talk = (title: string, speaker: string, places: readonly [string, string]): string =>
  `<|The Start of ${title}|>\n\n### User:\n{question_1}\n\n### ${speaker}:\n{${places[0]}}\n\n### User:\n{question_2}\n\n### ${speaker}:\n{${places[1]}}\n\n<|The End of ${title}|>`;
const talkOf = (name: string, places: readonly [string, string]): string =>
  talk(`Assistant ${name}'s Conversation with User`, `Assistant ${name}`, places);
const bothTalks = `${talkOf('A', ['answer_a_1', 'answer_a_2'])}\n\n\n${talkOf('B', ['answer_b_1', 'answer_b_2'])}`;
const referenceTalk = talk('Reference Answer', 'Reference answer', ['ref_answer_1', 'ref_answer_2']);

/** Every prompt by its name. */
export const judgePrompts = {
  'pair-v2': {
    system: `${impartial(`${twoAssistants} question`)} You should choose the assistant that follows the user's instructions and answers the user's question better. ${factors} their responses. Begin your evaluation by comparing the two responses and provide a short explanation. ${unbiased}`,
    template: `[User Question]\n{question}\n\n${bothAnswers}`,
  },
  'pair-v2-multi-turn': {
    system: `Please act as an impartial judge and evaluate the quality of ${twoAssistants} questions. You should choose the assistant that follows the user's instructions and answers the user's questions better. ${factors} their responses. You should focus on who provides a better answer to the second user question. Begin your evaluation by comparing the responses of the two assistants and provide a short explanation. ${unbiased}`,
    template: bothTalks,
  },
  'pair-math-v1': {
    system: `${impartial(`${twoAssistants} question`)} ${correct} You will be given a reference answer, assistant A's answer, and assistant B's answer. Your job is to evaluate which assistant's answer is better. Begin your evaluation by comparing both assistants' answers with the reference answer. ${mistakes} ${unbiased}`,
    template: `[User Question]\n{question}\n\n${reference}\n\n${bothAnswers}`,
  },
  'pair-math-v1-multi-turn': {
    system: `Please act as an impartial judge and evaluate the quality of ${twoAssistants} questions. ${correct} You will be given reference answers, the assistant A's answers, the assistant B's answers. Your job is to determine which assistant provides correct and helpful answers to the second user question. Begin your evaluation by comparing both assistants' answers with the reference answers. ${mistakes} ${unbiased}`,
    template: `${referenceTalk}\n\n\n${bothTalks}`,
  },
  'single-v1': {
    system: assistant,
    template: `[Instruction]\n${impartial(oneAssistant)} ${factors} the response. Begin your evaluation by providing a short explanation. ${rate}\n\n[Question]\n{question}\n\n${oneAnswer}`,
  },
  'single-math-v1': {
    system: assistant,
    template: `[Instruction]\n${impartial(oneAssistant)} ${correct} You will be given a reference answer and the assistant's answer. Begin your evaluation by comparing the assistant's answer with the reference answer. ${mistakes} ${rate}\n\n[Question]\n{question}\n\n${reference}\n\n${oneAnswer}`,
  },
  'single-v1-multi-turn': {
    system: `${impartial(oneAssistant)} ${factors} the response. You evaluation should focus on the assistant's answer to the second user question. Begin your evaluation by providing a short explanation. ${rate}\n\n`,
    template: talkOf('A', ['answer_1', 'answer_2']),
  },
  'single-math-v1-multi-turn': {
    system: `Please act as an impartial judge and evaluate the quality of the response provided by an AI assistant to the user question. ${correct} You will be given a reference answer and the assistant's answer. You evaluation should focus on the assistant's answer to the second question. Begin your evaluation by comparing the assistant's answer with the reference answer. ${mistakes} ${rate}\n\n`,
    template: `${referenceTalk}\n\n\n${talkOf('A', ['answer_1', 'answer_2'])}`,
  },
  'aspect-match': {
    system:
      'You compare points that reviewers make about the same scientific paper. Two points match where they make the same observation about the same part of the work, in whatever words; being about the same topic is not enough.',
    template:
      '[Points of the human reviews]\n{points}\n\n[Point to check]\n{item}\n\nDoes one of the points of the human reviews match the point to check? Give a short explanation. Then output your final verdict by strictly following this format: "[[number]]", the number of the matching point, for example "[[3]]", or "[[0]]" if none matches.',
  },
  'aspect-split': {
    system: 'You break reviews of scientific papers into their separate points without changing what they say.',
    template:
      '[Review]\n{review}\n\nWrite down every separate point of this review, in the words of the review as far as possible. {instruction} Write each aspect as a line that begins with "## ", and below it each point as a line that begins with "- ". Under an aspect without points write "{empty}". Write nothing else.',
  },
} as const satisfies Readonly<Record<string, JudgePrompt>>;

/** Name of a prompt. */
export type JudgePromptName = keyof typeof judgePrompts;

/** All prompts, those of a file in place of ours. */
export type JudgePrompts = Readonly<Record<JudgePromptName, JudgePrompt>>;

/** Categories of MT-Bench whose answers are judged beside a reference. */
export const referenceCategories: readonly string[] = ['math', 'reasoning', 'coding'];

/**
 * A template with its places filled in. As in Python's `str.format`, a doubled brace is one brace; what is filled in is not
 * looked at again.
 */
export function fillPrompt(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/\{\{|\}\}|\{(\w+)\}/g, (whole, name: string | undefined) => {
    if (name === undefined) return whole[0]!;
    return Object.hasOwn(values, name) ? values[name]! : whole;
  });
}

const places = (template: string): Set<string> =>
  new Set([...template.replace(/\{\{|\}\}/g, '').matchAll(/\{(\w+)\}/g)].map((match) => match[1]!));

/**
 * Reads prompts in FastChat's form (`name`, `system_prompt`, `prompt_template`), one a line, over the built-in ones. Lines
 * with other names are left out, as FastChat's file holds some.
 * @throws DataError `judge-prompt` where a text is missing or asks for something that the prompt of this name is not given.
 */
export async function readJudgePrompts(file: string): Promise<JudgePrompts> {
  const prompts: Record<string, JudgePrompt> = { ...judgePrompts };
  for await (const records of readTextRecords(file, 'jsonl')) {
    for (const { line, value } of records) {
      const wrong = (requirement: string, actual: string): DataError =>
        new DataError('judge-prompt', { file, line, requirement, actual });
      if (!isJsonObject(value as never)) throw wrong('a JSON object', JSON.stringify(value ?? null).slice(0, 80));
      const { name, system_prompt: system, prompt_template: template } = value as Record<string, unknown>;
      if (typeof name !== 'string' || !Object.hasOwn(judgePrompts, name)) continue;
      if (typeof template !== 'string' || typeof system !== 'string') {
        throw wrong('system_prompt and prompt_template as texts', 'a line without one of them');
      }
      const known = places(judgePrompts[name as JudgePromptName].template);
      const unknown = [...places(template)].find((place) => !known.has(place));
      if (unknown !== undefined)
        throw wrong(`only the places ${[...known].map((p) => `{${p}}`).join(', ')}`, `{${unknown}}`);
      prompts[name] = { system, template };
    }
  }
  return prompts as JudgePrompts;
}
