/** Keys of decoding: `generate` and `chat`. */
import { z } from 'zod';
import { keysOf, positiveInteger } from '../key.ts';

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
  num_beams: key(z.literal(1).default(1), 'Beams; only 1 for now.'),
  skip_special_tokens: key(z.boolean().default(true), 'Leave special tokens out of the shown text.'),
  infer_dtype: key(
    z.enum(['auto', 'float32', 'float16', 'bfloat16']).default('auto'),
    'Number format of the weights in decoding; arithmetic is f32 on the CPU.',
    {
      refusedValues: { int8: 'Use auto', int4: 'Use auto' },
    },
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
