/** How built-in templates write tools, calls of them and their results. */
import type { Message, ToolCall } from './conversation.ts';
import { pythonJson } from './python-json.ts';

/** The three places where tools show in a conversation. */
interface ToolWording {
  /** The system text with the tools told. */
  system(text: string, tools: readonly unknown[]): string;
  /** What follows the content of an assistant turn that makes calls. */
  calls(content: string, calls: readonly ToolCall[]): string;
  /** The turn of `messages[index]`, a tool's result; neighbouring results may share one turn. */
  result(messages: readonly Message[], index: number): string;
}

export type ToolFormat = 'qwen';

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

/** OpenAI's `{"type": "function", "function": {...}}`, in which bare descriptions are wrapped. */
function wrapTool(tool: unknown): unknown {
  const isWrapped = typeof tool === 'object' && tool !== null && 'function' in tool;
  return isWrapped ? tool : { type: 'function', function: tool };
}

export const toolFormats: Readonly<Record<ToolFormat, ToolWording>> = { qwen };
