import { describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { findJsonProblem, parseJsonText } from './json-text.ts';

function problem(text: string): string {
  try {
    parseJsonText(text, 'a.json');
  } catch (error) {
    return (error as Error).message;
  }
  return 'none';
}

describe('parseJsonText', () => {
  it('gives what JSON.parse gives', () => {
    const text = ' {"a": [1, -2.5e-3, true, null, "\\u00e9\\n"], "__proto__": {"b": {}}, "": []}\r\n';
    expect(parseJsonText(text, 'a.json')).toEqual(JSON.parse(text));
    for (const plain of ['0', '"x"', 'null', '[]', '{}', '[[],{}]']) expect(problem(plain)).toBe('none');
  });

  it.each([
    ['{"a": 1,\n "b": x}', 'a.json:2:7: must be valid JSON, got "x" instead of a value'],
    ['{"a": 1\n "b": 2}', 'a.json:2:2: must be valid JSON, got "\\"" instead of "," or "}"'],
    ['[1, 2', 'a.json:1:6: must be valid JSON, got the end of the text instead of "," or "]"'],
    ['{"a": 1, }', 'a.json:1:10: must be valid JSON, got "}" instead of a string'],
    ['{"a" 1}', 'a.json:1:6: must be valid JSON, got "1" instead of ":"'],
    ['"abc', 'a.json:1:1: must be valid JSON, got a string without an end'],
    ['"a\nb"', 'a.json:1:3: must be valid JSON, got a control character inside a string'],
    ['"\\x"', 'a.json:1:2: must be valid JSON, got an unknown escape inside a string'],
    ['{"a":1}}', 'a.json:1:8: must be valid JSON, got "}" instead of the end of the text'],
    ['', 'a.json:1:1: must be valid JSON, got the end of the text instead of a value'],
    ['01', 'a.json:1:2: must be valid JSON, got "1" instead of the end of the text'],
    ['{"a":1,\n"\\u0061":2}', 'a.json:2:1: must be valid JSON, got the key "\\"a\\"" a second time'],
    ['[NaN]', 'a.json:1:2: must be valid JSON, got "N" instead of a value'],
  ])('%j', (text, message) => {
    expect(problem(text)).toBe(message.replace('"\\"a\\""', '"a"'));
  });

  it('bounds nesting without recursion', () => {
    expect(problem('['.repeat(128) + ']'.repeat(128))).toBe('none');
    expect(problem('['.repeat(5_000_000))).toBe('a.json:1:130: must be valid JSON, got more than 128 nested levels');
    expect(problem('{"a":'.repeat(200))).toContain('more than 128 nested levels');
  });

  it('reads a string of 50 million characters', () => {
    expect(findJsonProblem(`"${'a'.repeat(50_000_000)}"`)).toBeUndefined();
  });

  it('agrees with JSON.parse on thousands of damaged texts', () => {
    const seed =
      '{"__metadata__":{"format":"pt"},"a.b":{"dtype":"F32","shape":[2,-3.5e+1],"x":[true,false,null,"\\u0041\\\\"]}}';
    const alphabet = '{}[]",:\\0123456789.eE+-truefalsn u\n\u0001é';
    const random = new RandomStream(3);
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const units = seed.split('');
      for (let edit = random.nextInt(3); edit >= 0; edit--) {
        const at = random.nextInt(units.length);
        const unit = alphabet[random.nextInt(alphabet.length)]!;
        units.splice(at, random.nextInt(3), ...(random.nextInt(2) ? [unit] : []));
      }
      const text = units.join('');
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      const found = findJsonProblem(text);
      if (found?.problem.includes('a second time')) continue;
      if (!valid) refused++;
      if (valid !== (found === undefined))
        expect.fail(`${JSON.stringify(text)}: ${found?.problem ?? 'no problem found'}`);
    }
    expect(refused).toBeGreaterThan(10_000);
  });
});
