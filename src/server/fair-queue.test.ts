import { expect, it } from 'vitest';
import { FairQueue, type Waiting } from './fair-queue.ts';

/** A queue with items that tell when they start. */
function makeQueue(maxRows: number, maxWaiting = 100) {
  const queue = new FairQueue(maxRows, maxWaiting);
  const started: string[] = [];
  const add = (client: string, name: string, rows = 1): Waiting => {
    const item = { rows, start: () => void started.push(name) };
    queue.add(client, item);
    return item;
  };
  return { queue, started, add };
}

it('clients take turns, however many requests one has', () => {
  const { queue, started, add } = makeQueue(1);
  const first = add('a', 'a1');
  const rest = ['a2', 'a3', 'a4'].map((name) => add('a', name));
  const other = add('b', 'b1');
  const third = add('c', 'c1');
  expect(started).toEqual(['a1']);
  for (const item of [first, rest[0]!, other, third, rest[1]!]) queue.done(item);
  expect(started).toEqual(['a1', 'a2', 'b1', 'c1', 'a3', 'a4']);
  expect(queue.load).toEqual({ rows: 1, waiting: 0 });
});

it('a request of many rows waits for room and is not overtaken', () => {
  const { queue, started, add } = makeQueue(4);
  const small = [add('a', 's1'), add('b', 's2')];
  const wide = add('c', 'wide', 4);
  const late = add('d', 'late');
  expect(started).toEqual(['s1', 's2']);
  queue.done(small[0]!);
  expect(started).toEqual(['s1', 's2']);
  queue.done(small[1]!);
  expect(started).toEqual(['s1', 's2', 'wide']);
  queue.done(wide);
  queue.done(late);
  expect(started).toEqual(['s1', 's2', 'wide', 'late']);
  expect(queue.load).toEqual({ rows: 0, waiting: 0 });
});

it('one that leaves while it waits makes room for others in the line', () => {
  const { queue, started, add } = makeQueue(1, 2);
  const running = add('a', 'running');
  const gone = add('b', 'gone');
  add('c', 'stays');
  expect(queue.isFull).toBe(true);
  expect(queue.remove('b', gone)).toBe(true);
  expect(queue.remove('b', gone)).toBe(false);
  expect(queue.remove('a', running)).toBe(false);
  expect(queue.isFull).toBe(false);
  queue.done(running);
  expect(started).toEqual(['running', 'stays']);
});
