import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RandomStream } from '../util/index.ts';
import { characterEncoder } from './character-encoder.fixture.ts';
import { checkData, type CheckRule, type Finding, fixData } from './check.ts';
import { lintText } from './lint-rules.ts';
import { NearDuplicateFinder } from './near-duplicates.ts';
import { repairText } from './repair.ts';
import type { DataSettings } from './settings.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-check-'));
});
afterEach(async () => rm(folder, { recursive: true }));

function settings(changes: Partial<DataSettings>): DataSettings {
  return {
    stage: 'sft',
    dataset: ['data.jsonl'],
    eval_dataset: [],
    dataset_dir: folder,
    cutoff_len: 1500,
    overlong: 'drop',
    bad_rows: 'error',
    val_size: 0,
    mask_history: false,
    packing: false,
    disable_shuffling: false,
    group_by_length: true,
    data_seed: 42,
    per_device_train_batch_size: 8,
    gradient_accumulation_steps: 1,
    num_train_epochs: 3,
    max_steps: -1,
    ...changes,
  };
}
async function check(changes: Partial<DataSettings> = {}): Promise<Finding[]> {
  const findings: Finding[] = [];
  for await (const finding of checkData(settings(changes), {
    encoder: characterEncoder,
    specialTokens: ['<|fim|>', '!'],
  })) {
    findings.push(finding);
  }
  return findings;
}

const random = new RandomStream(2026);
const words =
  'river stone lamp garden winter copper sail music bread window harbor forest letter engine cloud mirror village salt thunder paper orchard bridge candle silver meadow anchor falcon pepper tunnel island'.split(
    ' ',
  );
function sentence(count: number): string {
  const text = Array.from({ length: count }, () => words[random.nextInt(words.length)]! + random.nextInt(1000)).join(
    ' ',
  );
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}
interface Turn {
  role: string;
  content: unknown;
}
/** A good row of one to three exchanges. */
function goodRow(): { messages: Turn[] } {
  const messages: Turn[] = [];
  for (let turn = 0; turn <= random.nextInt(3); turn++) {
    messages.push({ role: 'user', content: sentence(8) }, { role: 'assistant', content: sentence(12) });
  }
  return { messages };
}
function edited(edit: (row: { messages: Turn[] }) => unknown): string {
  const row = goodRow();
  return JSON.stringify(edit(row) ?? row);
}
const setLast = (content: unknown) => (row: { messages: Turn[] }) => void (row.messages.at(-1)!.content = content);
const setFirst = (content: unknown) => (row: { messages: Turn[] }) => void (row.messages[0]!.content = content);

