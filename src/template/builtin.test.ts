/** The built-in templates byte for byte, against literals written from their sources, not from the table in builtin.ts. */
import { describe, expect, it } from 'vitest';
import { builtinTemplateNames, loadSavedTemplate, loadTemplate, type Message, type TemplateTokens } from './index.ts';

const special = ['<s>', '</s>', '<|im_end|>', '<|eot_id|>'];
const llama: TemplateTokens = {
  bosToken: '<s>',
  eosToken: '</s>',
  addsBos: false,
  specialIds: new Set(special.keys()),
  tokenText: (id) => special[id]!,
};
const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string): Message => ({ role: 'assistant', content });
const system = (content: string): Message => ({ role: 'system', content });
const twoTurns = [user('u1'), assistant('a1'), user('u2'), assistant('a2')];
const withSystem = [system('sys'), ...twoTurns];

const below =
  'Below is an instruction that describes a task. Write a response that appropriately completes the request.';
const llamaDefault = `being safe.  Your answers`;

describe('two turns', () => {
  it.each<[string, string]>([
    [
      'alpaca',
      `${below}\n\n### Instruction:\nu1\n\n### Response:a1</s>\n\n### Instruction:\nu2\n\n### Response:a2</s>`,
    ],
    [
      'alpaca_litgpt',
      `${below}\n\n### Instruction:\nu1\n\n### Response:\na1</s>\n\n### Instruction:\nu2\n\n### Response:\na2</s>`,
    ],
    ['llama2', '<s>[INST] u1 [/INST] a1 </s><s>[INST] u2 [/INST] a2 </s>'],
    ['llama2_zh', '<s>[INST] u1 [/INST] a1 </s><s>[INST] u2 [/INST] a2 </s>'],
    ['linly', '### Instruction:u1  ### Response:a1</s>\n\n### Instruction:u2  ### Response:a2</s>'],
    ['nous', '### Instruction:\nu1\n\n### Response:\na1</s>\n\n### Instruction:\nu2\n\n### Response:\na2</s>'],
    ['stablebeluga2', '### User:\nu1\n\n### Assistant:\na1</s>\n\n### User:\nu2\n\n### Assistant:\na2</s>'],
    ['stablebeluga2_code', '### User: u1\n\n### Assistant:\na1</s>\n\n### User: u2\n\n### Assistant:\na2</s>'],
    ['guanaco', '### Human: u1\n### Assistant:a1</s>\n\n### Human: u2\n### Assistant:a2</s>'],
    [
      'guanaco_long',
      "A chat between a curious human and an artificial intelligence assistant.The assistant gives helpful, detailed, and polite answers to the user's questions.\n### Human: u1 ### Assistant:a1</s>\n\n### Human: u2 ### Assistant:a2</s>",
    ],
    [
      'vicuna',
      "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions. USER: u1 ASSISTANT: a1</s>USER: u2 ASSISTANT: a2</s>",
    ],
    ['baichuan', '<reserved_102>u1<reserved_103>a1</s><reserved_102>u2<reserved_103>a2</s>'],
    ['baichuan2', '<reserved_106>u1<reserved_107>a1</s><reserved_106>u2<reserved_107>a2</s>'],
    ['belle', '<s>Human: u1\n\nBelle: a1</s>\n\nHuman: u2\n\nBelle: a2</s>\n\n'],
    ['chatglm2', '[gMASK]sop[Round 1]\n\n问：u1\n\n答：a1</s>\n\n[Round 2]\n\n问：u2\n\n答：a2</s>'],
    ['chatglm3', '[gMASK]sop<|user|>\nu1<|assistant|>\na1</s><|user|>\nu2<|assistant|>\na2</s>'],
    ['intern', '<s><|User|>:u1\n<|Bot|>:a1<eoa>\n<|User|>:u2\n<|Bot|>:a2<eoa>\n'],
    ['xverse', 'Human: u1\n\nAssistant: a1</s>Human: u2\n\nAssistant: a2</s>'],
    ['ziya', '<human>:u1\n<bot>:a1</s>\n<human>:u2\n<bot>:a2</s>\n'],
    ['xuanyuan', 'Human: u1 Assistant:a1</s>Human: u2 Assistant:a2</s>'],
    ['atom', '<s>Human: u1\n</s><s>Assistant:a1\n</s><s>Human: u2\n</s><s>Assistant:a2\n</s>'],
    ['aquila', 'Human: u1###Assistant:a1###Human: u2###Assistant:a2###'],
    ['bluelm', '[|Human|]:u1[|AI|]:a1</s>[|Human|]:u2[|AI|]:a2</s>'],
    ['solar', '### User:\nu1\n\n### Assistant:\na1</s>\n\n### User:\nu2\n\n### Assistant:\na2</s>'],
    ['zephyr', '<|user|>\nu1</s><|assistant|>\na1</s><|user|>\nu2</s><|assistant|>\na2</s>'],
    [
      'openchat',
      'GPT4 Correct User: u1<|end_of_turn|>GPT4 Correct Assistant: a1<|end_of_turn|>GPT4 Correct User: u2<|end_of_turn|>GPT4 Correct Assistant: a2<|end_of_turn|>',
    ],
    ['deepseek', 'User: u1\n\nAssistant: a1</s>User: u2\n\nAssistant: a2</s>'],
    ['default', 'Human: u1</s>\nAssistant:a1</s>\nHuman: u2</s>\nAssistant:a2</s>\n'],
    [
      'chatml',
      '<|im_start|>user\nu1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nu2<|im_end|>\n<|im_start|>assistant\na2<|im_end|>\n',
    ],
    [
      'llama3',
      '<s><|start_header_id|>user<|end_header_id|>\n\nu1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nu2<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\na2<|eot_id|>',
    ],
    [
      'dialogsum',
      `\n${below}\n\n### Instruct: Summarize the below conversation.\n\nu1\n\n### Output:\na1\n\n### End\n\n### Instruct: Summarize the below conversation.\n\nu2\n\n### Output:\na2\n\n### End`,
    ],
    [
      'gemma',
      '<s><start_of_turn>user\nu1<end_of_turn>\n<start_of_turn>model\na1<end_of_turn>\n<start_of_turn>user\nu2<end_of_turn>\n<start_of_turn>model\na2<end_of_turn>\n',
    ],
    ['mistral', '<s>[INST] u1 [/INST] a1</s>[INST] u2 [/INST] a2</s>'],
    ['phi', '<|user|>\nu1<|end|>\n<|assistant|>\na1<|end|>\n<|user|>\nu2<|end|>\n<|assistant|>\na2<|end|>\n'],
  ])('%s', (name, expected) => {
    const template = loadTemplate({ name, tokens: llama });
    expect(template.render(twoTurns)).toBe(expected);
    const [located] = template.locate(twoTurns);
    for (const [i, turn] of located!.turns.entries()) {
      expect(expected.slice(turn.contentStart, turn.contentEnd)).toBe(`a${i + 1}`);
      const prompt = template.render(twoTurns.slice(0, turn.message), { addGenerationPrompt: true });
      expect(expected.slice(0, turn.promptEnd)).toBe(prompt);
      expect(expected.slice(turn.contentEnd, turn.end).trim()).toBe(template.endToken);
    }
  });
});

