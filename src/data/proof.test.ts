import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadTokenizerFolder } from '../formats/index.ts';
import { type ChatTemplate, loadTemplate, modelChatTemplate } from '../template/index.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { type Proof, proofData } from './proof.ts';
import type { DataSettings } from './settings.ts';
import type { TextSettings } from './text-tools.ts';

const model = join(import.meta.dirname, '../../../shared/data/tokenizers/qwen2');

describe.skipIf(!existsSync(model))('proof (skipped where ../shared/data is absent)', () => {
  let tokenizer: Tokenizer;
  let folder: string;
  beforeAll(async () => {
    tokenizer = createTokenizer(await loadTokenizerFolder(model));
    folder = await mkdtemp(join(tmpdir(), 'fettle-proof-'));
    const turn = (role: string, content: string): object => ({ role, content });
    const rows = [
      [
        turn('system', 'Be brief.'),
        turn('user', 'Hi'),
        turn('assistant', 'Ho'),
        turn('user', 'And é?'),
        turn('assistant', 'Yes.'),
      ],
      [turn('user', 'Hi'), turn('assistant', 'Ho')],
    ];
    await writeFile(join(folder, 'data.jsonl'), rows.map((messages) => JSON.stringify({ messages })).join('\n'));
  }, 60_000);
  afterAll(async () => rm(folder, { recursive: true }));

  const prove = async (template: ChatTemplate): Promise<Proof> => {
    const settings = {
      stage: 'sft',
      dataset: ['data.jsonl'],
      dataset_dir: folder,
      data_seed: 1,
      train_on_prompt: false,
      mask_history: false,
      history_thinking: 'strip',
    };
    return proofData(settings as unknown as DataSettings & TextSettings, {
      tokenizer,
      modelTemplate:
        template.kind === 'jinja'
          ? undefined
          : loadTemplate({ tokens: tokenizer, chatTemplate: modelChatTemplate(tokenizer.files) }),
      requireTemplate: () => template,
    });
  };
  const builtin = (name: string): ChatTemplate => loadTemplate({ name, tokens: tokenizer });
  /** A template that does otherwise than the built-in one that it is made of. */
  const changed = (changes: (template: ChatTemplate) => Partial<ChatTemplate>): ChatTemplate => {
    const template = builtin('chatml');
    const bound: ChatTemplate = {
      name: 'changed',
      kind: 'jinja',
      ...(template.endToken === undefined ? {} : { endToken: template.endToken }),
      stopStrings: [],
      stopTokens: [],
      content: '',
      hash: '',
      render: (messages, options) => template.render(messages, options),
      locate: (messages, options) => template.locate(messages, options),
    };
    return { ...bound, ...changes(template) };
  };
  const said = (proof: Proof): unknown => proof.examples.map(({ message }) => message.replaceAll(folder, 'DIR'));

  it('holds for a sound template', async () => {
    const proof = await prove(changed(() => ({})));
    expect(proof).toEqual({
      template: 'changed',
      compared_with_model: false,
      conversations: 2,
      sequences: 2,
      turns: 3,
      splits: 0,
      own_sequences: 0,
      refused: 0,
      mismatches: {},
      examples: [],
    });
  });

  it("shows the first byte in which a template differs from the model's own", async () => {
    const proof = await prove(builtin('chatml'));
    expect(proof.mismatches).toEqual({ 'model-template': 1 });
    expect(said(proof)).toEqual([
      'DIR/data.jsonl:2: messages[0]: template chatml differs from the model\'s own at byte 12: "user\\nHi<|im_end|>\\n<|" instead of "system\\nYou are a hel"',
    ]);
  });

  it('finds a prompt that is not how the trained ids begin', async () => {
    const proof = await prove(
      changed((template) => ({
        render: (messages, options) => template.render(messages, options).replace('Hi', ' Hi'),
      })),
    );
    expect(proof.mismatches).toMatchObject({ prefix: 3 });
    expect((said(proof) as string[])[0]).toBe(
      'DIR/data.jsonl:1: messages[2]: the prompt at inference must be how the trained ids begin, got another token at 11: " Hi<|im_end|>\\n<|im_start|>assistant\\n"',
    );
  });

  it('finds a header that is left at the end of the training text', async () => {
    const proof = await prove(
      changed((template) => ({
        locate: (messages, options) =>
          template.locate(messages, options).map((one) => ({ ...one, text: `${one.text}<|im_start|>assistant\n` })),
      })),
    );
    expect(proof.mismatches).toEqual({ header: 2 });
    expect((said(proof) as string[])[0]).toBe(
      'DIR/data.jsonl:1: no header of an answer may follow the last turn, got "<|im_start|>assistant"',
    );
  });

  it('finds answers without a trained end', async () => {
    const proof = await prove(
      changed((template) => ({
        locate: (messages, options) =>
          template
            .locate(messages, options)
            .map((one) => ({ ...one, turns: one.turns.map((turn) => ({ ...turn, end: turn.contentEnd })) })),
      })),
    );
    expect(proof.mismatches).toEqual({ end: 3 });
    expect((said(proof) as string[])[0]).toMatch(
      /^DIR\/data\.jsonl:1: each answer must end with a trained "<\|im_end\|>", got none after token \d+$/,
    );
  });
});
