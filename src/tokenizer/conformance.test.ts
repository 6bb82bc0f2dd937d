/** Ids and decoding against the encodings that the Python references recorded (../shared/data/tokenizers). */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createTokenizer, StreamDecoder, type Tokenizer } from './index.ts';

const data = new URL('../../../shared/data/', import.meta.url).pathname;
const missing = !existsSync(join(data, 'tokenizers'));
const skipReason = 'reference encodings are not on this machine (../shared/data)';
const conformance = join(data, 'tokenizers/conformance');

const loaded = new Map<string, Tokenizer>();
function load(folder: string): Tokenizer {
  let tokenizer = loaded.get(folder);
  if (tokenizer === undefined) {
    const path = join(data, folder);
    tokenizer = createTokenizer(
      new Map(readdirSync(path).map((name) => [basename(name), readFileSync(join(path, name))])),
    );
    loaded.set(folder, tokenizer);
  }
  return tokenizer;
}
const readJson = (path: string): unknown => JSON.parse(readFileSync(join(conformance, path), 'utf8'));

interface Baseline {
  readonly entries: readonly { readonly id: string; readonly input_ids: readonly number[] }[];
}
interface Case {
  readonly input: string;
  readonly encoded: { readonly input_ids: readonly number[] };
  readonly decoded_with_special: string;
  readonly decoded_without_special: string;
}

describe.skipIf(missing)(`reference encodings${missing ? ` (skipped: ${skipReason})` : ''}`, () => {
  it.each([
    ['gpt2', 'tokenizers/gpt2'],
    ['qwen2_5', 'tokenizers/qwen2'],
    ['tinyllama', 'restricted/llama-tokenizer'],
  ])('83 texts in many scripts: %s', (name, folder) => {
    const tokenizer = load(folder);
    const inputs = readJson('multilingual/inputs.json') as { id: string; text: string }[];
    const texts = new Map(inputs.map(({ id, text }) => [id, text]));
    const { entries } = readJson(`multilingual/baselines/${name}_multilingual.json`) as Baseline;
    expect(entries).toHaveLength(83);
    for (const { id, input_ids: ids } of entries) {
      const text = texts.get(id)!;
      expect([...tokenizer.encodeWithSpecialTokens(text)], id).toEqual(ids);
      const plain = tokenizer.encodeWithOffsets(text);
      expect(plain.ids, id).toEqual(tokenizer.encode(text));
      expect(plain.starts, id).toEqual(plain.starts.toSorted());
      expect(tokenizer.decode(ids, { skipSpecialTokens: true }), id).toBe(
        name === 'qwen2_5' ? text.normalize('NFC') : text,
      );
      const stream = new StreamDecoder(tokenizer);
      let streamed = '';
      for (const token of plain.ids) streamed += stream.push(token);
      expect(streamed + stream.flush(), id).toBe(tokenizer.decode(ids, { skipSpecialTokens: true }));
    }
  });

  it.each([
    ['distilgpt2', 'tokenizers/gpt2', true],
    ['tiiuae/falcon-7b', 'tokenizers/falcon-7b', true],
    ['coreml-projects/Llama-2-7b-chat-coreml', 'restricted/llama-tokenizer', false],
  ])('hard cases and both decodings: %s', (name, folder, cleanUp) => {
    const tokenizer = load(folder);
    const cases = (readJson('tokenizer_tests.json') as Record<string, readonly Case[]>)[name]!;
    expect(cases.length).toBeGreaterThanOrEqual(18);
    for (const { input, encoded, decoded_with_special: all, decoded_without_special: plain } of cases) {
      expect([...tokenizer.encodeWithSpecialTokens(input)]).toEqual(encoded.input_ids);
      const options = { cleanUpTokenizationSpaces: cleanUp };
      expect(tokenizer.decode(encoded.input_ids, options)).toBe(all);
      expect(tokenizer.decode(encoded.input_ids, { ...options, skipSpecialTokens: true })).toBe(plain);
    }
  });

  it.each([
    ['llama_encoded.json', 'restricted/llama-tokenizer', true],
    ['falcon_encoded.json', 'tokenizers/falcon-7b', false],
    ['gpt2_encoded_tokens.json', 'tokenizers/gpt2', false],
  ])('a long text: %s', (file, folder, hasBos) => {
    const tokenizer = load(folder);
    const expected = readJson(file) as { text: string; token_ids: number[]; decoded_text: string };
    const ids = hasBos ? tokenizer.encodeWithSpecialTokens(expected.text) : tokenizer.encode(expected.text);
    expect([...ids]).toEqual(expected.token_ids);
    expect(tokenizer.decode(ids)).toBe(expected.decoded_text);
  });
});
