import { expect, test } from 'vitest';
import { StopFilter } from './stop-filter.ts';

test('what may begin a stop text is held back until it is certain', () => {
  const filter = new StopFilter(['### End', 'STOP']);
  expect(['a #', '## ', 'En', 'x ST', 'O', 'P b', 'c'].map((piece) => filter.push(piece))).toEqual([
    'a ',
    '',
    '',
    '### Enx ',
    '',
    '',
    '',
  ]);
  expect(filter.stopped).toBe(true);
  expect(filter.flush()).toBe('');
  expect(filter.text).toBe('a ### Enx ');
});

test('what is held at the end of the answer is given', () => {
  const filter = new StopFilter(['END']);
  expect(filter.push('the EN')).toBe('the ');
  expect(filter.flush()).toBe('EN');
  expect(filter.text).toBe('the EN');
});
