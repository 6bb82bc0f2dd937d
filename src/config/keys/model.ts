/** Keys that choose the base model and its adapters. */
import { z } from 'zod';
import { keysOf, text, textList } from '../key.ts';

const key = keysOf('Model');

export const modelKeys = {
  model_name_or_path: key(text.optional(), 'Folder of the base model: config.json, weights, tokenizer.', {
    resume: 'content',
  }),
  adapter_name_or_path: key(
    textList.default([]),
    'Folders of PEFT LoRA adapters. All but the last are merged; the last is continued, or merged too where create_new_adapter is true.',
    { resume: 'content' },
  ),
  create_new_adapter: key(
    z.boolean().default(false),
    'Merge every adapter of adapter_name_or_path and begin a new one on top.',
  ),
  trainable_token_indices: key(
    z.array(z.number().int().min(0)).default([]),
    'Ids of single embedding rows that are trained beside the LoRA weights (as in PEFT), for added tokens.',
  ),
};