describe('system texts', () => {
  it.each<[string, string]>([
    ['alpaca', 'sys\n\n### Instruction:\nu1\n\n### Response:a1</s>'],
    ['llama2', '<s>[INST] <<SYS>>\nsys\n<</SYS>>\n\nu1 [/INST] a1 </s>'],
    ['vicuna', 'sys USER: u1 ASSISTANT: a1</s>'],
    ['stablebeluga2', '### System:\nsys\n\n### User:\nu1\n\n### Assistant:\na1</s>'],
    ['chatglm3', '[gMASK]sop<|system|>\nsys<|user|>\nu1<|assistant|>\na1</s>'],
    ['intern', '<s><|System|>:sys\n<|User|>:u1\n<|Bot|>:a1<eoa>\n'],
    ['default', 'System: sys</s>\nHuman: u1</s>\nAssistant:a1</s>\n'],
    [
      'qwen',
      '<|im_start|>system\nsys<|im_end|>\n<|im_start|>user\nu1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n',
    ],
    [
      'llama3',
      '<s><|start_header_id|>system<|end_header_id|>\n\nsys<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nu1<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\na1<|eot_id|>',
    ],
  ])('%s', (name, expected) => {
    const template = loadTemplate({ name, tokens: llama });
    expect(template.render(withSystem.slice(0, 3))).toBe(expected);
    const byDefault = loadTemplate({ name, tokens: llama, defaultSystem: 'sys' });
    expect(byDefault.render(twoTurns.slice(0, 2))).toBe(expected);
  });

  it('yayi brings its own', () => {
    const text = loadTemplate({ name: 'yayi', tokens: llama }).render(twoTurns.slice(0, 2));
    expect(text).toMatch(
      /^<\|System\|>:\nYou are a helpful, respectful and honest assistant named YaYi developed by Beijing Wenge Technology Co\.,Ltd\. Always answer as helpfully/,
    );
    expect(text).toContain(llamaDefault);
    expect(text).toMatch(/share false information\.\n\n<\|Human\|>:\nu1\n\n<\|YaYi\|>:\na1<\|End\|>$/);
  });
});

it('alpaca words an input its own way, others as a second line', () => {
  const message: Message = { ...user('do\nthis'), instruction: { instruction: 'do', input: 'this' } };
  const alpaca = loadTemplate({ name: 'alpaca', tokens: llama }).render([message, assistant('a')]);
  expect(alpaca).toBe(
    'Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\ndo\n\n### Input:\nthis\n\n### Response:a</s>',
  );
  expect(loadTemplate({ name: 'chatml', tokens: llama }).render([message])).toBe(
    '<|im_start|>user\ndo\nthis<|im_end|>\n',
  );
});

