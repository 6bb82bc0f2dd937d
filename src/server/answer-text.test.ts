import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createTokenizer } from '../tokenizer/index.ts';
import { AnswerText, CompletionLogprobsWriter, tokenLabel } from './answer-text.ts';

const folder = join(import.meta.dirname, '../../assets/demo/model');
const files = ['tokenizer.json', 'tokenizer_config.json'].map(
  (name) => [name, readFileSync(join(folder, name))] as const,
);
const tokenizer = createTokenizer(new Map(files));
const scored = (ids: readonly number[]) => ids.map((id) => ({ logprob: -1, top: [{ id, logprob: -1 }] }));
const text = 'Good bread, 好面包 🍞 and more';
const ids = [...tokenizer.encode(text)];

it('gives certain text only: characters that are whole, no beginning of a stop text', () => {
  const answer = new AnswerText(tokenizer, [], ['🍞 or'], new Set(), true);
  const pieces = ids.map((id) => answer.push([id], []).text);
  expect(pieces.join('')).not.toContain('\ufffd');
  expect(pieces.join('') + answer.flush()).toBe(text);
  expect(answer.text).toBe(text);
});

it('ends before a stop text and takes no token behind it', () => {
  const answer = new AnswerText(tokenizer, [], ['面'], new Set(), true);
  const piece = answer.push(ids, scored(ids));
  expect(piece.stopped).toBe(true);
  expect(piece.text + answer.flush()).toBe('Good bread, 好');
  expect(answer.ids.length).toBeLessThan(ids.length);
  expect(answer.logprobs).toHaveLength(answer.ids.length);
  expect(answer.push([ids[0]!], [])).toMatchObject({ text: '', ids: [] });
});

it('counts the end token, and leaves it out of the text', () => {
  const answer = new AnswerText(tokenizer, [], [], new Set([2]), false);
  answer.push([...ids, 2], []);
  expect(answer.flush() + answer.text).toContain('more');
  expect(answer.text).toBe(text);
  expect(answer.ids.at(-1)).toBe(2);
});

it('rows that only fill the embedding up have no text', () => {
  const filler = tokenizer.vocabularySize + 3;
  const answer = new AnswerText(tokenizer, [], [], new Set(), true);
  answer.push([filler, ...ids, filler], []);
  answer.flush();
  expect(answer.text).toBe(text);
  const made = new CompletionLogprobsWriter(tokenizer).write([filler, ids[0]!], scored([filler, ids[0]!]));
  expect(made).toMatchObject({ text_offset: [0, 0], tokens: ['', tokenLabel(tokenizer, ids[0]!)] });
});

it('is read with special tokens, and without them', () => {
  const answer = new AnswerText(tokenizer, [], ['more'], new Set([2]), false);
  answer.push([1, ...ids, 2], []);
  expect(answer.text).toBe('<|im_start|>Good bread, 好面包 🍞 and ');
  expect(answer.withoutSpecialTokens()).toBe('Good bread, 好面包 🍞 and ');
});

it('tells where each token begins in the text, the same in pieces as at once', () => {
  const whole = new CompletionLogprobsWriter(tokenizer).write(ids, scored(ids));
  const writer = new CompletionLogprobsWriter(tokenizer);
  const pieces = ids.map((id) => writer.write([id], scored([id])));
  expect(pieces.flatMap(({ text_offset: offsets }) => offsets)).toEqual(whole.text_offset);
  whole.tokens.forEach((token, i) => {
    if (!token.startsWith('bytes:')) expect(text.startsWith(token, whole.text_offset[i])).toBe(true);
  });
  expect(whole.tokens.some((token) => token.startsWith('bytes:\\x'))).toBe(true);
});

it('names the token itself even where it is not among the most probable', () => {
  const [a, b] = [ids[0]!, ids[1]!];
  const made = new CompletionLogprobsWriter(tokenizer).write([a], [{ logprob: -5, top: [{ id: b, logprob: -0.1 }] }]);
  expect(made.top_logprobs).toEqual([{ [tokenLabel(tokenizer, b)]: -0.1, [tokenLabel(tokenizer, a)]: -5 }]);
});
