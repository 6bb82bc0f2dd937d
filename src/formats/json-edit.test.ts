import { expect, it } from 'vitest';
import { editJsonObject } from './json-edit.ts';

it('changes values, adds members, and leaves all else as it was written', () => {
  const text = `{
  "final_logit_softcapping": 30.0,
  "rope_parameters": {"rope_theta": 1e6, "vocab_size": 7},
  "text": "a \\"}, quoted\\" \\\\",
  "vocab_size":256000 ,
  "list": [1.0, {"vocab_size": 3}],
  "tie_word_embeddings": true
}
`;
  expect(editJsonObject(text, { vocab_size: 256001, tie_word_embeddings: false, dtype: 'float32' })).toBe(`{
  "final_logit_softcapping": 30.0,
  "rope_parameters": {"rope_theta": 1e6, "vocab_size": 7},
  "text": "a \\"}, quoted\\" \\\\",
  "vocab_size":256001 ,
  "list": [1.0, {"vocab_size": 3}],
  "tie_word_embeddings": false,
  "dtype": "float32"
}
`);
});

it('takes objects in one line, empty ones, and members of the same name inside', () => {
  expect(editJsonObject('{"a":1.50,"b":{"a":2.0}}', { a: 3 })).toBe('{"a":3,"b":{"a":2.0}}');
  expect(editJsonObject('{}', { a: [1] })).toBe('{\n  "a": [1]\n}');
  expect(JSON.parse(editJsonObject('{ "x\\u0022": 1 }', { 'x"': 2, y: null }))).toEqual({ 'x"': 2, y: null });
});