it('writes BOS where the tokenizer adds one, and never twice', () => {
  const tokens = { ...llama, addsBos: true };
  expect(loadTemplate({ name: 'chatml', tokens }).render([user('u')])).toBe('<s><|im_start|>user\nu<|im_end|>\n');
  expect(loadTemplate({ name: 'llama2', tokens }).render([user('u')])).toBe('<s>[INST] u [/INST]');
  const withoutBos: TemplateTokens = { eosToken: '</s>', addsBos: false, specialIds: new Set(), tokenText: () => '' };
  expect(loadTemplate({ name: 'llama2', tokens: withoutBos }).render([user('u')])).toBe('[INST] u [/INST]');
});

it('skips an empty dialogue', () => {
  const text = loadTemplate({ name: 'dialogsum', tokens: llama }).render([user(''), assistant('s')]);
  expect(text).toBe(`\n${below}\n\n### Instruct: Summarize the below conversation.\n\n### Output:\ns\n\n### End`);
});

it('contents with slots in them stay as they are', () => {
  const text = loadTemplate({ name: 'alpaca', tokens: llama }).render([
    user('{eos} {content} $& $1'),
    assistant('{bos}'),
  ]);
  expect(text).toContain('### Instruction:\n{eos} {content} $& $1\n\n### Response:{bos}</s>');
});

it('writes tools as Qwen does', () => {
  const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }];
  const messages: Message[] = [
    user('u'),
    { role: 'assistant', content: '', toolCalls: [{ name: 'f', arguments: { x: [1, 'é'] } }] },
    { role: 'tool', content: '1' },
    { role: 'tool', content: '2' },
    assistant('a'),
  ];
  expect(loadTemplate({ name: 'qwen', tokens: llama }).render(messages, { tools })).toBe(
    '<|im_start|>system\nYou are a helpful assistant.\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function signatures within <tools></tools> XML tags:\n<tools>\n{"type": "function", "function": {"name": "f", "parameters": {}}}\n</tools>\n\nFor each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n' +
      '<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\n<tool_call>\n{"name": "f", "arguments": {"x": [1, "é"]}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response><|im_end|>\n<|im_start|>assistant\na<|im_end|>\n',
  );
});

it("writes tools as LLaMA-Factory's default does where a family has no wording of its own", () => {
  const parameters = {
    properties: { city: { type: 'string', description: 'where' }, unit: { type: 'string', enum: ['C', 'F'] } },
    required: ['city'],
  };
  const tools = [{ type: 'function', function: { name: 'weather', description: 'now', parameters } }];
  const messages: Message[] = [
    user('u'),
    { role: 'assistant', content: '', toolCalls: [{ name: 'weather', arguments: { city: 'Brest' } }] },
    { role: 'tool', content: '7' },
    assistant('a'),
  ];
  expect(loadTemplate({ name: 'default', tokens: llama }).render(messages, { tools })).toBe(
    'System: You have access to the following tools:\n> Tool Name: weather\nTool Description: now\nTool Args:\n  - city (string, required): where\n  - unit (string): , should be one of [C, F]\n\nUse the following format if using a tool:\n```\nAction: tool name (one of [weather])\nAction Input: the input to the tool, in a JSON format representing the kwargs (e.g. ```{"input": "hello world", "num_beams": 5}```)\n```\n</s>\n' +
      'Human: u</s>\nAssistant:Action: weather\nAction Input: {"city": "Brest"}</s>\nHuman: 7</s>\nAssistant:a</s>\n',
  );
});

it('every name loads, renders, and loads again from what is saved', () => {
  const names = builtinTemplateNames();
  expect(names.length).toBeGreaterThan(55);
  for (const name of names) {
    const template = loadTemplate({ name, tokens: llama, now: new Date(0) });
    const saved = loadSavedTemplate(template.content, llama);
    expect(saved.render(withSystem), name).toBe(template.render(withSystem));
    expect(saved.hash, name).toBe(template.hash);
    expect(saved.stopTokens, name).toEqual(template.stopTokens);
  }
});

it('qwen3 leaves earlier thoughts out and has a think block in the last answer', () => {
  const template = loadTemplate({ name: 'qwen3', tokens: llama });
  const thoughtful = [user('u1'), assistant('<think>\nhm\n</think>\n\na1'), user('u2'), assistant('a2')];
  expect(template.render(thoughtful)).toBe(
    '<|im_start|>user\nu1<|im_end|>\n<|im_start|>assistant\na1<|im_end|>\n<|im_start|>user\nu2<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\na2<|im_end|>\n',
  );
  expect(template.render(thoughtful.slice(0, 2))).toBe(
    '<|im_start|>user\nu1<|im_end|>\n<|im_start|>assistant\n<think>\nhm\n</think>\n\na1<|im_end|>\n',
  );
  const silent = loadTemplate({ name: 'qwen3', tokens: llama, variables: { enable_thinking: false } });
  expect(silent.locate(twoTurns).map(({ text, turns }) => [text.slice(turns[0]!.promptEnd), turns.length])).toEqual([
    ['a2<|im_end|>\n', 1],
    ['a1<|im_end|>\n', 1],
  ]);
});
