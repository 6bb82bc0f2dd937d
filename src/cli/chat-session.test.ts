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
    '/nope is no command of the chat: there are /clear, /retry, /help and /exit',
    expect.stringContaining('/clear begins anew'),
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
