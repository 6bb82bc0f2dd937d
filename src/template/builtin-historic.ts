/** Prompts that articles, model cards and early toolkits published, byte for byte. */
import type { Wording } from './wording.ts';

const alpacaBlurb =
  'Below is an instruction that describes a task. Write a response that appropriately completes the request.';
const alpacaBlurbWithInput =
  'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.';
const curiousUser =
  "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions.";
const llama2Default = [
  'You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  Your',
  ' answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. Please ensure',
  ' that your responses are socially unbiased and positive in nature.\n\nIf a question does not make any sense, or is not',
  " factually coherent, explain why instead of answering something not correct. If you don't know the answer to a question,",
  " please don't share false information.",
].join('');
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

const stableBeluga: Wording = {
  name: 'stablebeluga2',
  source: 'https://huggingface.co/stabilityai/StableBeluga2',
  system: '### System:\n{system}\n\n',
  user: '### User:\n{content}\n\n',
  header: '### Assistant:\n',
  end: eos,
  separator: '\n\n',
};

const guanaco: Wording = {
  name: 'guanaco',
  source: 'https://huggingface.co/timdettmers/guanaco-33b-merged',
  user: '### Human: {content}\n',
  header: '### Assistant:',
  end: eos,
  separator: '\n\n',
};

const baichuan2: Wording = {
  name: 'baichuan2',
  source: 'https://huggingface.co/baichuan-inc/Baichuan2-13B-Chat/blob/main/generation_utils.py',
  system: '{system}',
  user: '<reserved_106>{content}',
  header: '<reserved_107>',
  end: eos,
};

