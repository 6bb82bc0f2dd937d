import { expect, test } from 'vitest';
import { parseReview, reviewOf } from './review.ts';

const free = { aspects: [], emptyItem: '<No related terms>' };
const declared = { ...free, aspects: ['Motivation', 'Method', '创新性'] };
const plain = (review: ReadonlyMap<string, readonly string[]> | undefined): unknown =>
  review && Object.fromEntries(review);

test('headings of all decorations and bullets of all kinds', () => {
  const text = `## Motivation
- clear
  and important
* timely

**Method:**
1. sound
2) ablated
   - in three ways
【Empty】
<No related terms>
Results:
A paragraph
over two lines.

Another one.
`;
  expect(plain(parseReview(text, free))).toEqual({
    Motivation: ['clear and important', 'timely'],
    Method: ['sound', 'ablated in three ways'],
    Empty: [],
    Results: ['A paragraph over two lines.', 'Another one.'],
  });
});

test('declared aspects are found however they are written; other lines with colons are items', () => {
  const text = `1. **Motivation**\n- Note: it is clear\n### 2. METHOD:\nsound\n【创新性】：新颖\n- <no related terms>.`;
  expect(plain(parseReview(text, declared))).toEqual({
    Motivation: ['Note: it is clear'],
    Method: ['sound'],
    创新性: ['新颖'],
  });
  expect(plain(parseReview('- Motivation: clear\n- Method: <No related terms>', declared))).toEqual({
    Motivation: ['clear'],
    Method: [],
  });
});

test('without headings all items stand under no aspect; the same item counts once', () => {
  expect(plain(parseReview('- one\n- Two\n- two.\n\nthree', free))).toEqual({ '': ['one', 'Two', 'three'] });
  expect(plain(parseReview('', free))).toEqual({});
  expect(plain(parseReview('before\n# A\n- x', free))).toEqual({ '': ['before'], A: ['x'] });
});

test('reviews as JSON, in a row or as the text of an answer', () => {
  const review = { Method: ['a', '<No related terms>'], Motivation: '- b\n- c' };
  expect(plain(reviewOf(review, free))).toEqual({ Method: ['a'], Motivation: ['b', 'c'] });
  expect(plain(reviewOf(JSON.stringify(review), free))).toEqual({ Method: ['a'], Motivation: ['b', 'c'] });
  expect(plain(reviewOf('{not json', free))).toEqual({ '': ['{not json'] });
  expect(reviewOf({ Method: [1] }, free)).toBeUndefined();
  expect(reviewOf(5, free)).toBeUndefined();
});
