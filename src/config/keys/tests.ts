/** Keys of what a model is tested with: predictions over a data set, and tasks. */
import { z } from 'zod';
import { keysOf, positiveInteger, text, textList } from '../key.ts';

const key = keysOf('Predictions and tasks');
const free = { resume: 'free' } as const;

export const testKeys = {
  do_predict: key(
    z.boolean().default(false),
    'Answer the rows of eval_dataset (else those that val_size sets aside, else dataset) after training, or alone where do_train is not set.',
    free,
  ),
  predict_with_generate: key(
    z.boolean().default(true),
    'Predictions are generated texts; false is refused with do_predict.',
    free,
  ),
  labels: key(
    textList.default([]),
    'The labels of a task whose answers are labels; predictions then give accuracy and a confusion matrix.',
    { ...free, defaultText: 'found in the data, where its answers are few, short and repeated' },
  ),
  label_aliases: key(
    z.record(z.string(), textList).default({}),
    'Other words that an answer may use for a label, by label.',
    { ...free, defaultText: 'none' },
  ),
  label_match: key(
    z.enum(['contains', 'exact']).default('contains'),
    'Which label an answer means. exact: the one that equals it, without regard to case and to white space and punctuation at its ends. contains: else also the only one that occurs in it. Answers that mean none are counted as unmapped.',
    free,
  ),
  bleu_tokenizer: key(
    z.enum(['auto', '13a', 'zh', 'char', 'intl', 'none']).default('auto'),
    "Tokenizer of sacrebleu's BLEU; auto: zh where a reference holds Chinese characters, else 13a.",
    free,
  ),
  task: key(
    text.optional(),
    'What `fettle eval` tests: mmlu, ceval, cmmlu (with _test, _validation or _dev for the part), lambada, or perplexity.',
    { ...free, defaultText: 'none' },
  ),
  task_dir: key(
    text.default('evaluation'),
    'Folder of the files of a task, with or without a folder of the name of the task; for lambada and perplexity also a file.',
    free,
  ),
  subjects: key(textList.default([]), 'Only these subjects of a task.', { ...free, defaultText: 'all that are there' }),
  n_shot: key(z.number().int().min(0).max(64).default(5), 'Solved examples before each question.', free),
  lang: key(z.enum(['en', 'zh']).default('en'), 'Language of the wording in the form of LLaMA-Factory.', free),
  prompt_form: key(
    z.enum(['lm-eval', 'llamafactory']).default('lm-eval'),
    'How questions are put: as plain text like lm-evaluation-harness 0.4.13, or as the turns of a conversation in the template like LLaMA-Factory.',
    free,
  ),
  save_dir: key(text.optional(), 'Folder for the results of a task.', { ...free, defaultText: 'only printed' }),
  perplexity_window: key(
    positiveInteger.optional(),
    'Tokens that the model sees at once when the perplexity of a text is measured.',
    {
      ...free,
      defaultText: 'cutoff_len, at most what the model was made for',
    },
  ),
  perplexity_stride: key(
    positiveInteger.optional(),
    'Tokens by which that window moves on; those that were counted before are context only.',
    { ...free, defaultText: 'half the window' },
  ),
};
