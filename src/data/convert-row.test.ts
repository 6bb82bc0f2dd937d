import { describe, expect, it } from 'vitest';
import { convertRow, detectFormat, type RowReading } from './convert-row.ts';
import { defaultColumns, openaiTags, sharegptTags } from './dataset-entry.ts';
import type { Example } from './example.ts';
import { problemText } from './row.ts';

const place = { dataset: 'd', file: 'data.jsonl', line: 7, row: 6 };
const alpaca: RowReading = {
  stage: 'sft',
  format: 'alpaca',
  columns: defaultColumns,
  tags: sharegptTags,
  ranking: false,
};
const sharegpt: RowReading = { ...alpaca, format: 'sharegpt' };
const openai: RowReading = {
  ...alpaca,
  format: 'openai',
  columns: { ...defaultColumns, messages: 'messages' },
  tags: openaiTags,
};

function example(value: unknown, reading: RowReading): Example {
  const row = convertRow({ line: 7, value }, reading);
  if ('problem' in row) throw new Error(problemText(row.problem, place));
  return row.example;
}
function turns(value: unknown, reading: RowReading): unknown {
  const made = example(value, reading);
  return made.kind === 'conversation' ? made.conversation.messages : made;
}
function problem(value: unknown, reading: RowReading): string {
  const row = convertRow({ line: 7, value }, reading);
  if ('example' in row) throw new Error('no problem found');
  return `${row.problem.rule} ${row.problem.pointer} ${problemText(row.problem, place)}`;
}
const user = (value: unknown): object => ({ from: 'human', value });
const bot = (value: unknown): object => ({ from: 'gpt', value });

describe('Alpaca rows', () => {
  it('joins instruction and input with a newline and trains every answer of the history', () => {
    const row = { instruction: 'Add.', input: '1 2', output: '3', system: 'Be short.', history: [['hi', 'hello']] };
    expect(turns(row, alpaca)).toEqual([
      { role: 'system', content: 'Be short.' },
      { role: 'user', content: 'hi' },
      { role: 'assistant', content: 'hello' },
      { role: 'user', content: 'Add.\n1 2', instruction: { instruction: 'Add.', input: '1 2' } },
      { role: 'assistant', content: '3' },
    ]);
  });
  it('takes empty and null fields as left out', () => {
    const expected = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Ho' },
    ];
    expect(turns({ instruction: 'Hi', input: '', output: 'Ho', system: '', history: [] }, alpaca)).toEqual(expected);
    expect(turns({ instruction: 'Hi', input: null, output: 'Ho', system: null, history: null }, alpaca)).toEqual(
      expected,
    );
    expect(turns({ instruction: '', input: 'Hi', output: 'Ho' }, alpaca)).toMatchObject([{ content: 'Hi' }, {}]);
  });
  it.each([
    [[1], 'wrong-type  data.jsonl:7: the row must be an object, got a list'],
    [
      { instruction: 'a', outptu: 'b' },
      'missing-field /output data.jsonl:7: the row must have the field "output", got only "instruction", "outptu"',
    ],
    [{}, 'missing-field /instruction data.jsonl:7: the row must have the field "instruction", got no field'],
    [{ instruction: 'a', output: { x: 1 } }, 'wrong-type /output data.jsonl:7: output must be a text, got an object'],
    [{ instruction: 'a', output: null }, 'wrong-type /output data.jsonl:7: output must be a text, got null'],
    [{ instruction: 'a', output: 5 }, 'wrong-type /output data.jsonl:7: output must be a text, got a number'],
    [
      { instruction: 'a', input: ['x'], output: 'b' },
      'wrong-type /input data.jsonl:7: input must be a text, got a list',
    ],
    [
      { instruction: ' ', input: '', output: 'b' },
      'empty-prompt /instruction data.jsonl:7: instruction must hold text, got nothing to answer',
    ],
    [
      { instruction: 'a', output: ' \n' },
      'empty-response /output data.jsonl:7: output must hold text, got nothing to learn',
    ],
    [
      { instruction: 'a', output: 'b', history: 'x' },
      'bad-history /history data.jsonl:7: history must be a [question, answer] pair of texts, got a text',
    ],
    [
      { instruction: 'a', output: 'b', history: [['x']] },
      'bad-history /history/0 data.jsonl:7: history[0] must be a [question, answer] pair of texts, got a list of 1',
    ],
    [
      {
        instruction: 'a',
        output: 'b',
        history: [
          ['x', 'y'],
          ['z', 3],
        ],
      },
      'bad-history /history/1/1 data.jsonl:7: history[1] must be a [question, answer] pair of texts, got a number',
    ],
    [
      { instruction: 'a', output: 'b', history: [['x', '']] },
      'empty-response /history/0/1 data.jsonl:7: history[0][1] must hold text, got nothing to learn',
    ],
    [
      { instruction: 'a', output: 'b', tools: '{' },
      'wrong-type /tools data.jsonl:7: tools must be a list of tools, or its JSON text, got a text',
    ],
  ])('names what is wrong with %j', (row, text) => expect(problem(row, alpaca)).toBe(text));
});

