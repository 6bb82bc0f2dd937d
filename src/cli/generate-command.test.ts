import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Answer } from '../generate/index.ts';
import { call, callWith, writeCharacterModel } from './command-line.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-generate-cli-'));
const model = join(folder, 'model');
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => {
  process.env['FETTLE_CACHE'] = join(folder, 'cache');
  return writeCharacterModel(model);
});

const settings = (): string[] => [`model_name_or_path=${model}`, 'template=alpaca', 'max_new_tokens=6', 'threads=1'];

async function answer(...flags: string[]): Promise<Answer> {
  const { code, out, err } = await call('generate', ...settings(), ...flags, '--json');
  expect({ code, err }).toEqual({ code: 0, err: '' });
  return JSON.parse(out) as Answer;
}

describe('fettle generate', () => {
  test('a prompt is one user turn in the template, as messages and ids say it', async () => {
    const byPrompt = await answer('--prompt', 'Say yes', 'do_sample=false');
    expect(byPrompt.ids).toHaveLength(6);
    expect(byPrompt.finish_reason).toBe('length');
    const file = join(folder, 'messages.json');
    writeFileSync(file, JSON.stringify([{ role: 'user', content: 'Say yes' }]));
    expect(await answer('--messages', file, 'do_sample=false')).toEqual(byPrompt);
    expect(await answer('--prompt-ids', byPrompt.prompt_ids.join(','), 'do_sample=false')).toEqual(byPrompt);
    const people = await call('generate', ...settings(), '--prompt', 'Say yes', 'do_sample=false');
    expect(people.out).toBe(`${byPrompt.text}\n`);
  });

  test('a raw text goes through the tokenizer as it is; a seed draws the same again', async () => {
    const raw = await answer('--raw', 'ab', 'seed=3', 'top_k=0', 'top_p=1');
    expect(raw.prompt_ids).toEqual([2, 3]);
    expect(await answer('--raw', 'ab', 'seed=3', 'top_k=0', 'top_p=1')).toEqual(raw);
    expect(await answer('--raw', 'ab', 'seed=4', 'top_k=0', 'top_p=1')).not.toEqual(raw);
  });

  test('the end token ends the answer and is among its ids, not in its text', async () => {
    // Greedy ids that follow: the first of them made the end token, by way of config.json's eos_token_id.
    const free = await answer('--raw', 'ab', 'do_sample=false');
    writeFileSync(join(model, 'generation_config.json'), JSON.stringify({ eos_token_id: [free.ids[0]] }));
    try {
      expect(await answer('--raw', 'ab', 'do_sample=false')).toEqual({
        ...free,
        ids: [free.ids[0]],
        text: '',
        finish_reason: 'stop',
      });
    } finally {
      rmSync(join(model, 'generation_config.json'));
    }
  });

  test('a prompt that is longer than what the model knows is answered, with a word about it', async () => {
    const long = 'a'.repeat(513);
    const { code, err } = await call('generate', ...settings(), '--raw', long, 'do_sample=false', 'max_new_tokens=1');
    expect(code).toBe(0);
    expect(err).toMatch(/^the prompt has 513 tokens, the model knows 512: /u);
  });

  test('keys of generation: biases, stops, least length, several answers, beams, int8', async () => {
    const greedy = ['--raw', 'ab', 'do_sample=false'];
    const free = await answer(...greedy);
    const banned = await answer(...greedy, `logit_bias={"${free.ids[0]}": -1000}`);
    expect(banned.ids[0]).not.toBe(free.ids[0]);
    const stopped = await answer(...greedy, `eos_token_id=${free.ids[0]}`);
    expect(stopped).toMatchObject({ ids: free.ids.slice(0, 1), text: '', finish_reason: 'stop' });
    const later = await answer(...greedy, `eos_token_id=${free.ids[0]}`, 'min_new_tokens=3');
    expect(later.ids.slice(0, 3)).not.toContain(free.ids[0]);
    const stop = free.text.slice(1, 3);
    const byText = await answer(...greedy, `stop_strings=${stop}`);
    expect(byText).toMatchObject({ text: free.text.slice(0, free.text.indexOf(stop)), finish_reason: 'stop' });

    const drawn = ['--raw', 'ab', 'top_k=0', 'top_p=1', 'min_p=0.001', 'num_return_sequences=3'];
    const several = (await answer(...drawn)) as Answer & { answers: readonly Answer[] };
    expect(several.answers).toHaveLength(3);
    expect(several.answers[0]).toMatchObject({ ids: several.ids, text: several.text });
    const people = await call('generate', ...settings(), ...drawn);
    const [one, two, three] = several.answers.map(({ text }) => text);
    expect(people.out).toBe(`${one}\n--- 2\n${two}\n--- 3\n${three}\n`);

    const beams = (await answer(...greedy, 'num_beams=3', 'num_return_sequences=2')) as typeof several;
    expect(beams.answers).toHaveLength(2);
    expect(beams.ids).toHaveLength(6);
    expect((await answer(...greedy, 'infer_dtype=int8')).ids).toHaveLength(6);
    expect(await call('generate', ...settings(), ...greedy, 'num_beams=2', 'num_return_sequences=3')).toMatchObject({
      code: 1,
      err: expect.stringContaining('num_return_sequences: 3') as string,
    });
  });

  test('refusals name the flag, the file and the message', async () => {
    expect(await call('generate', ...settings())).toMatchObject({
      code: 1,
      err: 'fettle generate: one of --prompt, --messages, --raw, --prompt-ids must be given, got none\n',
    });
    expect(await call('generate', ...settings(), '--raw', 'a', '--prompt', 'b')).toMatchObject({
      code: 1,
      err: 'fettle generate: only one of --prompt, --raw may be given, got several\n',
    });
    expect((await call('generate', ...settings(), '--prompt-ids', '1,x')).code).toBe(1);
    const file = join(folder, 'wrong.json');
    writeFileSync(file, '[{"role": "bot", "content": "x"}]');
    expect(await call('generate', ...settings(), '--messages', file)).toMatchObject({
      code: 1,
      err: `${file}: messages[0].role must be one of system, user, assistant, tool, got "bot"\n`,
    });
    expect(await call('generate', `model_name_or_path=${model}`, '--prompt', 'x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('template') as string,
    });
  });
});

describe('fettle chat', () => {
  test('answers the lines of its input until they end', async () => {
    const { code, out } = await callWith(
      { input: ['Say \\', 'yes', '/clear', '/exit', 'never'] },
      'chat',
      ...settings(),
    );
    expect(code).toBe(0);
    expect(out).toMatch(/\na new conversation begins\n$/);
  });
});
