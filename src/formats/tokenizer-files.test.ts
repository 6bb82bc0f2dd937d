import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadTokenizerFolder } from './tokenizer-files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-tokenizer-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});
const write = async (...names: string[]): Promise<void> => {
  for (const name of names) await writeFile(join(folder, name), name);
};

it('reads what belongs to a tokenizer and nothing else', async () => {
  await write('tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'model.safetensors', 'config.json');
  const files = await loadTokenizerFolder(folder);
  expect([...files.keys()]).toEqual(['chat_template.jinja', 'tokenizer.json', 'tokenizer_config.json']);
  expect(new TextDecoder().decode(files.get('tokenizer.json'))).toBe('tokenizer.json');
});

it('takes the one file that a path names, with the config beside it', async () => {
  await write('tokenizer.json', 'tokenizer.model', 'tokenizer_config.json');
  const files = await loadTokenizerFolder(join(folder, 'tokenizer.model'));
  expect([...files.keys()]).toEqual(['tokenizer.model', 'tokenizer_config.json']);
});

it('knows vocabularies of other kinds', async () => {
  await write('vocab.json', 'merges.txt');
  expect([...(await loadTokenizerFolder(folder)).keys()]).toEqual(['merges.txt', 'vocab.json']);
  await rm(join(folder, 'vocab.json'));
  await write('qwen.tiktoken');
  expect([...(await loadTokenizerFolder(folder)).keys()]).toContain('qwen.tiktoken');
});

it('says what is missing', async () => {
  await write('config.json', 'vocab.json');
  await expect(loadTokenizerFolder(folder)).rejects.toThrow(
    `${folder}: no tokenizer found: one of tokenizer.json, vocab.json with merges.txt, tokenizer.model must be there`,
  );
  await expect(loadTokenizerFolder(join(folder, 'nowhere'))).rejects.toThrow(
    `${join(folder, 'nowhere')}: cannot be read: no such file or folder`,
  );
  await mkdir(join(folder, 'sub', 'tokenizer.json'), { recursive: true });
  await expect(loadTokenizerFolder(join(folder, 'sub'))).rejects.toThrow('it is a folder, not a file');
});