/** Kinds of defects: the rule that must find each, and how a row gets it. */
const defects: [CheckRule, (good: readonly string[]) => string][] = [
  ['bad-json', () => edited(() => {}).slice(0, -2)],
  ['bad-json', () => edited(() => {}).replace('"role":', '"role"')],
  ['bad-json', () => `${edited(() => {})}]`],
  ['bad-json', () => "{'messages': []}"],
  ['wrong-type', () => '"a text"'],
  ['wrong-type', () => '[1, 2]'],
  ['wrong-type', () => edited(() => ({ messages: 'none' }))],
  ['wrong-type', () => edited(setLast({ text: 'x' }))],
  ['wrong-type', () => edited(setFirst(5))],
  ['wrong-type', () => edited((row) => void row.messages.splice(1, 1, 'answer' as unknown as Turn))],
  ['missing-field', () => edited(() => ({ dialogue: [] }))],
  ['missing-field', () => edited((row) => void delete (row.messages[0] as Partial<Turn>).content)],
  ['missing-field', () => edited((row) => void delete (row.messages[1] as Partial<Turn>).role)],
  ['unknown-role', () => edited((row) => void (row.messages[0]!.role = 'human'))],
  ['unknown-role', () => edited((row) => void (row.messages.at(-1)!.role = 'bot'))],
  ['role-order', () => edited((row) => void row.messages.unshift({ role: 'assistant', content: 'First.' }))],
  ['role-order', () => edited((row) => void row.messages.push({ role: 'user', content: 'And?' }))],
  ['role-order', () => edited((row) => void row.messages.splice(1, 0, { role: 'user', content: 'Again.' }))],
  ['role-order', () => edited((row) => void row.messages.push({ role: 'system', content: 'Late.' }))],
  ['no-assistant-turn', () => edited((row) => ({ messages: row.messages.slice(0, 1) }))],
  ['no-assistant-turn', () => edited(() => ({ messages: [] }))],
  ['empty-prompt', () => edited(setFirst(''))],
  ['empty-response', () => edited(setLast(' \n'))],
  ['no-trained-token', () => edited((row) => ({ messages: row.messages.map((m) => ({ ...m, train: false })) }))],
  ['over-length', () => edited(setFirst(sentence(300)))],
  ['identical-pair', () => edited((row) => void (row.messages[1]!.content = row.messages[0]!.content))],
  ['duplicate', (good) => good[random.nextInt(good.length)]!],
  ['near-duplicate', (good) => good[random.nextInt(good.length)]!.replace(/(\w)\."}\]}$/, '$1, then."}]}')],
  ['encoding-damage', () => edited(setLast(`${sentence(5)} The caf\u00c3\u00a9 is open.`))],
  ['encoding-damage', () => edited(setFirst(`${sentence(5)} It\u00e2\u20ac\u2122s open.`))],
  ['encoding-damage', () => edited(setLast(`${sentence(5)} \uFFFD\uFFFD`))],
  ['encoding-damage', () => edited(setLast(`${sentence(5)} \u0000`))],
  ['special-token-in-text', () => edited(setFirst(`${sentence(5)}<|im_end|>`))],
  ['special-token-in-text', () => edited(setLast(`${sentence(5)} [/INST] x`))],
  ['special-token-in-text', () => edited(setLast(`${sentence(5)} <|fim|> x`))],
  ['identity-leak', () => edited(setLast(`As ChatGPT, I can say: ${sentence(5)}`))],
  ['identity-leak', () => edited(setLast(`As an AI language model, I can not. ${sentence(5)}`))],
  ['identity-leak', () => edited(setLast(`我是由OpenAI开发的模型。${sentence(5)}`))],
  ['placeholder', () => edited(setLast(`Dear [Your Name], ${sentence(5)}`))],
  ['personal-data', () => edited(setLast(`Write to anna.schmidt@posteo.de. ${sentence(5)}`))],
  ['personal-data', () => edited(setFirst(`My key is sk-abcdefghijklmnopqrstuvwx. ${sentence(5)}`))],
  ['repetition', () => edited(setLast(`${sentence(3)} ${'and so on '.repeat(15)}`.trim()))],
  ['role-in-text', () => edited(setLast(`${sentence(5)}\nHuman: and now?`))],
  ['unfinished-answer', () => edited(setLast(`${sentence(40)} It goes on and`))],
  ['surrounding-space', () => edited(setLast(` ${sentence(5)}`))],
  ['html-residue', () => edited(setLast(`${sentence(5)}<br/>${sentence(5)}`))],
  ['no-word', () => edited(setLast('...'))],
  [
    'language-mismatch',
    () =>
      edited((row) => ({
        messages: [
          {
            role: 'user',
            content:
              '请详细介绍一下这座城市的历史、文化、建筑和美食，并且推荐几个适合周末游览的地方。' + random.nextInt(1e9),
          },
          { role: 'assistant', content: row.messages[1]!.content },
        ],
      })),
  ],
  [
    'conflicting-answers',
    (good) => {
      const row = JSON.parse(good[random.nextInt(good.length)]!) as { messages: Turn[] };
      row.messages.at(-1)!.content = sentence(14);
      return JSON.stringify(row);
    },
  ],
];

