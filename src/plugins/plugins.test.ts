import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { call, writeCharacterModel } from '../cli/command-line.fixture.ts';

const root = mkdtempSync(join(tmpdir(), 'fettle-plugins-'));
const folder = join(root, 'project');
afterAll(() => rmSync(root, { recursive: true, force: true }));

const write = (name: string, text: string): string => {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
};

const plugin = `
export const templates = { arrows: { user: '<< {content}\\n', assistant: '>> {content}\\n' } };
export const converters = {
  qa(row) {
    if (row.q === 'bad') throw new Error('no such question');
    return { messages: [{ role: 'user', content: row.q }, { role: 'assistant', content: row.a }] };
  },
};
export const metrics = { first_letter: ({ predict, label }) => Number(predict[0] === label[0]) };
export default { judges: { longer: ({ messages }) => (messages.at(-1).content.includes('long') ? '[[A]]' : '[[C]]') } };
`;

beforeAll(async () => {
  mkdirSync(folder, { recursive: true });
  await writeCharacterModel(join(folder, 'model'));
  write('mine.mjs', plugin);
  write('rows.jsonl', ['ab', 'cd', 'ef', 'gh'].map((q) => `${JSON.stringify({ q, a: `${q} yes` })}\n`).join(''));
  write('bad.jsonl', '{"q":"ab","a":"x"}\n{"q":"bad","a":"x"}\n');
  write(
    'dataset_info.json',
    JSON.stringify({
      mine: { file_name: 'rows.jsonl', formatting: 'qa' },
      bad: { file_name: 'bad.jsonl', formatting: 'qa' },
    }),
  );
  write(
    'config.yaml',
    [
      `model_name_or_path: ${join(folder, 'model')}`,
      `dataset_dir: ${folder}`,
      'dataset: mine',
      'template: arrows',
      'plugins: [./mine.mjs]',
      'cutoff_len: 256',
      'threads: 1',
    ].join('\n'),
  );
});

const config = join(folder, 'config.yaml');

describe('plugins', () => {
  test('a converter and a template are found by their names', async () => {
    const { code, out, err } = await call('data', 'preview', config, '--all', '--json');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const rows = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { labels: number[] });
    expect(rows).toHaveLength(4);
    // With the blank before it, and the end token after it.
    expect(rows[0]!.labels.filter((label) => label !== -100)).toHaveLength(' ab yes'.length + 1);
  });

  test('the trainer loads them too, and its adapter answers in their template without them', async () => {
    const output = join(folder, 'run');
    const trained = await call('train', config, `output_dir=${output}`, 'max_steps=1', 'plot_loss=false', '--json');
    expect(trained.code).toBe(0);
    const adapter = [
      `model_name_or_path=${join(folder, 'model')}`,
      `adapter_name_or_path=${output}`,
      'max_new_tokens=1',
    ];
    const answer = await call('generate', ...adapter, 'threads=1', '--prompt', 'ab', '--json');
    expect((JSON.parse(answer.out) as { prompt_ids: number[] }).prompt_ids).toHaveLength('<< ab\n>>'.length);
  });

  test('metrics stand beside the others, judges judge', async () => {
    const output = join(folder, 'predicted');
    const predicted = await call(
      'predict',
      config,
      'dataset=null',
      'eval_dataset=mine',
      `output_dir=${output}`,
      'max_new_tokens=2',
      'do_sample=false',
      '--json',
    );
    expect(predicted.code).toBe(0);
    expect(readFileSync(join(output, 'predict_results.json'), 'utf8')).toContain('first_letter');
    const answers = (name: string): string => write(`${name}.jsonl`, '{"id":1,"prompt":"p","answer":"long"}\n');
    const judged = await call(
      'pk',
      config,
      `systems.a.answers=${answers('a')}`,
      `systems.b.answers=${answers('b')}`,
      'judge.plugin=longer',
      `output_dir=${join(folder, 'pk')}`,
      '--json',
    );
    expect(judged.code).toBe(0);
    expect(JSON.parse(judged.out)).toMatchObject({ n: 1, ties: 1, judge: { title: 'longer' } });
    const unknown = await call(
      'pk',
      config,
      'systems.a={}',
      'systems.b={}',
      'judge.plugin=shorter',
      `output_dir=${root}/x`,
      `questions=${answers('a')}`,
    );
    expect(unknown.err).toContain(
      'judge: plugin must be a judge that a file of plugins registers, got "shorter". Registered: longer',
    );
  });

  test('a converter that fails is named with the line of its row', async () => {
    const { code, err } = await call('data', 'preview', config, 'dataset=bad', '--all');
    expect({ code, err }).toEqual({
      code: 1,
      err: `${join(folder, 'bad.jsonl')}:2: the converter "qa" must give a row, got Error: no such question\n`,
    });
  });
});

