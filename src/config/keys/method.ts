/** Keys that choose the stage and which weights move. */
import { z } from 'zod';
import { keysOf, positiveInteger, text, textList } from '../key.ts';

const key = keysOf('Method');
const later = 'Use sft (instruction data) or pt (plain text)';

export const methodKeys = {
  stage: key(z.enum(['sft', 'pt']).default('sft'), 'sft: instruction data. pt: plain text.', {
    refusedValues: { rm: later, ppo: later, dpo: later, orpo: later, kto: later },
  }),
  finetuning_type: key(
    z.enum(['lora', 'full']).default('lora'),
    'lora: small matrices beside the linear layers. full: all weights.',
    {
      refusedValues: {
        freeze: 'Use lora, or additional_target for whole modules',
        oft: 'Use lora',
      },
    },
  ),
  lora_rank: key(positiveInteger.default(8), 'Rank of the LoRA matrices.'),
  lora_alpha: key(
    z.number().positive().optional(),
    'LoRA scale; the product of the two matrices is multiplied by alpha / rank.',
    {
      defaultText: 'twice lora_rank',
    },
  ),
  lora_dropout: key(z.number().min(0).lt(1).default(0), "Dropout on the LoRA layers' input."),
  lora_target: key(
    z.union([z.literal('all'), z.array(text).min(1)]).default('all'),
    'Names of the linear layers that get LoRA matrices, or all (every linear layer except the head).',
  ),
  use_rslora: key(z.boolean().default(false), 'Scale by alpha / sqrt(rank) (rank-stabilised LoRA).'),
  additional_target: key(
    textList.default([]),
    "Whole modules that are trained and saved with the adapter (PEFT's modules_to_save).",
  ),
};
