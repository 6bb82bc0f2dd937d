/** Jinja templates rendered as transformers renders them (test/goldens/chat-templates.json, bench/chat-templates/record.py). */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DataError } from '../errors.ts';
import { loadTemplate, type Message, type TemplateTokens } from './index.ts';

interface JinjaMessage {
  readonly role: Message['role'];
  readonly content: string;
  readonly name?: string;
  readonly tool_calls?: readonly { readonly function: { readonly name: string; readonly arguments: unknown } }[];
}
interface Golden {
  readonly tokens: Readonly<Record<'bos_token' | 'eos_token' | 'pad_token' | 'unk_token', string>>;
  readonly conversations: readonly {
    readonly name: string;
    readonly messages: readonly JinjaMessage[];
    readonly tools: readonly unknown[] | null;
    readonly addGenerationPrompt: boolean;
  }[];
  readonly templates: Readonly<
    Record<string, { readonly sha256: string; readonly renderings: readonly (string | null)[] }>
  >;
}

const golden = JSON.parse(
  readFileSync(new URL('../../test/goldens/chat-templates.json', import.meta.url), 'utf8'),
) as Golden;
const data = new URL('../../../shared/data/', import.meta.url).pathname;
const missing = !existsSync(join(data, 'chat_templates'));

const tokens: TemplateTokens = {
  bosToken: golden.tokens.bos_token,
  eosToken: golden.tokens.eos_token,
  padToken: golden.tokens.pad_token,
  unkToken: golden.tokens.unk_token,
  addsBos: false,
  specialIds: new Set([1, 2]),
  tokenText: (id) => (id === 1 ? '<s>' : '</s>'),
};

function readTemplate(name: string): string {
  const text = readFileSync(join(data, name), 'utf8');
  return name.endsWith('.jinja') ? text : (JSON.parse(text) as { chat_template: string }).chat_template;
}

const toMessage = ({ role, content, name, tool_calls: calls }: JinjaMessage): Message => ({
  role,
  content,
  ...(name === undefined ? {} : { name }),
  ...(calls === undefined ? {} : { toolCalls: calls.map(({ function: call }) => call) }),
});

describe.skipIf(missing)(
  `transformers' renderings${missing ? ' (skipped: the templates are not on this machine)' : ''}`,
  () => {
    it.each(Object.keys(golden.templates))('%s', (name) => {
      const source = readTemplate(name);
      const { sha256, renderings } = golden.templates[name]!;
      expect(createHash('sha256').update(source).digest('hex')).toBe(sha256);
      const template = loadTemplate({ tokens, chatTemplate: source });
      golden.conversations.forEach((conversation, i) => {
        const { addGenerationPrompt, tools } = conversation;
        const render = (): string =>
          template.render(conversation.messages.map(toMessage), {
            addGenerationPrompt,
            ...(tools === null ? {} : { tools }),
          });
        const expected = renderings[i]!;
        if (expected !== null) expect(render(), conversation.name).toBe(expected);
        // Where transformers stops at an undefined value, lenient templates write nothing instead.
        else if (!name.includes('mistral-7b')) expect(render, conversation.name).toThrow(DataError);
      });
    });
  },
);
