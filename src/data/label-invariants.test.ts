/** Appendix B.2 and B.3 of the study of peers, over random conversations, templates, tokenizers and lengths. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizerFolder } from '../formats/index.ts';
import { builtinTemplateNames, type Conversation, loadTemplate, type Message } from '../template/index.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { RandomStream } from '../util/index.ts';
import { encodePrompt } from './encode.ts';
import { fitConversation, type OverlongPolicy } from './overlong.ts';
import { createRowEncoder, type EncodedRow } from './row-encoder.ts';

const tokenizers = join(import.meta.dirname, '../../../shared/data/tokenizers');
const words = [
  'rain',
  ' stone',
  ' café',
  '你好',
  '。',
  ' 😀',
  '\n',
  '  ',
  ' x1',
  ' the',
  ' "quoted"',
  " don't",
  '\t',
  ' 12345',
  ' Ünïcödé',
  ' [b]',
];

function randomText(random: RandomStream, longest: number): string {
  const text = Array.from({ length: 1 + random.nextInt(longest) }, () => words[random.nextInt(words.length)]).join('');
  return text.trim() === '' ? 'word' : `w${text}w`;
}
function randomConversation(random: RandomStream): Conversation {
  const messages: Message[] = random.nextInt(2) ? [{ role: 'system', content: randomText(random, 6) }] : [];
  for (let turn = 0; turn <= random.nextInt(3); turn++) {
    messages.push({ role: 'user', content: randomText(random, 30) });
    const train = random.nextInt(5) === 0 ? { train: false } : {};
    messages.push({ role: 'assistant', content: randomText(random, 30), ...train });
  }
  return { messages };
}
/** Runs of trained tokens as texts. */
function trainedTexts(tokenizer: Tokenizer, { inputIds, labels }: EncodedRow): string[] {
  const runs: number[][] = [];
  labels.forEach((label, at) => {
    if (label === -100) return;
    expect(label).toBe(inputIds[at]);
    if (at === 0 || labels[at - 1] === -100) runs.push([]);
    runs.at(-1)!.push(label);
  });
  return runs.map((run) => tokenizer.decode(run));
}

describe.skipIf(!existsSync(tokenizers))('labels (skipped where ../shared/data is absent)', () => {
  const loaded = new Map<string, Tokenizer>();
  beforeAll(async () => {
    for (const name of ['qwen2', 'mistral-7b-v0.2']) {
      loaded.set(name, createTokenizer(await loadTokenizerFolder(join(tokenizers, name))));
    }
  }, 60_000);

  it('hold for every built-in template', () => {
    const tokenizer = loaded.get('qwen2')!;
    const random = new RandomStream(2026);
    const seen = new Set<string>();
    for (const name of builtinTemplateNames()) {
      const template = loadTemplate({ name, tokens: tokenizer });
      const { endToken } = template;
      if (seen.has(template.hash)) continue;
      seen.add(template.hash);
      const encoder = createRowEncoder(tokenizer, template);
      for (let trial = 0; trial < 6; trial++) {
        const { messages } = randomConversation(random);
        const trained = messages.flatMap(({ role, train }, at) =>
          role === 'assistant' && train !== false ? [at] : [],
        );
        const sequences = encoder.encodeConversation({ messages });
        const texts = sequences.flatMap((sequence) => trainedTexts(tokenizer, sequence));
        expect(texts, name).toHaveLength(trained.length);
        for (const at of trained) {
          const content = messages[at]!.content.trim();
          const text = texts.find((one) => one.includes(content));
          expect(text, name).toBeDefined();
          // The end, where the template has one, is trained once, and nothing after it.
          if (endToken !== undefined) {
            expect(text!.trimEnd().endsWith(endToken.trim()), `${name}: ${text}`).toBe(true);
            expect(text!.split(endToken.trim()), name).toHaveLength(2);
          }
          const prompt = encodePrompt(tokenizer, template, messages.slice(0, at));
          const asked = sequences.some(
            ({ inputIds, labels }) =>
              prompt.every((id, place) => inputIds[place] === id) && labels[prompt.length] === inputIds[prompt.length],
          );
          expect(asked, name).toBe(true);
        }
      }
    }
    expect(seen.size).toBeGreaterThan(40);
  }, 60_000);

  it.each([
    ['qwen2', 'chatml'],
    ['qwen2', 'alpaca'],
    ['qwen2', 'vicuna'],
    ['mistral-7b-v0.2', 'llama2'],
    ['mistral-7b-v0.2', 'alpaca'],
    ['mistral-7b-v0.2', 'chatml'],
  ])(
    '%s with %s: exactly the answers and one end each; what is asked is how the trained ids begin',
    (name, templateName) => {
      const tokenizer = loaded.get(name)!;
      const template = loadTemplate({ name: templateName, tokens: tokenizer });
      const encoder = createRowEncoder(tokenizer, template);
      const random = new RandomStream(name.length * 31 + templateName.length);
      for (let trial = 0; trial < 60; trial++) {
        const conversation = randomConversation(random);
        const { messages } = conversation;
        const answers = messages.flatMap((message, index) =>
          message.role === 'assistant' ? [{ message, index }] : [],
        );
        const trained = answers.filter(({ message }) => message.train !== false);
        const sequences = encoder.encodeConversation(conversation);
        expect(sequences).toHaveLength(1);
        const [sequence] = sequences;
        const texts = trainedTexts(tokenizer, sequence!);
        expect(texts).toHaveLength(trained.length);
        for (const [index, text] of texts.entries()) {
          const { content } = trained[index]!.message;
          expect(text.trimEnd().endsWith(template.endToken!)).toBe(true);
          expect(text.split(template.endToken!)).toHaveLength(2);
          expect(text.slice(0, text.lastIndexOf(template.endToken!)).trim()).toBe(content.trim());
        }
        for (const { index } of trained) {
          const prompt = encodePrompt(tokenizer, template, messages.slice(0, index));
          expect([...sequence!.inputIds.subarray(0, prompt.length)]).toEqual([...prompt]);
          expect(sequence!.labels[prompt.length]).not.toBe(-100);
        }
      }
    },
  );

  it.each(['keep-response', 'keep-prompt', 'split', 'llamafactory'] as const)(
    '%s keeps its word on the length',
    (policy: OverlongPolicy) => {
      const tokenizer = loaded.get('qwen2')!;
      const template = loadTemplate({ name: 'chatml', tokens: tokenizer });
      const encoder = createRowEncoder(tokenizer, template);
      const random = new RandomStream(policy.length);
      const turn = '<\\|im_start\\|>(system|user|assistant)\\n[^<]+<\\|im_end\\|>\\n';
      let shortened = 0;
      for (let trial = 0; trial < 60; trial++) {
        const conversation = randomConversation(random);
        const cutoff = 20 + random.nextInt(100);
        const fitted = fitConversation(encoder, conversation, { cutoff_len: cutoff }, policy, false);
        if ('excess' in fitted || !fitted.truncated) continue;
        shortened++;
        for (const sequence of fitted.sequences) {
          expect(sequence.inputIds.length).toBeLessThanOrEqual(cutoff);
          if (policy === 'llamafactory') continue;
          const text = tokenizer.decode(sequence.inputIds);
          // Whole turns; only the last answer of keep-prompt may be cut, and then has no end.
          const last = policy === 'keep-prompt' ? '(<\\|im_start\\|>assistant\\n[^<]+)?' : '';
          expect(text).toMatch(new RegExp(`^(${turn})*${last}$`, 'u'));
        }
      }
      expect(shortened).toBeGreaterThan(5);
    },
  );
});
