/** Keys of decoding: `generate` and `chat`. */
import { z } from 'zod';
import { keysOf, positiveInteger, text, textList } from '../key.ts';

const key = keysOf('Generation');

export const generationKeys = {
  do_sample: key(z.boolean().default(true), 'true: draw each token. false: take the most probable one.'),
  temperature: key(
    z.number().min(0).default(0.95),
    'Divides the logits before drawing; 0 takes the most probable token.',
  ),
  top_p: key(
    z.number().gt(0).max(1).default(0.7),
    'Draw among the most probable tokens whose probabilities reach this sum.',
  ),
  top_k: key(z.number().int().min(0).default(50), 'Draw among so many of the most probable tokens; 0: all.'),
  max_new_tokens: key(positiveInteger.default(1024), 'Longest answer, in tokens.'),
  repetition_penalty: key(
    z.number().positive().default(1),
    'Above 1: tokens that already stand in the text become less probable.',
  ),
  min_p: key(
    z.number().min(0).max(1).default(0),
    'Draw among tokens at least this share as probable as the most probable one; 0: all.',
  ),
  frequency_penalty: key(
    z.number().default(0),
    "Taken from a token's logit for each time that it stands in the answer (OpenAI).",
  ),
  presence_penalty: key(z.number().default(0), 'Taken from the logit of a token that stands in the answer (OpenAI).'),
  no_repeat_ngram_size: key(
    z.number().int().min(0).default(0),
    'No run of so many tokens comes twice in prompt and answer; 0: no such rule.',
  ),
  logit_bias: key(
    z.record(z.string().regex(/^\d+$/), z.number()).default({}),
    'Token ids, each with what is added to its logit.',
  ),
  min_new_tokens: key(z.number().int().min(0).default(0), 'No end token before so many tokens.'),
  stop_strings: key(textList.default([]), "Texts that end an answer and are no part of it, beside the template's."),
  eos_token_id: key(
    z.array(z.number().int().min(0)).default([]),
    "Ids that end an answer, beside the model's and the template's.",
  ),
  num_return_sequences: key(positiveInteger.max(64).default(1), 'Answers to each prompt.'),
  num_beams: key(positiveInteger.max(64).default(1), 'Beams of a beam search; 1: none.'),
  length_penalty: key(
    z.number().default(1),
    'Beam search: scores are divided by the length to this power; above 0 long answers gain.',
  ),
  early_stopping: key(
    z.union([z.boolean(), z.literal('never')]).default(false),
    'Beam search: true ends with as many answers as beams, false once a better one is unlikely, never once it is impossible.',
  ),
  skip_special_tokens: key(z.boolean().default(true), 'Leave special tokens out of the shown text.'),
  infer_dtype: key(
    z.enum(['auto', 'float32', 'float16', 'bfloat16', 'int8', 'int4']).default('auto'),
    'Number format of the weights in decoding: int8 and int4 are faster and take less memory, the others are computed in f32 on the CPU.',
  ),
  suppress: key(
    z
      .array(
        z.strictObject({
          text,
          coefficient: z.number().min(0).max(1),
          scope: z
            .union([z.literal('answer'), z.strictObject({ begin: text, end: z.string().default('') })])
            .default('answer'),
          max_count: z.number().int().min(0).optional(),
        }),
      )
      .max(64)
      .default([]),
    'Texts that the answer shall spell less often: each text has coefficient times the probability that it would have, over all its tokenisations, in the whole answer or between scope.begin and scope.end, and at most max_count times.',
    { resume: 'free' },
  ),
};
