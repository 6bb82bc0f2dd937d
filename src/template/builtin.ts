/**
 * The built-in templates, byte for byte as they are published. A blank before an answer is part of the answer (`lead`),
 * a newline part of the header. The end of a turn is the tokenizer's end token unless the wording names another.
 */
import type { Wording } from './wording.ts';

const alpacaBlurb =
  'Below is an instruction that describes a task. Write a response that appropriately completes the request.';
const alpacaBlurbWithInput =
  'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.';
const curiousUser =
  "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.";
const eos = '{eos}';

const alpaca: Wording = {
  name: 'alpaca',
  source: 'https://github.com/tatsu-lab/stanford_alpaca/blob/main/train.py',
  system: '{system}\n\n',
  defaultSystem: alpacaBlurb,
  defaultSystemWithInput: alpacaBlurbWithInput,
  user: '### Instruction:\n{content}\n\n',
  userWithInput: '### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n',
  header: '### Response:',
  end: eos,
  separator: '\n\n',
};

const chatml: Wording = {
  name: 'chatml',
  source: 'https://github.com/openai/openai-python/blob/v0.28.1/chatml.md',
  system: '<|im_start|>system\n{system}<|im_end|>\n',
  user: '<|im_start|>user\n{content}<|im_end|>\n',
  header: '<|im_start|>assistant\n',
  end: '<|im_end|>',
  after: '\n',
  toolFormat: 'qwen',
};

const llama2: Wording = {
  name: 'llama2',
  source: 'https://github.com/meta-llama/llama/blob/main/llama/generation.py',
  system: '<<SYS>>\n{system}\n<</SYS>>\n\n',
  user: '{bos}[INST] {system}{content} [/INST]',
  header: '',
  lead: ' ',
  end: ' {eos}',
};

const llama3: Wording = {
  name: 'llama3',
  source: 'https://github.com/meta-llama/llama3/blob/main/llama/tokenizer.py',
  begin: '{bos}',
  system: '<|start_header_id|>system<|end_header_id|>\n\n{system}<|eot_id|>',
  user: '<|start_header_id|>user<|end_header_id|>\n\n{content}<|eot_id|>',
  header: '<|start_header_id|>assistant<|end_header_id|>\n\n',
  end: '<|eot_id|>',
};

const vicuna: Wording = {
  name: 'vicuna',
  source: 'https://github.com/lm-sys/FastChat/blob/main/fastchat/conversation.py',
  system: '{system} ',
  defaultSystem: curiousUser,
  user: 'USER: {content} ',
  header: 'ASSISTANT:',
  lead: ' ',
  end: eos,
};

export const builtinWordings: readonly Wording[] = [
  alpaca,
  chatml,
  { ...chatml, name: 'qwen' },
  llama2,
  llama3,
  vicuna,
];
