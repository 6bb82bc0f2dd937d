import { expect, it } from 'vitest';
import { parseToolCalls } from './tool-calls.ts';

const call = { name: 'weather', arguments: '{"city":"Oslo"}' };
const json = '{"name": "weather", "arguments": {"city": "Oslo"}}';

it.each([
  ['Hermes and Qwen', `Let me see.\n<tool_call>\n${json}\n</tool_call>`, 'Let me see.', [call]],
  ['two calls', `<tool_call>${json}</tool_call>\n<tool_call>${json}</tool_call>`, '', [call, call]],
  ['Mistral', `[TOOL_CALLS] [${json}]`, '', [call]],
  ['ReAct', 'Thought: look\nAction: weather\nAction Input: {"city": "Oslo"}', 'Thought: look', [call]],
  ['GLM-4', 'weather\n{"city": "Oslo"}', '', [call]],
  ['Llama 3.1', '<|python_tag|>{"name": "weather", "parameters": {"city": "Oslo"}}', '', [call]],
  ['bare JSON', json, '', [call]],
])('reads %s', (_, text, content, calls) => {
  expect(parseToolCalls(text, ['weather'])).toEqual({ content, calls });
});

it.each([
  'The weather is fine.',
  '<tool_call>{"name": "weather", "arguments": {"city": ',
  '<tool_call>{"name": "delete_everything", "arguments": {}}</tool_call>',
  'Action: weather\nAction Input: Oslo',
  '{"name": "other", "arguments": {}}',
  '{"city": "Oslo"}',
  '',
])('leaves %j as text', (text) => {
  expect(parseToolCalls(text, ['weather'])).toEqual({ content: text, calls: [] });
});