describe('ShareGPT and OpenAI rows', () => {
  it('reads turns, the system column and tool calls', () => {
    const row = {
      system: 'S',
      tools: '[{"name": "add"}]',
      conversations: [
        user('1+1?'),
        { from: 'function_call', value: '{"name": "add", "arguments": {"a": 1}}' },
        { from: 'observation', value: '2' },
        bot('Two.'),
      ],
    };
    expect(example(row, sharegpt)).toEqual({
      kind: 'conversation',
      conversation: {
        tools: [{ name: 'add' }],
        messages: [
          { role: 'system', content: 'S' },
          { role: 'user', content: '1+1?' },
          { role: 'assistant', content: '', toolCalls: [{ name: 'add', arguments: { a: 1 } }] },
          { role: 'tool', content: '2' },
          { role: 'assistant', content: 'Two.' },
        ],
      },
    });
    const called = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: '1', type: 'function', function: { name: 'add', arguments: '{"a": 1}' } }],
    };
    const messages = [
      {
        role: 'user',
        content: [
          { type: 'text', text: '1+' },
          { type: 'text', text: '1?' },
        ],
      },
      called,
      { role: 'tool', content: '2' },
      { role: 'tool', content: '3' },
      { role: 'assistant', content: 'Two.', train: false, weight: 0.5, trained_spans: [[0, 3]] },
    ];
    expect(turns({ messages }, openai)).toEqual([
      { role: 'user', content: '1+1?' },
      { role: 'assistant', content: '', toolCalls: [{ id: '1', name: 'add', arguments: { a: 1 } }] },
      { role: 'tool', content: '2' },
      { role: 'tool', content: '3' },
      { role: 'assistant', content: 'Two.', train: false, weight: 0.5, trainedSpans: [[0, 3]] },
    ]);
  });
  it('lets a system turn overrule the system column', () => {
    const row = { system: 'column', conversations: [{ from: 'system', value: 'turn' }, user('a'), bot('b')] };
    expect(turns(row, sharegpt)).toMatchObject([{ content: 'turn' }, {}, {}]);
  });
  it.each([
    [
      { conversations: 'x' },
      'wrong-type /conversations data.jsonl:7: conversations must be a list of messages, got a text',
    ],
    [
      { messages: [] },
      'missing-field /conversations data.jsonl:7: the row must have the field "conversations", got only "messages"',
    ],
    [
      { conversations: [] },
      'no-assistant-turn /conversations data.jsonl:7: conversations must hold at least one assistant turn, got none',
    ],
    [
      { conversations: [user('a')] },
      'no-assistant-turn /conversations data.jsonl:7: conversations must hold at least one assistant turn, got none',
    ],
    [
      { conversations: [user('a'), 'b'] },
      'wrong-type /conversations/1 data.jsonl:7: conversations[1] must be an object with a role and a content, got a text',
    ],
    [
      { conversations: [user('a'), { from: 'gpt' }] },
      'missing-field /conversations/1/value data.jsonl:7: the row must have the field "conversations[1].value", got only "conversations[1].from"',
    ],
    [
      { conversations: [user('a'), { from: 'bot', value: 'b' }] },
      'unknown-role /conversations/1/from data.jsonl:7: conversations[1].from must be one of system, human, gpt, observation, function_call, got "bot"',
    ],
    [
      { conversations: [bot('b'), user('a'), bot('b')] },
      'role-order /conversations/0/from data.jsonl:7: conversations[0] must come from user, got assistant',
    ],
    [
      { conversations: [user('a'), user('a'), bot('b')] },
      'role-order /conversations/1/from data.jsonl:7: conversations[1] must come from assistant, got user',
    ],
    [
      { conversations: [user('a'), bot('b'), bot('c')] },
      'role-order /conversations/2/from data.jsonl:7: conversations[2] must come from user or tool, got assistant',
    ],
    [
      { conversations: [user('a'), bot('b'), user('c')] },
      'role-order /conversations/2/from data.jsonl:7: conversations[2] must come from assistant, got user',
    ],
    [
      { conversations: [user('a'), bot('b'), { from: 'system', value: 's' }, user('a'), bot('b')] },
      'role-order /conversations/2/from data.jsonl:7: conversations[2] must come from user or tool, got system',
    ],
    [
      { conversations: [user(''), bot('b')] },
      'empty-prompt /conversations/0/value data.jsonl:7: conversations[0].value must hold text, got nothing to answer',
    ],
    [
      { conversations: [user('a'), bot('')] },
      'empty-response /conversations/1/value data.jsonl:7: conversations[1].value must hold text, got nothing to learn',
    ],
    [
      { conversations: [user('a'), bot(3)] },
      'wrong-type /conversations/1/value data.jsonl:7: conversations[1].value must be a text or a list of text parts, got a number',
    ],
    [
      { conversations: [user('a'), { from: 'function_call', value: 'add(1)' }] },
      'wrong-type /conversations/1/value data.jsonl:7: conversations[1].value must be a tool call with a name and arguments, got a text',
    ],
    [
      { conversations: [user('a'), { ...bot('b'), train: 1 }] },
      'wrong-type /conversations/1/train data.jsonl:7: conversations[1].train must be true or false, got a number',
    ],
    [
      { conversations: [user('a'), { ...bot('b'), weight: -1 }] },
      'wrong-type /conversations/1/weight data.jsonl:7: conversations[1].weight must be a number from 0 on, got a number',
    ],
    [
      { conversations: [user('a'), { ...bot('b'), trained_spans: [[0, 2]] }] },
      'wrong-type /conversations/1/trained_spans data.jsonl:7: conversations[1].trained_spans must be a list of [begin, end] (or [begin, end, weight]) offsets inside the content, got a list',
    ],
  ])('names what is wrong with %j', (row, text) => expect(problem(row, sharegpt)).toBe(text));
  it('refuses pictures by name', () => {
    const messages = [
      { role: 'user', content: [{ type: 'image_url' }] },
      { role: 'assistant', content: 'b' },
    ];
    expect(problem({ messages }, openai)).toBe(
      'wrong-type /messages/0/content/0 data.jsonl:7: messages[0].content[0] must be a part of type text, got an object',
    );
  });
});

