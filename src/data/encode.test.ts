/** Ids and labels: what is trained, prompts as prefixes, masks, and the properties of both on random conversations. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type ChatTemplate, type Conversation, loadTemplate, type Message } from '../template/index.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import { encodeConversation, encodePrompt, encodeWithBoundaries, takeTokens } from './encode.ts';

const golden = JSON.parse(readFileSync(new URL('../../test/goldens/tokenizers.json', import.meta.url), 'utf8')) as {
  tokenizers: Record<string, { json: object }>;
};
const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));

/** A small tokenizer of the goldens, with the markers of ChatML and Llama 3 as special tokens. */
function smallTokenizer(name: string): Tokenizer {
  const json = golden.tokenizers[name]!.json as { added_tokens: { id: number; content: string; special: boolean }[] };
  const top = name.startsWith('spm') ? 1000 : 700;
  const markers = ['<|im_start|>', '<|im_end|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'];
  const added = markers.map((content, i) => ({ id: top + i, content, special: true, normalized: false }));
  const config = { bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' };
  return createTokenizer(
    new Map([
      ['tokenizer.json', bytes({ ...json, added_tokens: [...json.added_tokens, ...added] })],
      ['tokenizer_config.json', bytes(config)],
    ]),
  );
}

const tokenizers = new Map(
  ['gpt2', 'llama3-like', 'spm-bpe-legacy', 'spm-bpe-first', 'spm-bpe-always', 'unigram-nfkc', 'falcon-like'].map(
    (name) => [name, smallTokenizer(name)],
  ),
);
const gpt2 = tokenizers.get('gpt2')!;
const spm = tokenizers.get('spm-bpe-legacy')!;

const user = (content: string): Message => ({ role: 'user', content });
const assistant = (content: string, more: Partial<Message> = {}): Message => ({ role: 'assistant', content, ...more });
const trainedText = (tokenizer: Tokenizer, labels: Int32Array): string =>
  tokenizer.decode(labels.filter((label) => label !== -100));

describe('what is trained', () => {
  const conversation: Conversation = {
    messages: [user('the tide?'), assistant('It came in.'), user('the boats?'), assistant('Grey.')],
  };
  const trained = (name: string, changed: Conversation = conversation, options = {}): string[] =>
    encodeConversation(gpt2, loadTemplate({ name, tokens: gpt2 }), changed, options).map(({ labels }) =>
      trainedText(gpt2, labels),
    );

  it('answers and end tokens, nothing else', () => {
    expect(trained('chatml')).toEqual(['It came in.<|im_end|>Grey.<|im_end|>']);
    expect(trained('alpaca')).toEqual(['It came in.</s>Grey.</s>']);
    expect(trained('llama2')).toEqual([' It came in. </s> Grey. </s>']);
    expect(trained('dialogsum')).toEqual(['It came in.\n\n### EndGrey.\n\n### End']);
  });

  it('masks', () => {
    expect(trained('chatml', conversation, { maskHistory: true })).toEqual(['Grey.<|im_end|>']);
    expect(trained('alpaca', conversation, { trainOnPrompt: true })[0]).toMatch(
      /^Below is .*Response:It came in\.<\/s>\n\n### Instruction:\nthe boats\?\n\n### Response:Grey\.<\/s>$/s,
    );
    const messages = [user('q'), assistant('one', { train: false }), user('q'), assistant('two', { weight: 0.5 })];
    expect(trained('chatml', { messages })).toEqual(['two<|im_end|>']);
    const [encoded] = encodeConversation(gpt2, loadTemplate({ name: 'chatml', tokens: gpt2 }), { messages });
    const weights = [...encoded!.weights!].filter((_, i) => encoded!.labels[i] !== -100);
    expect(new Set(weights)).toEqual(new Set([0.5]));
    const spans = [user('q'), assistant('count one two', { trainedSpans: [[6, 9], [10, 13, 2]] })]; // prettier-ignore
    const [spanned] = encodeConversation(gpt2, loadTemplate({ name: 'chatml', tokens: gpt2 }), { messages: spans });
    expect(spanned!.reasons.filter((reason) => reason === 'outside-span').length).toBeGreaterThan(0);
    const text = trainedText(gpt2, spanned!.labels);
    expect(text).toBe('one two<|im_end|>');
    expect(text).not.toContain('count');
  });

  it('no token joins prompt and answer: the text is split there, and only there', () => {
    const template = loadTemplate({ name: 'alpaca', tokens: spm });
    const [encoded] = encodeConversation(spm, template, { messages: [user('x'), assistant(':: the')] });
    const prompt = encodePrompt(spm, template, [user('x')]);
    expect(encoded!.inputIds.slice(0, prompt.length)).toEqual(prompt);
    expect(encoded!.labels[prompt.length]).not.toBe(-100);
    // Without such a token the ids are those of the whole text at once.
    const [whole] = encodeConversation(gpt2, loadTemplate({ name: 'chatml', tokens: gpt2 }), conversation);
    expect(whole!.splits).toEqual([]);
    expect(whole!.inputIds).toEqual(gpt2.encode(whole!.text));
    const joined = encodeWithBoundaries(gpt2, 'the tides', [6]);
    expect(joined.splits).toEqual([6]);
    expect(gpt2.decode(joined.ids)).toBe('the tides');
    expect(encodeWithBoundaries(gpt2, 'the tides', [3]).splits).toEqual([]);
  });

  it('takes the longest beginning that fits', () => {
    for (const tokenizer of tokenizers.values()) {
      const text = 'the harbour 潮水 filled with 7 grey boats 👩‍🚀';
      const all = tokenizer.encode(text).length;
      for (const count of [0, 1, 3, all - 1, all, all + 5]) {
        const start = takeTokens(tokenizer, text, count);
        expect(text.startsWith(start)).toBe(true);
        expect(tokenizer.encode(start).length).toBeLessThanOrEqual(count);
        if (count >= all) expect(start).toBe(text);
      }
    }
  });
});

const words = ['the', ' tide', 'harbour ', '\n', '\n\n', ' ', '  ', ':', '###', '[INST]', "'s", '12', '潮', '수', 'é', 'e\u0301', '👩‍🚀', '\t', '<', '.', '▁', '</s>', '{eos}']; // prettier-ignore

function randomConversation(random: RandomStream): Conversation {
  const text = (): string =>
    Array.from({ length: 1 + random.nextInt(6) }, () => words[random.nextInt(words.length)]!).join('') + 'x';
  const messages: Message[] = random.nextInt(3) === 0 ? [{ role: 'system', content: text() }] : [];
  for (let turn = 1 + random.nextInt(3); turn > 0; turn--) {
    const answer = random.nextInt(2) === 0 ? text() : ` ${text()} `;
    messages.push(user(text()), assistant(answer, random.nextInt(6) === 0 ? { train: false } : {}));
  }
  return { messages };
}

const jinja = `{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}{{ 'Bot: ' + m.content + eos_token + '\n' }}{% else %}{{ m.role + ': ' + m.content + '\n' }}{% endif %}{% endfor %}{% if add_generation_prompt %}Bot:{% endif %}`;

describe('properties on random conversations', () => {
  const names = [
    'alpaca',
    'llama2',
    'llama3',
    'chatml',
    'vicuna',
    'chatglm2',
    'dialogsum',
    'belle',
    'zephyr',
    'atom',
    'aquila',
    'linly',
    'qwen3',
  ];
  it.each([...tokenizers.keys()])('%s', (tokenizerName) => {
    const tokenizer = tokenizers.get(tokenizerName)!;
    const templates: ChatTemplate[] = [
      ...names.map((name) => loadTemplate({ name, tokens: tokenizer, now: new Date(0) })),
      loadTemplate({ chatTemplate: jinja, tokens: tokenizer, now: new Date(0) }),
    ];
    const random = new RandomStream(hashKey(tokenizerName));
    for (const template of templates) {
      for (let i = 0; i < 12; i++) checkConversation(tokenizer, template, randomConversation(random));
    }
  });
});

function checkConversation(tokenizer: Tokenizer, template: ChatTemplate, conversation: Conversation): void {
  const { messages } = conversation;
  const encoded = encodeConversation(tokenizer, template, conversation);
  const rendered = template.locate(messages);
  for (const { inputIds, labels, starts, text, splits } of encoded) {
    expect(labels.every((label, i) => label === -100 || label === inputIds[i])).toBe(true);
    expect(starts).toEqual(starts.toSorted());
    if (splits.length === 0) expect(inputIds).toEqual(tokenizer.encode(text));
    const { turns } = rendered.find((one) => one.text === text)!;
    for (const { message, promptEnd, end } of turns) {
      const prompt = encodePrompt(tokenizer, template, messages.slice(0, message));
      const about = JSON.stringify([template.name, message, messages]);
      expect(inputIds.slice(0, prompt.length), about).toEqual(prompt);
      const first = starts.findIndex((start) => start >= promptEnd);
      expect(first, about).toBe(prompt.length);
      // Exactly the tokens of the answer and its end are trained, or none.
      const last = starts.findIndex((start) => start >= end);
      const inside = labels.slice(first, last < 0 ? labels.length : last);
      const expected = messages[message]!.train !== false;
      expect(
        inside.every((label) => (label !== -100) === expected),
        about,
      ).toBe(true);
    }
    const trainedTokens = labels.filter((label) => label !== -100).length;
    const inTurns = labels.filter((_, i) =>
      turns.some((turn) => starts[i]! >= turn.promptEnd && starts[i]! < turn.end),
    );
    expect(inTurns.filter((label) => label !== -100)).toHaveLength(trainedTokens);
  }
}

const data = new URL('../../../shared/data/', import.meta.url).pathname;
const missing = !existsSync(join(data, 'tokenizers'));
describe.skipIf(missing)(`real tokenizers${missing ? ' (skipped: they are not on this machine)' : ''}`, () => {
  it.each(['tokenizers/qwen2', 'tokenizers/mistral-7b-v0.2', 'tokenizers/falcon-7b'])('%s', (folder) => {
    const path = join(data, folder);
    const tokenizer = createTokenizer(new Map(readdirSync(path).map((name) => [name, readFileSync(join(path, name))])));
    const random = new RandomStream(3);
    for (const name of ['alpaca', 'chatml', 'llama2', 'vicuna', 'zephyr']) {
      const template = loadTemplate({ name, tokens: tokenizer });
      for (let i = 0; i < 8; i++) checkConversation(tokenizer, template, randomConversation(random));
    }
  });
});
