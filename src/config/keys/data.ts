/** Keys that choose the rows and say how they become tokens and labels. */
import { z } from 'zod';
import { keysOf, positiveInteger, text, textList } from '../key.ts';

const key = keysOf('Data');

/** An own template; what its parts mean says the room of templates. */
const ownTemplate = z.strictObject({
  name: text.optional(),
  system: z.string().optional(),
  user: z.string().optional(),
  assistant: z.string().optional(),
  separator: z.string().optional(),
  stop: z.union([z.string(), z.array(z.string())]).optional(),
});

export const dataKeys = {
  dataset: key(
    textList.default([]),
    'Data sets to train on: names of dataset_info.json in dataset_dir, or paths of files.',
    { resume: 'content' },
  ),
  eval_dataset: key(textList.default([]), 'Data sets to evaluate on, named as in dataset.', { resume: 'content' }),
  dataset_dir: key(text.default('data'), 'Folder of dataset_info.json and of its files.', { resume: 'content' }),
  template: key(
    z.union([text, ownTemplate]).optional(),
    'Name of a built-in template; or an own one: a YAML or JSON file with system, user, assistant, separator and stop, or such a mapping itself.',
    { defaultText: "the model's own chat template", mappingFile: true },
  ),
  template_mismatch: key(
    z.enum(['error', 'allow']).default('error'),
    'What happens where the template that is named renders otherwise than the chat template that the model brings: error refuses to train, allow trains with the one that is named.',
  ),
  default_system: key(z.string().optional(), 'System text of rows that have none.'),
  enable_thinking: key(z.boolean().optional(), "Passed to the model's chat template (Qwen3).", {
    defaultText: 'not passed',
  }),
  history_thinking: key(
    z.enum(['strip', 'keep']).default('strip'),
    'strip: a turn whose prompt would look different at inference is trained as a sequence of its own. keep: the one rendering is trained as it is.',
  ),
  cutoff_len: key(positiveInteger.default(2048), 'Longest sequence, in tokens.'),
  max_prompt_length: key(positiveInteger.optional(), 'Longest prompt, in tokens.', { defaultText: 'no limit' }),
  max_response_length: key(positiveInteger.optional(), 'Longest response, in tokens.', { defaultText: 'no limit' }),
  overlong: key(
    z.enum(['drop', 'keep-response', 'keep-prompt', 'split', 'error', 'llamafactory']).optional(),
    'What happens to a row that is longer than its limits.',
    { defaultText: '`drop`; `keep-response` where max_prompt_length or max_response_length is set' },
  ),
  bad_rows: key(
    z.enum(['error', 'drop']).default('error'),
    'What happens to rows of a wrong form: error refuses the data set, drop counts and names them.',
  ),
  mix_strategy: key(
    z.enum(['concat', 'interleave_under', 'interleave_over', 'interleave_once']).default('concat'),
    'Several data sets: one after the other, or interleaved until the first is used up, until all were used up (rows repeat), or until each row was used once.',
  ),
  interleave_probs: key(z.array(z.number().min(0).max(1)).optional(), 'Probability of each data set in interleaving.', {
    defaultText: 'by turns',
  }),
  max_samples: key(positiveInteger.optional(), 'Use only the first so many rows of each data set.', {
    defaultText: 'all rows',
  }),
  val_size: key(
    z
      .number()
      .min(0)
      .refine((value) => value <= 1 || Number.isInteger(value), { error: 'fraction-or-integer' })
      .default(0),
    'Rows set aside for evaluation: a share up to 1, or a number of rows above 1.',
  ),
  tokenized_path: key(
    text.optional(),
    'Folder of tokenised rows that `fettle data prepare` writes; training takes them from there where they were made of the same rows, settings, tokenizer and template.',
    { resume: 'content' },
  ),
  preprocessing_num_workers: key(
    positiveInteger.max(1024).optional(),
    'Threads that tokenise large data sets, at most one for each core; 1: the main one alone. The result does not depend on it.',
    { defaultText: 'the number of cores', resume: 'free' },
  ),
  train_on_prompt: key(z.boolean().default(false), 'Train the prompts too.'),
  train_on_turn: key(
    z.array(z.number().int()).default([]),
    'Train only these answers of a conversation, counted from 0; -1 is the last one.',
    { defaultText: 'all answers' },
  ),
  mask_recipe: key(
    z.enum(['firefly', 'linksoul']).optional(),
    "Ids and labels exactly as Firefly or LinkSoul's Chinese-Llama-2 made them, instead of the template's; cutoff_len cuts as theirs.",
    { defaultText: "the template's" },
  ),
  mask_history: key(z.boolean().default(false), 'Train the last answer of a conversation only.'),
  packing: key(z.boolean().optional(), 'Put several sequences into one sample; none sees another.', {
    defaultText: '`true` for `stage: pt`, else `false`',
  }),
  neat_packing: key(
    z.boolean().default(false),
    "LLaMA-Factory's switch for packing without mixing, which is how Fettle always packs; it turns packing on.",
  ),
  disable_shuffling: key(
    z.boolean().default(false),
    'Rows in file order, batches of consecutive rows, no grouping by length.',
  ),
  group_by_length: key(z.boolean().optional(), 'Put rows of similar length into one batch.', {
    defaultText: '`true`, but `false` with disable_shuffling',
  }),
};
