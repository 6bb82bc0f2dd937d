/** How built-in templates write tools, calls of them and their results. */
import type { Message, ToolCall } from './conversation.ts';
import { pythonJson } from './python-json.ts';

/** The three places where tools show in a conversation. */
interface ToolWording {
  /** The system text with the tools told. */
  system(text: string, tools: readonly unknown[]): string;
  /** What follows the content of an assistant turn that makes calls. */
  calls(content: string, calls: readonly ToolCall[]): string;
  /** The turn of `messages[index]`, a tool's result; neighbouring results may share one turn. Left out: a user's turn. */
  result?(messages: readonly Message[], index: number): string;
}

export type ToolFormat = 'qwen' | 'action';

/** Qwen 2.5 and 3, after Hermes (Qwen/Qwen2.5-7B-Instruct, tokenizer_config.json, chat_template; Apache-2.0). */
const qwen: ToolWording = {
  system: (text, tools) =>
    `${text === '' ? 'You are a helpful assistant.' : text}\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n` +
    `You are provided with function signatures within <tools></tools> XML tags:\n<tools>${tools
      .map((tool) => `\n${pythonJson(wrapTool(tool))}`)
      .join('')}\n</tools>\n\n` +
    `For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:\n` +
    `<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>`,
  calls: (content, calls) =>
    calls
      .map(({ name, arguments: values }, i) => {
        const call = `<tool_call>\n{"name": ${pythonJson(name)}, "arguments": ${pythonJson(values)}}\n</tool_call>`;
        return content === '' && i === 0 ? call : `\n${call}`;
      })
      .join(''),
  result: (messages, index) => {
    const opens = messages[index - 1]?.role !== 'tool';
    const closes = messages[index + 1]?.role !== 'tool';
    return `${opens ? '<|im_start|>user' : ''}\n<tool_response>\n${messages[index]!.content}\n</tool_response>${closes ? '<|im_end|>\n' : ''}`;
  },
};

type Fields = Readonly<Record<string, unknown>>;
const fieldsOf = (value: unknown): Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const textOf = (value: unknown): string =>
  typeof value === 'string' ? value : value === undefined ? '' : pythonJson(value);

/** The description inside OpenAI's `{"type": "function", "function": {...}}`, or the bare one. */
function bareTool(tool: unknown): Fields {
  const fields = fieldsOf(tool);
  return fields['type'] === 'function' ? fieldsOf(fields['function']) : fields;
}

function parameterLine(name: string, value: unknown, required: readonly unknown[]): string {
  const parameter = fieldsOf(value);
  const choices = Array.isArray(parameter['enum'])
    ? `, should be one of [${parameter['enum'].map(textOf).join(', ')}]`
    : '';
  const items =
    parameter['items'] === undefined
      ? ''
      : `, where each item should be ${textOf(fieldsOf(parameter['items'])['type'])}`;
  const kind = textOf(parameter['type']) + (required.includes(name) ? ', required' : '');
  return `  - ${name} (${kind}): ${textOf(parameter['description'])}${choices}${items}\n`;
}

/** LLaMA-Factory's default wording (hiyouga/LLaMA-Factory v0.9.3, src/llamafactory/data/tool_utils.py; Apache-2.0). */
const action: ToolWording = {
  system: (text, tools) => {
    const described = tools.map((tool) => {
      const { name, description, parameters } = bareTool(tool);
      const { properties, required } = fieldsOf(parameters);
      const names = Array.isArray(required) ? (required as unknown[]) : [];
      const lines = Object.entries(fieldsOf(properties)).map(([key, value]) => parameterLine(key, value, names));
      return `> Tool Name: ${textOf(name)}\nTool Description: ${textOf(description)}\nTool Args:\n${lines.join('')}\n`;
    });
    const names = tools.map((tool) => textOf(bareTool(tool)['name'])).join(', ');
    return (
      `${text}You have access to the following tools:\n${described.join('')}Use the following format if using a tool:\n\`\`\`\n` +
      `Action: tool name (one of [${names}])\n` +
      'Action Input: the input to the tool, in a JSON format representing the kwargs ' +
      '(e.g. ```{"input": "hello world", "num_beams": 5}```)\n```\n'
    );
  },
  calls: (content, calls) => {
    const lines = calls.map(({ name, arguments: values }) => `Action: ${name}\nAction Input: ${textOf(values)}`);
    return (content === '' ? '' : '\n') + lines.join('\n');
  },
};

/** OpenAI's `{"type": "function", "function": {...}}`, in which bare descriptions are wrapped. */
function wrapTool(tool: unknown): unknown {
  const isWrapped = typeof tool === 'object' && tool !== null && 'function' in tool;
  return isWrapped ? tool : { type: 'function', function: tool };
}

export const toolFormats: Readonly<Record<ToolFormat, ToolWording>> = { qwen, action };
