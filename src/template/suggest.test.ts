import { describe, expect, it } from 'vitest';
import { nearestTemplateNames, suggestTemplates } from './suggest.ts';

const tokens = (...special: string[]) => ({
  specialIds: new Set(special.keys()),
  tokenText: (id: number) => special[id]!,
});

describe('templates for a model without one', () => {
  it.each<[string, string, string | undefined, string[], string[]]>([
    ['markers of ChatML', 'models/any', 'llama', ['<|im_start|>', '<|im_end|>'], ['chatml', 'qwen3', 'llama2']],
    [
      'Llama 3',
      '/m/Meta-Llama-3-8B',
      'llama',
      ['<|begin_of_text|>', '<|eot_id|>', '<|start_header_id|>', '<|end_header_id|>'],
      ['llama-3', 'llama2', 'alpaca'],
    ],
    ['Llama 2', 'Llama-2-7b-hf', 'llama', ['<s>', '</s>'], ['llama2', 'alpaca', 'vicuna']],
    ['Vicuna by its name', 'lmsys/vicuna-7b-v1.5/', 'llama', [], ['vicuna', 'llama2', 'alpaca']],
    ['Gemma', 'gemma-2b', 'gemma', ['<start_of_turn>', '<end_of_turn>'], ['gemma', 'alpaca', 'vicuna']],
    ['Pythia', 'pythia-70m', 'gpt_neox', ['<|endoftext|>'], ['alpaca', 'vicuna', 'default']],
    ['ChatGLM', 'glm', 'chatglm', ['<|user|>', '<|assistant|>', '<|system|>'], ['chatglm3', 'glm4', 'zephyr']],
    ['Qwen by its name alone', 'models/Qwen2-0.5B', undefined, [], ['qwen2', 'alpaca', 'vicuna']],
  ])('%s', (_, where, type, special, expected) => {
    expect(suggestTemplates(where, type, tokens(...special))).toEqual(expected);
  });
});

describe('names like one that is none', () => {
  it('are the nearest three', () => {
    expect(nearestTemplateNames('lama3')[0]).toBe('llama3');
    expect(nearestTemplateNames('chat-ml')).toContain('chatml');
    expect(nearestTemplateNames('')).toHaveLength(3);
  });
});
