import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { AnswerOptions } from '../generate/index.ts';
import type { Message } from '../template/index.ts';
import { ChatSession } from './chat-session.ts';

/** Answers with the number of turns and the draw, word by word; waits for a stop where the question asks for it. */
function fakeGenerator() {
  const asked: (readonly Message[])[] = [];
  return {
    asked,
    promptIds: (messages: readonly Message[]) => {
      asked.push([...messages]);
      return Int32Array.of(messages.length);
    },
    async answer(promptIds: ArrayLike<number>, options: AnswerOptions = {}) {
      const text = `turn ${promptIds[0]} draw ${options.draw}`;
      options.onText?.(text);
      if (asked.at(-1)!.at(-1)!.content === 'wait') {
        await new Promise<void>((resolve) => options.signal!.addEventListener('abort', () => resolve()));
      }
      return { prompt_ids: [], ids: [], text, finish_reason: 'stop' as const };
    },
  };
}

test('keeps the history, begins anew, answers again with other numbers, and ends', async () => {
  let written = '';
  const generator = fakeGenerator();
  const session = new ChatSession(generator, (text) => (written += text));
  for (const line of ['hello', '', 'more', '/retry', '/nope', '/help', '/clear', '/retry', 'again']) {
    expect(await session.take(line)).toBe(false);
  }
  expect(await session.take('/exit')).toBe(true);
  expect(written.split('\n')).toEqual([
    'turn 1 draw 0',
    'turn 3 draw 1',
    'turn 3 draw 2',
    '/nope is no command of the chat: there are /clear, /retry, /save, /system, /help and /exit',
    expect.stringContaining('/clear begins anew'),
    expect.stringContaining('a line that ends in'),
    'a new conversation begins',
    'there is no question yet',
    'turn 1 draw 3',
    '',
  ]);
  expect(generator.asked[1]).toEqual([
    { role: 'user', content: 'hello' },
    { role: 'assistant', content: 'turn 1 draw 0' },
    { role: 'user', content: 'more' },
  ]);
});

test('a stop ends the running answer and keeps what was written', async () => {
  const session = new ChatSession(fakeGenerator(), () => {});
  expect(session.stop()).toBe(false);
  const taken = session.take('wait');
  expect(session.stop()).toBe(true);
  expect(session.stop()).toBe(false);
  expect(await taken).toBe(false);
  expect(session.messages.at(-1)).toEqual({ role: 'assistant', content: 'turn 1 draw 0' });
});

test('saves the conversation with its system text, and writes over no file that it did not write', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'fettle-chat-'));
  const file = join(folder, 'chat.json');
  const other = join(folder, 'notes.txt');
  await writeFile(other, 'mine');
  let written = '';
  const generator = fakeGenerator();
  const session = new ChatSession(generator, (text) => (written += text));
  try {
    const first = [`/save ${file}`, '/system Be  kind', 'hello', '/save', `/save ${other}`, `/save ${other}/x.json`];
    for (const line of [...first, `/save ${file}`, '/clear', 'more', `/save ${file}`, '/system', 'last']) {
      expect(await session.take(line)).toBe(false);
    }
    expect(written.split('\n')).toEqual([
      'there is nothing to save yet',
      'the system text is set',
      'turn 2 draw 0',
      '/save needs the name of a file: /save chat.json',
      `${other} is there already: choose another name`,
      expect.stringContaining(`${other}/x.json: cannot be written`),
      `saved in ${file}`,
      'a new conversation begins',
      'turn 2 draw 1',
      `saved in ${file}`,
      'there is no system text of the chat any more',
      'turn 3 draw 2',
      '',
    ]);
    expect(await readFile(other, 'utf8')).toBe('mine');
    expect(await readdir(folder)).toEqual(['chat.json', 'notes.txt']);
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
      messages: [
        { role: 'system', content: 'Be  kind' },
        { role: 'user', content: 'more' },
        { role: 'assistant', content: 'turn 2 draw 1' },
      ],
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a question that cannot be answered is forgotten', async () => {
  const generator = fakeGenerator();
  const refusing = {
    ...generator,
    promptIds: (messages: readonly Message[]) => {
      if (messages.at(-1)!.content === 'bad') throw new Error('refused');
      return generator.promptIds(messages);
    },
  };
  const session = new ChatSession(refusing, () => {});
  await session.take('good');
  await expect(session.take('bad')).rejects.toThrow('refused');
  expect(session.messages).toHaveLength(2);
});