describe('refusals', () => {
  const preview = async (...names: string[]): Promise<string> => {
    const { code, err } = await call(
      'data',
      'preview',
      write('other.yaml', `plugins: [${names.join(', ')}]\nmodel_name_or_path: m\ndataset: d\n`),
    );
    expect(code).toBe(1);
    return err.trimEnd();
  };

  test('only JavaScript files of the folder of the configuration', async () => {
    writeFileSync(join(root, 'outside.js'), '');
    symlinkSync(join(root, 'outside.js'), join(folder, 'link.js'));
    const where = `${join(folder, 'other.yaml')}:1:10: the plugin`;
    expect(await preview('https://x/y.js', '../outside.js', 'link.js', 'none.js', 'mine.ts')).toBe(
      [
        `${where} "https://x/y.js" must be a file on this machine, got an address`,
        `${where} "../outside.js" must be inside ${folder}, got a file outside it`,
        `${where} "link.js" must be inside ${folder}, got a file outside it`,
        `${where} "none.js" must be a file, got no such file`,
        `${where} "mine.ts" must be a file that ends with .js, .mjs, .cjs, got .ts`,
      ].join('\n'),
    );
    // On the command line a path is relative to the current folder.
    expect((await call('data', 'preview', `plugins=${join(root, 'outside.js')}`)).err).toContain(
      'got a file outside it',
    );
  });

  test('what a plugin exports has a name, a kind and a form', async () => {
    const refused = async (name: string, text: string): Promise<string> => {
      const file = write(name, text);
      return (await preview(name)).replace(file, 'FILE');
    };
    expect(await refused('throws.mjs', 'throw new TypeError("not today\\nat x");')).toBe(
      'FILE: the plugin must load, got TypeError: not today',
    );
    expect(await refused('syntax.mjs', 'export const = 1;')).toMatch(/^FILE: the plugin must load, got /);
    expect(await refused('kind.mjs', 'export const metric = {};')).toBe(
      'FILE: what the plugin exports as "metric" must be one of templates, converters, metrics, judges, got something else. Did you mean "metrics"?',
    );
    expect(await refused('form.mjs', 'export const judges = { x: 5 };')).toBe(
      'FILE: what the plugin exports as "judges.x" must be a function, got something else',
    );
    expect(await refused('name.mjs', 'export const judges = { "a b": () => "" };')).toContain(
      '"judges.a b" must be named with',
    );
    expect(await refused('twice.mjs', 'export const judges = { longer: () => "" };')).toBe(
      `FILE: judges.longer must have a name of its own, got one that ${join(folder, 'mine.mjs')} has`,
    );
    expect(await refused('taken.mjs', 'export const templates = { alpaca: { user: "{content}" } };')).toBe(
      'template "alpaca": a plugin must choose another name, got that of a built-in one',
    );
    expect(await refused('slot.mjs', 'export const templates = { t: { assistant: "x" } };')).toContain(
      'must have the slot {content}',
    );
    expect(await refused('common.cjs', 'module.exports = { judges: 1 };')).toContain(
      '"judges" must be an object of names',
    );
  });
});
