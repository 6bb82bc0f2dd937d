import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizerFolder } from '../formats/index.ts';
import type { Conversation, Message } from '../template/index.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { characterEncoder } from './character-encoder.fixture.ts';
import { createRecipeEncoder, type MaskRecipe } from './mask-recipes.ts';

interface Case {
  readonly turns: readonly string[];
  readonly longest: number;
  readonly system?: string;
  readonly firefly?: readonly [ids: number[], labels: number[]];
  readonly linksoul: readonly [ids: number[], labels: number[]];
}

const folder = join(import.meta.dirname, '../../../shared/data/tokenizers/mistral-7b-v0.2');
const goldens = join(import.meta.dirname, '../../test/goldens/mask-recipes/mistral-7b-v0.2.json');

function conversation(turns: readonly string[], system?: string): Conversation {
  const messages = turns.map((content, index): Message => ({ role: index % 2 === 0 ? 'user' : 'assistant', content }));
  return { messages: system === undefined ? messages : [{ role: 'system', content: system }, ...messages] };
}

describe.skipIf(!existsSync(folder))('mask recipes (skipped where ../shared/data is absent)', () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = createTokenizer(await loadTokenizerFolder(folder));
  });
  const encode = (recipe: MaskRecipe, longest: number, what: Conversation) =>
    createRecipeEncoder(recipe, tokenizer, longest, characterEncoder).encodeConversation(what)[0]!;

  it('give the ids and labels that Hugging Face tokenizers gave', async () => {
    const { cases } = JSON.parse(await readFile(goldens, 'utf8')) as { cases: Case[] };
    expect(cases).toHaveLength(12);
    for (const { turns, longest, system, firefly, linksoul } of cases) {
      for (const [recipe, expected] of [
        ['firefly', firefly],
        ['linksoul', linksoul],
      ] as const) {
        if (expected === undefined) continue;
        const row = encode(recipe, longest, conversation(turns, system));
        expect([recipe, longest, [...row.inputIds], [...row.labels]]).toEqual([recipe, longest, ...expected]);
        expect(row.truncated ?? false).toBe(
          longest < encode(recipe, 4096, conversation(turns, system)).inputIds.length,
        );
      }
    }
  });

  it('refuse what they do not know', () => {
    expect(() => encode('firefly', 99, conversation(['a', 'b'], 'system'))).toThrow(
      'mask_recipe: firefly knows turns of a user and an assistant only, got a system text',
    );
    expect(() => encode('linksoul', 99, { ...conversation(['a', 'b']), tools: [{}] })).toThrow(
      'mask_recipe: linksoul knows turns of a user and an assistant only, got tools',
    );
  });
});