describe('data check', () => {
  it('reports each of 250 planted defects with its row, and nothing of the good rows', async () => {
    const good = Array.from({ length: 400 }, () => JSON.stringify(goodRow()));
    const lines: { text: string; rule?: CheckRule }[] = good.map((text) => ({ text }));
    const kinds = new Set(defects.map(([rule]) => rule));
    expect(kinds.size).toBeGreaterThanOrEqual(25);
    const planted = Array.from({ length: 250 }, (_, index) => {
      const [rule, make] = defects[index % defects.length]!;
      return { rule, text: make(good) };
    });
    // Good rows come first half, so that "the later row" of a pair is always the planted one.
    for (const defect of planted) lines.splice(400 + random.nextInt(lines.length - 399), 0, defect);
    await writeFile(join(folder, 'data.jsonl'), lines.map(({ text }) => text).join('\n'));
    const findings = await check();
    const byRow = new Map<number, Finding[]>();
    for (const finding of findings) byRow.set(finding.row, [...(byRow.get(finding.row) ?? []), finding]);
    const missed = lines.flatMap(({ rule, text }, row) =>
      rule !== undefined && !byRow.get(row)?.some((finding) => finding.rule === rule) ? [`${rule} ${row} ${text}`] : [],
    );
    expect(missed).toEqual([]);
    expect(findings.filter(({ row }) => lines[row]!.rule === undefined)).toEqual([]);
    for (const { file, line, row, message } of findings) {
      expect([file, line]).toEqual([join(folder, 'data.jsonl'), row + 1]);
      expect(message.startsWith(`${file}:${line}: `)).toBe(true);
    }
  });

  it('points into the row and names the other one', async () => {
    const row = {
      messages: [
        { role: 'user', content: 'What is a lamp?' },
        { role: 'assistant', content: 'As ChatGPT, I do not know.' },
      ],
    };
    await writeFile(join(folder, 'data.jsonl'), `${JSON.stringify(row)}\n${JSON.stringify(row)}\n`);
    const file = join(folder, 'data.jsonl');
    expect(await check()).toEqual([
      {
        rule: 'identity-leak',
        severity: 'warning',
        file,
        row: 0,
        line: 1,
        pointer: '/messages/1/content',
        message: `${file}:1: messages[1].content speaks as another model: "As ChatGPT"`,
      },
      {
        rule: 'identity-leak',
        severity: 'warning',
        file,
        row: 1,
        line: 2,
        pointer: '/messages/1/content',
        message: `${file}:2: messages[1].content speaks as another model: "As ChatGPT"`,
      },
      {
        rule: 'duplicate',
        severity: 'warning',
        file,
        row: 1,
        line: 2,
        pointer: '',
        message: `${file}:2: the row is the same as ${file}:1`,
      },
    ]);
  });

  it('finds training rows among the evaluation rows', async () => {
    await writeFile(join(folder, 'data.jsonl'), '{"instruction": "Name a colour.", "output": "Red."}\n');
    await writeFile(
      join(folder, 'test.jsonl'),
      '{"instruction": "Name a colour.", "output": "Blue."}\n{"instruction": "Name a fruit.", "output": "Fig."}\n',
    );
    expect(
      (await check({ eval_dataset: ['test.jsonl'] })).map(({ rule, message }) => [
        rule,
        message.replaceAll(folder, 'DIR'),
      ]),
    ).toEqual([['train-test-leak', 'DIR/test.jsonl:1: the row stands in the training data too: DIR/data.jsonl:1']]);
  });

  it('does not print secrets whole', async () => {
    await writeFile(
      join(folder, 'data.jsonl'),
      '{"instruction": "Key?", "output": "It is hf_abcdefghijklmnopqrstuv."}\n',
    );
    expect((await check())[0]!.message).toMatch(/that may be someone's: "hf_a\*{8}"$/);
  });
});

describe('data check --fix', () => {
  it('writes a copy without errors and duplicates, damaged characters and white space repaired', async () => {
    const row = (output: string, more: object = {}): string =>
      JSON.stringify({ instruction: `Say ${output.length}`, output, ...more });
    await writeFile(
      join(folder, 'data.jsonl'),
      [
        row('Café “x”', { id: 1 }),
        row('cafÃ© â€œxâ€\u009d Ã©tÃ©'),
        row(' a \n'),
        row('b\u0000c'),
        '{"instruction": "a"}',
        '{',
        row('Café “x”', { id: 1 }),
      ].join('\n'),
    );
    const findings: Finding[] = [];
    const fixed = await fixData(join(folder, 'fixed'), settings({}), {}, (finding) => findings.push(finding));
    expect(fixed).toEqual([
      { dataset: 'data.jsonl', file: join(folder, 'fixed/data.jsonl'), rows: 4, left_out: 3, changed: 3 },
    ]);
    const rows = (await readFile(fixed[0]!.file, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { output: string; id?: number });
    expect(rows.map(({ output }) => output)).toEqual(['Café “x”', 'café “x” été', 'a', 'bc']);
    expect(rows[0]!.id).toBe(1);
    // What is left has nothing to repair.
    const again = await fixData(
      join(folder, 'twice'),
      settings({ dataset: ['fixed/data.jsonl'] }),
      {},
      () => undefined,
    );
    expect(again[0]).toMatchObject({ rows: 4, left_out: 0, changed: 0 });
    expect(findings.map(({ rule }) => rule)).toContain('bad-json');
  });
  it('leaves sound text of other scripts alone', () => {
    for (const text of ['Ünïcödé', '«Ça»', 'É…', '“é”', '你好', 'naïve – fiancée', '😀\r\n\t'])
      expect(repairText(text)).toBe(text);
  });
});

describe('near duplicates', () => {
  it('are found by the similarity of their shingles, small changes and Chinese text included', () => {
    const finder = new NearDuplicateFinder();
    const long = Array.from({ length: 10 }, () => sentence(10)).join(' ');
    expect(finder.add(long, 0)).toBeUndefined();
    expect(finder.add(long.replace('.', '!').toUpperCase(), 1)).toEqual({ of: 0, similarity: 1 });
    expect(finder.add(`${long} ${sentence(6)}`, 2)!.similarity).toBeGreaterThan(0.8);
    expect(finder.add(Array.from({ length: 10 }, () => sentence(10)).join(' '), 3)).toBeUndefined();
    expect(
      finder.add('今天天气很好，我们一起去公园散步吧，顺便在湖边的咖啡馆里喝一杯热咖啡，再去看看新开的书店。', 4),
    ).toBeUndefined();
    expect(
      finder.add('今天天气很好，我们一起去公园散步吧，顺便在湖边的咖啡馆里喝一杯热咖啡，再去看看新开的花店。', 5),
    ).toMatchObject({ of: 4 });
  });
});

describe('rules of texts', () => {
  const rules = (text: string, role: 'user' | 'assistant' = 'assistant'): string[] =>
    lintText(text, role, []).map(({ rule }) => rule);
  it('leave ordinary texts alone', () => {
    for (const text of [
      'The café is open; it’s “new”. Ça va? 你好，世界！ 😀',
      'Use `x < y && y > z` in the code:\n```\n<div>x</div>\n```',
      'Google developed BERT in 2018.',
      'Call the list with a[0] and b[1].',
      '- one\n- two\n- three',
      'Yes',
      '42',
    ]) {
      expect([text, rules(text)]).toEqual([text, []]);
    }
    expect(rules('As an AI, I', 'user')).toEqual([]);
  });
});

const shared = join(import.meta.dirname, '../../../shared/data/sft/llama-factory');
it.skipIf(!existsSync(shared))(
  'finds the exact duplicates of a real set (skipped where ../shared/data is absent)',
  async () => {
    const findings = await check({ dataset: ['alpaca_en_demo'], dataset_dir: shared, cutoff_len: 8192 });
    expect(findings.filter(({ rule }) => rule === 'duplicate')).toHaveLength(14);
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  },
);

describe('a data set without rows', () => {
  it('is a finding, and the others are checked all the same', async () => {
    await writeFile(join(folder, 'empty.jsonl'), '');
    await writeFile(join(folder, 'data.jsonl'), '{"instruction": "a?", "output": ""}\n');
    const findings = await check({ dataset: ['empty.jsonl', 'data.jsonl', 'empty.jsonl'] });
    expect(findings.map(({ rule, row, line }) => [rule, row, line])).toEqual([
      ['empty-dataset', 0, 0],
      ['empty-response', 0, 1],
      ['empty-dataset', 1, 0],
    ]);
    const fixed = await fixData(join(folder, 'fixed'), settings({ dataset: ['empty.jsonl', 'data.jsonl'] }), {}, () => {
      // What is found is told above.
    });
    expect(fixed.map(({ dataset, rows }) => [dataset, rows])).toEqual([['data.jsonl', 0]]);
  });
});