/** One entry for each published prompt. */
export const historicWordings: readonly Wording[] = [
  alpaca,
  {
    ...alpaca,
    name: 'alpaca_litgpt',
    source: 'https://github.com/Lightning-AI/litgpt/blob/main/litgpt/prompts.py',
    header: '### Response:\n',
  },
  {
    name: 'alpaca_unsloth',
    source: 'https://github.com/unslothai/unsloth/blob/main/unsloth/chat_templates.py',
    system: '{system}\n\n',
    defaultSystem:
      'Below are some instructions that describe some tasks. Write responses that appropriately complete each request.',
    user: '### Instruction:\n{content}\n\n',
    header: '### Response:\n',
    end: eos,
    separator: '\n\n',
  },
  {
    name: 'linly',
    source: 'https://github.com/CVI-SZU/Linly',
    user: '### Instruction:{content}  ',
    header: '### Response:',
    end: eos,
    separator: '\n\n',
    stripUser: true,
  },
  {
    name: 'nous',
    source: 'https://huggingface.co/NousResearch/Nous-Hermes-13b',
    user: '### Instruction:\n{content}\n\n',
    userWithInput: '### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n',
    header: '### Response:\n',
    end: eos,
    separator: '\n\n',
  },
  {
    name: 'yayi',
    source: 'https://huggingface.co/wenge-research/yayi-7b-llama2',
    system: '<|System|>:\n{system}\n\n',
    defaultSystem: llama2Default.replace(
      'honest assistant. Always',
      'honest assistant named YaYi developed by Beijing Wenge Technology Co.,Ltd. Always',
    ),
    user: '<|Human|>:\n{content}\n\n',
    header: '<|YaYi|>:\n',
    end: '<|End|>',
    separator: '\n\n',
  },
  stableBeluga,
  // The code sample of the same model card writes a blank where its prose writes a newline.
  { ...stableBeluga, name: 'stablebeluga2_code', user: '### User: {content}\n\n' },
  guanaco,
  {
    ...guanaco,
    name: 'guanaco_long',
    system: '{system}\n',
    // The source has no blank between the two sentences.
    defaultSystem:
      "A chat between a curious human and an artificial intelligence assistant.The assistant gives helpful, detailed, and polite answers to the user's questions.",
    user: '### Human: {content} ',
  },
  vicuna,
  {
    ...baichuan2,
    name: 'baichuan',
    source: 'https://huggingface.co/baichuan-inc/Baichuan-13B-Chat',
    user: '<reserved_102>{content}',
    header: '<reserved_103>',
  },
  baichuan2,
  {
    name: 'belle',
    source: 'https://github.com/LianjiaTech/BELLE',
    begin: '{bos}',
    user: 'Human: {content}\n\n',
    header: 'Belle:',
    lead: ' ',
    end: eos,
    after: '\n\n',
  },
  {
    name: 'chatglm2',
    source: 'https://github.com/lm-sys/FastChat/blob/main/fastchat/conversation.py',
    begin: '[gMASK]sop',
    user: '[Round {round}]\n\n问：{content}\n\n',
    header: '答：',
    end: eos,
    separator: '\n\n',
  },
  {
    name: 'chatglm3',
    source: 'https://github.com/THUDM/ChatGLM3/blob/main/PROMPT.md',
    begin: '[gMASK]sop',
    system: '<|system|>\n{system}',
    user: '<|user|>\n{content}',
    header: '<|assistant|>\n',
    end: eos,
  },
  {
    name: 'intern',
    source: 'https://huggingface.co/internlm/internlm-chat-7b',
    begin: '{bos}',
    system: '<|System|>:{system}\n',
    user: '<|User|>:{content}\n',
    header: '<|Bot|>:',
    end: '<eoa>',
    after: '\n',
  },
  {
    name: 'xverse',
    source: 'https://huggingface.co/xverse/XVERSE-13B-Chat',
    user: 'Human: {content}\n\n',
    header: 'Assistant:',
    lead: ' ',
    end: eos,
  },
  {
    name: 'ziya',
    source: 'https://huggingface.co/IDEA-CCNL/Ziya-LLaMA-13B-v1',
    user: '<human>:{content}\n',
    header: '<bot>:',
    end: eos,
    after: '\n',
  },
  {
    name: 'xuanyuan',
    source: 'https://huggingface.co/Duxiaoman-DI/XuanYuan-70B-Chat',
    user: 'Human: {content} ',
    header: 'Assistant:',
    end: eos,
  },
  {
    name: 'atom',
    source: 'https://github.com/LlamaFamily/Llama-Chinese',
    user: '{bos}Human: {content}\n{eos}',
    header: '{bos}Assistant:',
    end: '\n{eos}',
  },
  {
    name: 'aquila',
    source: 'https://huggingface.co/BAAI/AquilaChat-7B',
    system: '{system}###',
    user: 'Human: {content}###',
    header: 'Assistant:',
    end: '###',
  },
  {
    name: 'bluelm',
    source: 'https://huggingface.co/vivo-ai/BlueLM-7B-Chat',
    user: '[|Human|]:{content}',
    header: '[|AI|]:',
    end: eos,
  },
  {
    name: 'solar',
    source: 'https://huggingface.co/upstage/SOLAR-10.7B-Instruct-v1.0',
    system: '### System:\n{system}\n\n',
    user: '### User:\n{content}\n\n',
    header: '### Assistant:\n',
    end: eos,
    separator: '\n\n',
  },
  {
    name: 'default',
    source: 'https://github.com/hiyouga/LLaMA-Factory/blob/v0.9.3/src/llamafactory/data/template.py',
    system: 'System: {system}{eos}\n',
    user: 'Human: {content}{eos}\n',
    header: 'Assistant:',
    end: eos,
    after: '\n',
  },
  {
    name: 'dialogsum',
    source: 'the prompt of the widely copied QLoRA walk-throughs on https://github.com/cylnlp/dialogsum',
    system: '{system}\n\n',
    defaultSystem: `\n${alpacaBlurb}`,
    user: '### Instruct: Summarize the below conversation.\n\n{content}\n\n',
    userEmpty: '### Instruct: Summarize the below conversation.\n\n',
    header: '### Output:\n',
    end: '\n\n### End',
    separator: '\n\n',
  },
  {
    name: 'empty',
    source: 'https://github.com/hiyouga/LLaMA-Factory/blob/main/src/llamafactory/data/template.py',
    system: '{system}',
    user: '{content}',
    header: '',
    end: eos,
  },
];