describe('other rows', () => {
  it('reads texts, prompts and completions, and Firefly conversations', () => {
    expect(example({ text: 'abc' }, { ...alpaca, format: 'text' })).toEqual({ kind: 'text', text: 'abc' });
    const columns = { ...defaultColumns, prompt: 'content' };
    expect(example({ content: 'abc' }, { ...alpaca, stage: 'pt', columns })).toEqual({ kind: 'text', text: 'abc' });
    expect(problem({ text: '' }, { ...alpaca, format: 'text' })).toBe(
      'empty-response /text data.jsonl:7: text must hold text, got nothing to learn',
    );
    const pair = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ];
    expect(turns({ prompt: 'a', completion: 'b' }, { ...alpaca, format: 'prompt-completion' })).toEqual(pair);
    expect(turns({ conversation: [{ human: 'a', assistant: 'b' }] }, { ...alpaca, format: 'firefly' })).toEqual(pair);
  });
  it('reads pairs of answers and marked answers', () => {
    const pair = { conversations: [user('a')], chosen: bot('good'), rejected: bot('bad') };
    expect(example(pair, { ...sharegpt, stage: 'dpo', ranking: true })).toEqual({
      kind: 'pair',
      prompt: { messages: [{ role: 'user', content: 'a' }] },
      chosen: { role: 'assistant', content: 'good' },
      rejected: { role: 'assistant', content: 'bad' },
    });
    const tagged = { conversations: [user('a'), bot('b')], label: true };
    const columns = { ...defaultColumns, kto_tag: 'label' };
    expect(example(tagged, { ...sharegpt, stage: 'kto', columns })).toMatchObject({ kind: 'tagged', desirable: true });
  });
  it('names what could not be read', () => {
    const row = convertRow(
      { line: 7, value: undefined, fault: { kind: 'syntax', problem: '"}" instead of a value' } },
      alpaca,
    );
    expect('problem' in row && problemText(row.problem, place)).toBe(
      'data.jsonl:7: the row must be valid JSON, got "}" instead of a value',
    );
    const narrow = convertRow({ line: 7, value: undefined, fault: { kind: 'fields', expected: 3, actual: 2 } }, alpaca);
    expect('problem' in narrow && [narrow.problem.rule, problemText(narrow.problem, place)]).toEqual([
      'wrong-type',
      'data.jsonl:7: the row must have 3 fields as the header has, got 2',
    ]);
  });
  it('never reads fields that objects inherit', () => {
    const columns = { ...defaultColumns, prompt: 'constructor' };
    expect(problem({ output: 'b' }, { ...alpaca, columns })).toMatch(/^missing-field \/constructor/);
  });
  it('tells the format of a row by its fields', () => {
    expect(detectFormat({ instruction: '', output: '' })).toEqual({ format: 'alpaca' });
    expect(detectFormat({ conversations: [user('a')] })).toMatchObject({
      format: 'sharegpt',
      messages: 'conversations',
    });
    expect(detectFormat({ messages: [{ role: 'user' }] })).toMatchObject({ format: 'openai', messages: 'messages' });
    expect(detectFormat({ conversation: [{ human: 'a' }] })).toEqual({ format: 'firefly' });
    expect(detectFormat({ prompt: '', completion: '' })).toEqual({ format: 'prompt-completion' });
    expect(detectFormat({ text: '' })).toEqual({ format: 'text' });
    expect(detectFormat({ question: '' })).toBeUndefined();
    const mixed = [
      { from: 'user', value: 'a' },
      { from: 'assistant', value: 'b' },
    ];
    expect(detectFormat({ conversations: mixed })!.tags).toMatchObject({
      role_tag: 'from',
      content_tag: 'value',
      user_tag: 'user',
      assistant_tag: 'assistant',
    });
    const other = [
      { role: 'human', value: 'a' },
      { role: 'gpt', value: 'b' },
    ];
    expect(detectFormat({ conversations: other })!.tags).toMatchObject({
      role_tag: 'role',
      content_tag: 'value',
      user_tag: 'human',
      assistant_tag: 'gpt',
    });
    expect(detectFormat({ messages: [user('a'), bot('b')] })!.tags).toEqual(sharegptTags);
    expect(detectFormat({ messages: [{ role: 'user', content: '' }] })!.tags).toEqual(openaiTags);
  });
});
