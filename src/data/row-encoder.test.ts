import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizerFolder } from '../formats/index.ts';
import { type Conversation, loadTemplate, modelChatTemplate } from '../template/index.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { createRowEncoder } from './row-encoder.ts';

const folder = join(import.meta.dirname, '../../../shared/data/tokenizers/qwen2');

describe.skipIf(!existsSync(folder))('row encoder (skipped where ../shared/data is absent)', () => {
  let tokenizer: Tokenizer;
  let chatTemplate: string;
  beforeAll(async () => {
    const files = await loadTokenizerFolder(folder);
    tokenizer = createTokenizer(files);
    chatTemplate = modelChatTemplate(files)!;
  }, 60_000);
  const calling: Conversation = {
    messages: [
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', content: '', toolCalls: [{ name: 'get_weather', arguments: { city: 'Bern' } }] },
      { role: 'tool', content: 'Rain.' },
      { role: 'assistant', content: 'It rains.' },
    ],
  };

  it('refuses a row whose calls of tools its template leaves out', () => {
    const silent = createRowEncoder(tokenizer, loadTemplate({ tokens: tokenizer, chatTemplate }));
    expect(() => silent.encodeConversation(calling)).toThrow(
      'template tokenizer does not write calls of tools ("get_weather"); choose one that does',
    );
    const able = createRowEncoder(tokenizer, loadTemplate({ tokens: tokenizer, name: 'chatml' }));
    const [row] = able.encodeConversation(calling);
    expect(row!.answers).toHaveLength(2);
    expect(tokenizer.decode(row!.inputIds.slice(...row!.answers![0]!))).toContain('get_weather');
  });

  it('ends a text with the end token and puts nothing before it', () => {
    const encoder = createRowEncoder(tokenizer, loadTemplate({ tokens: tokenizer, name: 'chatml' }));
    const { inputIds, labels } = encoder.encodeText('Hello there');
    expect([...inputIds]).toEqual([...tokenizer.encode('Hello there'), tokenizer.eosId]);
    expect(labels).toEqual(inputIds);
  });

  it('has an identity that names tokenizer, template and options', () => {
    const identity = (name: string, trainOnPrompt = false): unknown =>
      createRowEncoder(tokenizer, loadTemplate({ tokens: tokenizer, name }), { trainOnPrompt }).identity!.slice(-2);
    expect(identity('chatml')).toEqual(identity('chatml'));
    expect(identity('chatml')).not.toEqual(identity('alpaca'));
    expect(identity('chatml')).not.toEqual(identity('chatml', true));
  });
});
