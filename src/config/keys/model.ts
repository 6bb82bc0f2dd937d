/** Keys that choose the base model and its adapters. */
import { z } from 'zod';
import { keysOf, text, textList } from '../key.ts';

const key = keysOf('Model');
const useBnb = 'Use bnb';

export const modelKeys = {
  model_name_or_path: key(
    text.optional(),
    'Folder of the base model (config.json, weights, tokenizer), or its name on a hub, which downloads it.',
    {
      resume: 'content',
    },
  ),
  model_revision: key(text.optional(), 'Branch, tag or commit of a base model that is named on a hub.', {
    resume: 'free',
    defaultText: "the hub's main branch",
  }),
  hub: key(z.enum(['huggingface', 'modelscope']).optional(), 'Hub on which names of models are looked up.', {
    resume: 'free',
    defaultText: 'huggingface; modelscope where USE_MODELSCOPE_HUB is 1',
    aliases: { hf: 'huggingface', ms: 'modelscope' },
  }),
  offline: key(z.boolean().optional(), 'Ask no hub: names of models stand for what the cache holds.', {
    resume: 'free',
    defaultText: 'as HF_HUB_OFFLINE says',
  }),
  cache_dir: key(text.optional(), 'Folder of downloaded models.', {
    resume: 'free',
    defaultText: "those of the hubs' own tools: HF_HUB_CACHE, HF_HOME, MODELSCOPE_CACHE",
  }),
  adapter_name_or_path: key(
    textList.default([]),
    'Folders of PEFT LoRA adapters, or their names on a hub. All but the last are merged; the last is continued, or merged too where create_new_adapter is true.',
    { resume: 'content' },
  ),
  quantization_bit: key(
    z
      .number()
      .refine((value) => value === 4 || value === 8, { error: 'four-or-eight' })
      .optional(),
    'Bits of the frozen weights of the linear layers, as bitsandbytes has them (QLoRA): 4 or 8. Embeddings, norms and the head stay as they are; the arithmetic stays f32. With LoRA only.',
    { defaultText: 'the dtype that the weights are stored in' },
  ),
  quantization_method: key(
    z.enum(['bnb']).default('bnb'),
    'Number formats of quantization_bit: those of bitsandbytes.',
    {
      aliases: { bitsandbytes: 'bnb' },
      refusedValues: Object.fromEntries(
        ['gptq', 'awq', 'aqlm', 'quanto', 'eetq', 'hqq', 'mxfp4', 'fp8'].map((name) => [name, useBnb]),
      ),
    },
  ),
  quantization_type: key(
    z.enum(['nf4', 'fp4']).default('nf4'),
    'What the codes of quantization_bit: 4 mean: nf4 suits normally distributed weights, fp4 is a 4-bit floating-point number.',
  ),
  double_quantization: key(
    z.boolean().default(true),
    'With quantization_bit: 4, keep the scales of the blocks in 8-bit codes: about 0.4 bits less per weight.',
  ),
  create_new_adapter: key(
    z.boolean().default(false),
    'Merge every adapter of adapter_name_or_path and begin a new one on top.',
  ),
  add_tokens: key(
    textList.default([]),
    'Tokens to add to the tokenizer. Their rows of embedding and output start near the mean of all rows and are trained.',
  ),
  add_special_tokens: key(
    textList.default([]),
    'The same for special tokens, which are left out of decoded text where special tokens are skipped.',
  ),
  resize_vocab: key(
    z.boolean().default(false),
    'Give the model rows for all tokens of its tokenizer, and train those that it lacked; add_tokens does so for what it adds.',
  ),
  trainable_token_indices: key(
    z.array(z.number().int().min(0)).default([]),
    'Ids of single embedding rows that are trained beside the LoRA weights (as in PEFT), for added tokens.',
  ),
};
