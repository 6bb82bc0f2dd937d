import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../formats/index.ts';
import { defaultColumns, openaiTags, sharegptTags } from './dataset-entry.ts';
import type { Notice } from './notice.ts';
import { readRows, type ReadRow } from './read-rows.ts';
import { readEntry, resolveDatasets, rowFileFormat, staysInside } from './registry.ts';

const shared = join(import.meta.dirname, '../../../shared/data/sft/llama-factory');
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-registry-'));
  await writeFile(join(folder, 'rows.jsonl'), '{"q": "a", "input": "b", "output": "c", "id": 1}\n');
});
afterAll(async () => rm(folder, { recursive: true }));

async function failure(registry: unknown, name = 'set'): Promise<string> {
  await writeFile(join(folder, 'dataset_info.json'), JSON.stringify(registry));
  return resolveDatasets([name], folder, []).then(
    () => 'no failure',
    (error: unknown) => (error as Error).message.replaceAll(folder, 'DIR'),
  );
}

describe('dataset_info.json', () => {
  it.skipIf(!existsSync(shared))('of LLaMA-Factory loads whole (skipped where ../shared/data is absent)', async () => {
    const registry = JSON.parse(await readFile(join(shared, 'dataset_info.json'), 'utf8')) as JsonObject;
    const notices: Notice[] = [];
    const entries = Object.keys(registry).map((name) => readEntry(name, registry[name], shared, notices));
    expect(entries).toHaveLength(104);
    expect(notices).toEqual([]);
    const entry = (name: string) => entries.find((one) => one.name === name)!;
    expect(entry('alpaca_en_demo')).toMatchObject({
      format: 'alpaca',
      ranking: false,
      columns: defaultColumns,
      tags: sharegptTags,
    });
    expect(entry('kto_en_demo')).toMatchObject({
      columns: { messages: 'messages', kto_tag: 'label' },
      tags: { role_tag: 'role', user_tag: 'user', system_tag: 'system' },
    });
    expect(entry('dpo_en_demo')).toMatchObject({ ranking: true, format: 'sharegpt' });
    expect(entry('alpaca_en').source).toMatchObject({
      kind: 'hub',
      hub: 'huggingface',
      name: 'llamafactory/alpaca_en',
    });
    expect(entry('ultrachat_200k').source).toMatchObject({ split: 'train_sft' });
    expect(entry('starcoder_python').source).toMatchObject({ folder: 'python' });
    expect(entry('dpo_mix_zh').source).toMatchObject({ subset: 'zh' });
    expect(entries.filter(({ ranking }) => ranking)).toHaveLength(12);
  });

  it('keeps the defaults that a partial columns or tags does not name, and says so', async () => {
    await writeFile(
      join(folder, 'dataset_info.json'),
      JSON.stringify({
        set: { file_name: 'rows.jsonl', columns: { prompt: 'q', response: 'output' } },
        chat: { file_name: 'rows.jsonl', formatting: 'openai', tags: { role_tag: 'who' } },
      }),
    );
    const notices: Notice[] = [];
    const entries = await resolveDatasets(['set', 'chat'], folder, notices);
    expect(entries[0]!.columns).toEqual({ ...defaultColumns, prompt: 'q' });
    expect(entries[1]!.tags).toEqual({ ...openaiTags, role_tag: 'who' });
    for await (const group of readRows([entries[0]!], { stage: 'sft', data_seed: 1 }, notices))
      expect(group[0]?.example ?? group).toBeTruthy();
    const path = join(folder, 'dataset_info.json');
    expect(notices.map(({ text }) => text)).toEqual([
      `${path}: "set": columns does not name query; the field "input" of the rows is used for it all the same (LLaMA-Factory leaves it out)`,
      '"set": fields that are not used: "id"',
    ]);
  });

  it('names what is wrong with an entry', async () => {
    expect(await failure({ set: 7 })).toBe('DIR/dataset_info.json: "set": its value must be an object, got 7');
    expect(await failure({ set: {} })).toMatch(
      /^DIR\/dataset_info\.json: "set": file_name must be there \(or another of hf_hub_url, .*\), got nothing$/,
    );
    expect(await failure({ set: { file_name: 'rows.jsonl', formatting: 'chatml' } })).toBe(
      'DIR/dataset_info.json: "set": formatting must be alpaca, sharegpt or openai, got "chatml"',
    );
    expect(await failure({ set: { file_name: 'rows.jsonl', columns: { promt: 'q' } } })).toMatch(
      /"set": columns\.promt must be one of prompt, query, .*, got "promt"$/,
    );
    expect(await failure({ set: { file_name: 'rows.jsonl', num_samples: 0 } })).toBe(
      'DIR/dataset_info.json: "set": num_samples must be a whole number from 1 on, got 0',
    );
    expect(await failure({ set: { file_name: '../rows.jsonl' } })).toBe(
      'DIR/dataset_info.json: "set": file_name must stay inside its folder, got "../rows.jsonl"',
    );
    expect(await failure({ set: { script_url: 'x' } })).toBe(
      'DIR/dataset_info.json: "set": the rows must come from file_name, hf_hub_url or ms_hub_url, got script_url "x". No code of a data set is run: write its rows to JSON or Parquet once (datasets: load_dataset(...).to_json(...)) and name the file with file_name',
    );
    expect(await failure({ set: { file_name: 'none.jsonl' } })).toBe(
      'DIR/none.jsonl: cannot be read: no such file or folder',
    );
    expect(await failure({ rows: { file_name: 'rows.jsonl' } }, 'row')).toBe(
      'dataset: "row" must be a name in DIR/dataset_info.json or the path of a file, got neither. Did you mean "rows"?',
    );
  });

  it('takes data sets from a hub, those that everyone knows too', async () => {
    const rows = {
      'org/set': '{"instruction": "a", "output": "b"}\n',
      'llamafactory/lima':
        '{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, {"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}]}\n',
    };
    const server = createServer((request, response) => {
      const [, name] = /(?:datasets)\/([^/]+\/[^/]+)\//.exec(request.url!) ?? [];
      const text = rows[name as keyof typeof rows];
      const list = [{ type: 'file', path: 'train.jsonl', size: text?.length ?? 0 }];
      response.writeHead(text === undefined ? 404 : 200);
      response.end(request.url!.includes('/tree/') ? JSON.stringify(list) : text);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const before = { ...process.env };
    process.env['HF_ENDPOINT'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    process.env['FETTLE_CACHE'] = join(folder, 'cache');
    try {
      await writeFile(join(folder, 'dataset_info.json'), JSON.stringify({ set: { hf_hub_url: 'org/set' } }));
      const notices: Notice[] = [];
      const turns = async (name: string): Promise<unknown> => {
        const entries = await resolveDatasets([name], folder, notices);
        const group = (await readRows(entries, { stage: 'sft', data_seed: 1 }, notices).next()).value as ReadRow[];
        const { example } = group[0]!;
        return example?.kind === 'conversation' ? example.conversation.messages.map(({ content }) => content) : group;
      };
      expect(await turns('set')).toEqual(['a', 'b']);
      expect(await turns('lima')).toEqual(['a', 'b']);
      expect(await turns('lima_multiturn')).toEqual(['a', 'b', 'c', 'd']);
      expect(notices.map(({ text }) => text).slice(0, 3)).toEqual([
        '"set": 1 file of org/set in the cache',
        '"lima": https://huggingface.co/datasets/llamafactory/lima (licence: CC BY-NC-SA)',
        '"lima": 1 file of llamafactory/lima in the cache',
      ]);
      await expect(resolveDatasets(['org/set'], 'ONLINE', [])).resolves.toMatchObject([
        { name: 'org/set', format: undefined },
      ]);
    } finally {
      process.env = before;
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('says keys that have no effect', async () => {
    await writeFile(
      join(folder, 'dataset_info.json'),
      JSON.stringify({ set: { file_name: 'rows.jsonl', colums: {} } }),
    );
    const notices: Notice[] = [];
    await resolveDatasets(['set'], folder, notices);
    expect(notices.map(({ text }) => text)).toEqual([
      `${join(folder, 'dataset_info.json')}: "set": keys that are not known and have no effect: "colums". Did you mean "columns"?`,
    ]);
  });

  it('refuses a data set of another stage, and pictures', async () => {
    const read = async (entry: object, stage: 'sft' | 'dpo'): Promise<string> => {
      await writeFile(
        join(folder, 'dataset_info.json'),
        JSON.stringify({ set: { file_name: 'rows.jsonl', ...entry } }),
      );
      const entries = await resolveDatasets(['set'], folder, []);
      return readRows(entries, { stage, data_seed: 1 }, [])
        .next()
        .then(
          () => 'no failure',
          (error: unknown) => (error as Error).message.replaceAll(folder, 'DIR'),
        );
    };
    expect(await read({ ranking: true }, 'sft')).toBe(
      'dataset: "set": stage sft needs a data set without ranking, got one with ranking: true',
    );
    expect(await read({}, 'dpo')).toBe(
      'dataset: "set": stage dpo needs a data set with chosen and rejected answers (ranking: true), got one without',
    );
    expect(await read({ columns: { images: 'images' } }, 'sft')).toBe(
      'DIR/dataset_info.json: "set": the rows must be text, got images. Fettle trains on text only',
    );
  });

  it('knows files by their names, packed ones too, and names that lead out', () => {
    expect(
      ['a.json', 'b.JSONL.gz', 'c.csv.zst', 'd.tsv', 'e.txt', 'f.md', 'g.gz', 'h.parquet'].map(rowFileFormat),
    ).toEqual(['json', 'jsonl', 'csv', 'tsv', 'txt', undefined, undefined, 'parquet']);
    expect(['a.json', 'a/b.json', 'a..b', '../a', 'a/../../b', 'a\\..\\b', '/a', 'C:\\a'].map(staysInside)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
      false,
      false,
    ]);
  });
});
