/** What a template may do and what it may not; templates of users; names that are wrong. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { ConfigError, FettleError } from '../errors.ts';
import {
  loadSavedTemplate,
  loadTemplate,
  type Message,
  modelChatTemplate,
  readOwnTemplate,
  type TemplateTokens,
} from './index.ts';
import { sha256 } from './sha256.ts';
import { strftime } from './strftime.ts';

const tokens: TemplateTokens = {
  bosToken: '<s>',
  eosToken: '</s>',
  addsBos: false,
  specialIds: new Set([0]),
  tokenText: () => '</s>',
};
const turns: readonly Message[] = [
  { role: 'user', content: 'q' },
  { role: 'assistant', content: 'r' },
];
const jinja = (chatTemplate: string, more: object = {}) => loadTemplate({ tokens, chatTemplate, ...more });

function messageOf(run: () => unknown): string {
  const started = performance.now();
  try {
    run();
  } catch (error) {
    expect(error).toBeInstanceOf(FettleError);
    expect(performance.now() - started).toBeLessThan(10_000);
    return (error as Error).message;
  }
  throw new Error('nothing was thrown');
}

describe('hostile templates are refused, soon', () => {
  it.each<[string, string, string]>([
    [
      'a huge range',
      '{% for i in range(1000000000) %}x{% endfor %}',
      'template tokenizer: a range must have at most 10000 elements, got 1000000000',
    ],
    [
      'nested ranges',
      '{% for i in range(9000) %}{% for j in range(9000) %}x{% endfor %}{% endfor %}',
      'template tokenizer: a rendering of this conversation must take at most 101000 steps, got more',
    ],
    [
      'doubling',
      '{% set ns = namespace(x="ab") %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}',
      'template tokenizer: texts must have at most 16777216 characters, got',
    ],
    [
      'endless calls',
      '{% macro f(g) %}{{ g(g) }}{% endmacro %}{{ f(f) }}',
      'template tokenizer: must neither nest without end nor make texts beyond memory, got',
    ],
    ['no such filter', '{{ messages | explode }}', 'template tokenizer: cannot be rendered: '],
    [
      'a refusal',
      "{{ raise_exception('only one turn') }}",
      'template tokenizer: refuses this conversation: only one turn',
    ],
  ])('%s', (_, source, expected) => {
    const template = jinja(source);
    expect(messageOf(() => template.render(turns))).toContain(expected);
  });

  it('broken and huge sources', () => {
    expect(messageOf(() => jinja('{% if x %}'))).toMatch(/^template tokenizer: does not parse as Jinja: /);
    expect(messageOf(() => jinja('x'.repeat(300_000)))).toBe(
      'template tokenizer: must be at most 262144 characters long, got 300000',
    );
    expect(messageOf(() => jinja(`{{ ${'('.repeat(50_000)}1 }}`))).toMatch(
      /^template tokenizer: does not parse as Jinja: /,
    );
  });
});

it('dates are those of the run, tools and variables go to the template', () => {
  const source =
    "{{ strftime_now('%d %b %Y') }}|{{ enable_thinking }}|{{ tools | length }}|{{ missing + 'x' }}|{{ bos_token }}";
  const template = jinja(source, { now: new Date(2026, 0, 5), variables: { enable_thinking: false } });
  expect(template.render(turns, { tools: [{}, {}] })).toBe('05 Jan 2026|false|2|x|<s>');
  const saved = loadSavedTemplate(template.content, tokens);
  expect(saved.render(turns, { tools: [{}, {}] })).toBe('05 Jan 2026|false|2|x|<s>');
  expect(saved.hash).toBe(template.hash);
  const own = { defaultSystem: 'of now', variables: { enable_thinking: true } };
  const now = loadSavedTemplate(template.content, tokens, 'f', own);
  expect(now.render(turns, { tools: [{}, {}] })).toBe('05 Jan 2026|true|2|x|<s>');
  expect(strftime(new Date(2026, 10, 21, 9, 5, 7), '%A %B %-d %H:%M:%S %j %y %p %F %q')).toBe(
    'Saturday November 21 09:05:07 325 26 AM 2026-11-21 %q',
  );
});

it('where a template refuses a prompt that is too short to be real, answers are still found', () => {
  const source =
    "{% for m in messages %}{% if m.role == 'user' %}U:{{ m.content }}\n{% else %}A:{{ m.content | trim }}{{ eos_token }}\n{% endif %}{% endfor %}{% if add_generation_prompt %}A:{% endif %}";
  const template = jinja(source);
  const messages: Message[] = [...turns, { role: 'user', content: 'q2' }, { role: 'assistant', content: ' r2 ' }];
  const [located] = template.locate(messages);
  expect(located!.text).toBe('U:q\nA:r</s>\nU:q2\nA:r2</s>\n');
  expect(located!.turns.map((turn) => located!.text.slice(turn.promptEnd, turn.end))).toEqual(['r</s>', 'r2</s>']);
  expect(template.endToken).toBe('</s>');
});

it('reads what Python reads: generation marks write nothing, strip takes what Python takes', () => {
  const marked =
    "{% for m in messages %}\n{% if m.role == 'assistant' %}\n{% generation %}\n{{ m.content + eos_token }}\n{%- endgeneration %}\n{% else %}\n{{ m.content }}\n{% endif %}\n{% endfor %}";
  expect(jinja(marked).render(turns)).toBe('q\nr</s>');
  expect(
    jinja('{{ messages[0].content | trim }}').render([{ role: 'user', content: '\u0085\u001c \ufeffa\ufeff\u3000' }]),
  ).toBe('\ufeffa\ufeff');
});

it('a template without an end token ends with the content', () => {
  const source =
    '{% for m in messages %}{{ m.role }}: {{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}';
  const [located] = jinja(source).locate(turns);
  const [turn] = located!.turns;
  expect(located!.text.slice(turn!.promptEnd, turn!.end)).toBe(' r');
  expect(jinja(source).endToken).toBeUndefined();
});

it('names', () => {
  expect(messageOf(() => loadTemplate({ name: 'lama3', tokens }))).toBe(
    'template: must name a built-in template, got "lama3". Did you mean "llama3", "llama2", "gemma3"?',
  );
  const error = messageOf(() => loadTemplate({ tokens, where: 'models/Qwen2-0.5B' }));
  expect(error).toMatch(
    /^models\/Qwen2-0.5B: a model without a chat template of its own needs "template" in the config, got none\. Nearest built-in ones: .*qwen2/,
  );
  expect(() => loadTemplate({ name: '__proto__', tokens })).toThrow(ConfigError);
});

it("finds the model's own template", () => {
  const file = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
  const config = file({ chat_template: 'from config' });
  expect(modelChatTemplate(new Map([['tokenizer_config.json', config]]))).toBe('from config');
  expect(modelChatTemplate(new Map([['tokenizer_config.json', config], ['chat_template.jinja', file('own file')]]))).toBe('own file'); // prettier-ignore
  const named = file({ chat_template: [{ name: 'tool_use', template: 't' }, { name: 'default', template: 'd' }] }); // prettier-ignore
  expect(modelChatTemplate(new Map([['tokenizer_config.json', named]]))).toBe('d');
  expect(modelChatTemplate(new Map([['tokenizer_config.json', file({})]]))).toBeUndefined();
  expect(() => modelChatTemplate(new Map([['tokenizer_config.json', file({ chat_template: 7 })]]))).toThrow(
    'template tokenizer_config.json: "chat_template" must be a text or a list of named texts, got another value',
  );
});

describe('own templates', () => {
  const own = {
    system: '\nBelow is an instruction.\n\n',
    user: '### Instruct: Summarize.\n\n{{content}}\n\n',
    assistant: '### Output:\n{{content}}\n\n### End\n',
    separator: '\n',
    stop: ['### End'],
  };
  it('render as they are written', () => {
    const template = loadTemplate({ tokens, wording: readOwnTemplate(own, 'mine.yaml') });
    expect(template.render([...turns, ...turns])).toBe(
      '\nBelow is an instruction.\n\n### Instruct: Summarize.\n\nq\n\n### Output:\nr\n\n### End\n\n### Instruct: Summarize.\n\nq\n\n### Output:\nr\n\n### End\n',
    );
    const [located] = template.locate(turns);
    expect(located!.text.slice(located!.turns[0]!.promptEnd, located!.turns[0]!.end)).toBe('r\n\n### End');
    expect(template.stopStrings).toContain('### End');
    expect(loadSavedTemplate(template.content, tokens).hash).toBe(template.hash);
  });

  it('and those of a model say the system text of now in place of the saved one', () => {
    const chatTemplate = '{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}';
    for (const options of [{ name: 'qwen' }, { chatTemplate }, { wording: readOwnTemplate(own, 'mine.yaml') }]) {
      const { content } = loadTemplate({ ...options, tokens, defaultSystem: 'then' });
      const expected = loadTemplate({ ...options, tokens, defaultSystem: 'now' }).render(turns);
      expect(loadSavedTemplate(content, tokens, 'f', { defaultSystem: 'now' }).render(turns)).toBe(expected);
      expect(loadSavedTemplate(content, tokens, 'f', { defaultSystem: '' }).render(turns)).not.toBe(expected);
    }
  });

  it.each<[string, object, string]>([
    [
      'an unknown key',
      { ...own, usr: '' },
      'template mine.yaml: knows name, system, user, assistant, separator, stop, got the key "usr"',
    ],
    ['no slot', { ...own, assistant: 'x' }, 'template mine.yaml: "assistant" must have the slot {content}, got none'],
    ['a wrong type', { ...own, user: 7 }, 'template mine.yaml: "user" must be a text, got another value'],
    [
      'a wrong stop',
      { ...own, stop: [7] },
      'template mine.yaml: "stop" must be a list of at most 64 texts, got another value',
    ],
  ])('%s', (_, value, expected) => {
    expect(messageOf(() => readOwnTemplate(value, 'mine.yaml'))).toBe(expected);
  });

  it('saved texts that are none', () => {
    expect(messageOf(() => loadSavedTemplate('{', tokens, 'template.json'))).toBe(
      'template template.json: must be a JSON object, got something else',
    );
    expect(messageOf(() => loadSavedTemplate('{"format": "x"}', tokens, 'template.json'))).toBe(
      'template template.json: "format" must be "fettle-template-1", got another value',
    );
    expect(
      messageOf(() =>
        loadSavedTemplate('{"format":"fettle-template-1","kind":"custom","wording":{"name":"x"}}', tokens, 'f'),
      ),
    ).toBe('template f: "user" must be a text, got nothing');
  });
});

it('SHA-256 is that of Node', () => {
  for (const text of ['', 'abc', 'é'.repeat(63), 'x'.repeat(55), 'x'.repeat(56), 'x'.repeat(64), '北'.repeat(1000)]) {
    expect(sha256(text)).toBe(createHash('sha256').update(text).digest('hex'));
  }
});

it('a template is the same on any day, unless it writes the day', () => {
  const hash = (source: string, day: string): string =>
    loadTemplate({ tokens, chatTemplate: source, now: new Date(`${day}T10:00:00Z`) }).hash;
  const plain = '{% for m in messages %}{{ m.content }}{% endfor %}';
  expect(hash(plain, '2026-01-01')).toBe(hash(plain, '2026-02-02'));
  expect(hash(plain, '2026-01-01')).not.toBe(hash(`${plain} `, '2026-01-01'));
  const dated = `${plain}{{ strftime_now('%d %b %Y') }}`;
  expect(hash(dated, '2026-01-01')).not.toBe(hash(dated, '2026-02-02'));
  expect(hash(dated, '2026-01-01')).toBe(hash(dated, '2026-01-01'));
});
