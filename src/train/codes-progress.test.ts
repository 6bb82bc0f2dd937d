import { expect, it } from 'vitest';
import type { TrainEvent } from '../run/index.ts';
import { tellCodes } from './codes-progress.ts';

it('tells how far quantising is only where it takes long, twice a second, with the time left', () => {
  const heard: TrainEvent[] = [];
  let now = 0;
  const onCodes = tellCodes(
    (event) => heard.push(event),
    () => now,
  );
  for (let i = 0; i <= 100; i++) {
    now = i * 100;
    onCodes(i / 100);
  }
  expect(heard.map((event) => (event.type === 'quantizing' ? event.fraction : event))).toEqual([
    0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1,
  ]);
  expect(heard[0]).toMatchObject({ remainingSeconds: 8 });
  expect(heard.at(-1)).toMatchObject({ remainingSeconds: 0 });
  const short: TrainEvent[] = [];
  const quick = tellCodes(
    (event) => short.push(event),
    () => now,
  );
  quick(0.5);
  now += 1_000;
  quick(1);
  expect(short).toEqual([]);
});
