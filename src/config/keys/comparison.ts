/** Keys of `pk`: who is compared on what, and who judges. */
import { z } from 'zod';
import { keysOf, positiveInteger, text, textList } from '../key.ts';

const key = keysOf('Pairwise comparison');

/** Names that can stand in files, charts and `systems.NAME.model=...`; a number would lose its place in the order. */
const participantName = /^\p{L}[\p{L}\p{N}_.-]{0,63}$/u;

/** Whom answers come from: one of our models, a server, a file, or a function of a plugin. */
const participant = z.strictObject({
  model_name_or_path: text.optional(),
  adapter_name_or_path: textList.optional(),
  template: text.optional(),
  provider: z.enum(['openai', 'deepseek', 'dashscope', 'vllm', 'ollama', 'compatible']).optional(),
  base_url: text.optional(),
  model: text.optional(),
  api_key_env: text.optional(),
  concurrency: positiveInteger.max(1024).optional(),
  timeout: z.number().positive().max(86_400).optional(),
  price: z.strictObject({ input: z.number().min(0), output: z.number().min(0) }).optional(),
  extra: z.record(z.string(), z.json()).optional(),
  answers: text.optional(),
  plugin: text.optional(),
  system: z.string().optional(),
});

export const comparisonKeys = {
  systems: key(
    z
      .record(z.string(), participant)
      .refine((systems) => Object.keys(systems).length >= 2, { error: 'two-systems' })
      .refine((systems) => Object.keys(systems).every((name) => participantName.test(name) && name !== 'judge'), {
        error: 'system-names',
      })
      .optional(),
    'The systems that are compared, by name; the first is a, the second b. Each is one of: model_name_or_path and adapter_name_or_path (ours; left out, those of the configuration), base_url or provider with model (a server), answers (a JSONL file), plugin.',
    { resume: 'free' },
  ),
  judge: key(
    participant.optional(),
    'Who judges: the same kinds as in systems; answers is then the journal.jsonl of an earlier comparison.',
    { resume: 'free' },
  ),
  pk_form: key(
    z.enum(['pair', 'score', 'aspects']).default('pair'),
    'pair: the judge sees both answers, in both orders. score: it rates each answer from 1 to 10. aspects: reviews are split into items, and the one with more items that human reviews confirm wins.',
    { resume: 'free' },
  ),
  questions: key(
    text.optional(),
    "JSONL file of questions: MT-Bench's (question_id, category, turns) or rows with id and prompt.",
    {
      resume: 'free',
      defaultText: 'the prompts of the first file of answers',
    },
  ),
  references: key(
    text.optional(),
    "JSONL file of reference answers (MT-Bench's form, or id and answer), or for aspects of human reviews (id and reviews).",
    { resume: 'free' },
  ),
  aspects: key(textList.default([]), 'Headings that reviews are split by, in the order of the chart.', {
    resume: 'free',
    defaultText: 'the headings that stand in the reviews',
  }),
  split_reviews: key(
    z.enum(['headings', 'judge']).default('headings'),
    'headings: reviews are split by their headings and bullets. judge: the judge splits reviews of free text first.',
    { resume: 'free' },
  ),
  empty_item: key(text.default('<No related terms>'), 'What a review writes under an aspect that has no items.', {
    resume: 'free',
  }),
  judge_prompts: key(
    text.optional(),
    "JSONL file of judge prompts in FastChat's form, in place of those of the same name.",
    {
      resume: 'free',
      defaultText: "FastChat's pair-v2, single-v1 and their kin",
    },
  ),
  judge_max_new_tokens: key(positiveInteger.default(2048), 'Longest judgment, in tokens.', { resume: 'free' }),
};
