import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { characterEncoder, shown } from './character-encoder.fixture.ts';
import { planBatches } from './batches.ts';
import { prepareTrainingData } from './prepare.ts';
import { previewRows, type PreviewedRow } from './preview.ts';
import type { SampleSet } from './sample-set.ts';
import type { DataSettings } from './settings.ts';

const shared = join(import.meta.dirname, '../../../shared/data');
const hasShared = existsSync(shared);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-data-'));
});
afterEach(async () => rm(folder, { recursive: true }));

function settings(changes: Partial<DataSettings>): DataSettings {
  return {
    stage: 'sft',
    dataset: ['data.jsonl'],
    eval_dataset: [],
    dataset_dir: folder,
    cutoff_len: 2048,
    overlong: 'drop',
    bad_rows: 'error',
    val_size: 0,
    mask_history: false,
    packing: changes.stage === 'pt',
    disable_shuffling: false,
    group_by_length: true,
    data_seed: 42,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 2,
    num_train_epochs: 3,
    max_steps: -1,
    ...changes,
  };
}
async function write(name: string, content: unknown): Promise<string> {
  const text =
    typeof content === 'string' || content instanceof Uint8Array
      ? content
      : Array.isArray(content)
        ? content.map((row) => JSON.stringify(row)).join('\n')
        : JSON.stringify(content);
  await mkdir(join(folder, name, '..'), { recursive: true });
  await writeFile(join(folder, name), text);
  return join(folder, name);
}
const alpacaRows = (count: number, answer = 'b'): object[] =>
  Array.from({ length: count }, (_, row) => ({ instruction: `q${row}`, output: answer }));
const texts = (set: SampleSet): string[] =>
  Array.from({ length: set.size }, (_, index) =>
    set
      .sample(index)
      .map((s) => shown(s.inputIds))
      .join(' | '),
  );
const rowsOf = (set: SampleSet): number[] => Array.from({ length: set.size }, (_, index) => set.sample(index)[0]!.row);
async function preview(changes: Partial<DataSettings>, row?: number): Promise<PreviewedRow[]> {
  const all: PreviewedRow[] = [];
  for await (const shownRow of previewRows(settings(changes), characterEncoder, { row })) all.push(shownRow);
  return all;
}
async function failure(changes: Partial<DataSettings>): Promise<string> {
  return prepareTrainingData(settings(changes), characterEncoder).then(
    () => 'no failure',
    (error: unknown) => (error as Error).message.replaceAll(folder, 'DIR'),
  );
}

describe('prepareTrainingData', () => {
  it('makes samples and a plan that agree with each other and with the preview', async () => {
    await write('data.jsonl', [...alpacaRows(5), { instruction: 'x'.repeat(30), output: 'too long' }]);
    const changes = { cutoff_len: 20, max_steps: -1 };
    const { train, plan, evaluation } = await prepareTrainingData(settings(changes), characterEncoder);
    expect(texts(train)).toEqual(['q0', 'q1', 'q2', 'q3', 'q4'].map((q) => `‹u›${q}¶‹a›b¶`));
    expect(evaluation).toEqual([]);
    expect(plan).toEqual({
      rows_read: 6,
      rows_valid: 5,
      rows_dropped: { 'over-length': 1 },
      rows_truncated: 0,
      sequences: 5,
      tokens: 35,
      trained_tokens: 10,
      steps_per_epoch: 2,
      total_steps: 6,
    });
    const rows = await preview(changes);
    expect(rows.map(({ row, dropped, input_ids }) => [row, dropped, input_ids.length])).toEqual([
      ...[0, 1, 2, 3, 4].map((row) => [row, undefined, 7]),
      [5, 'over-length', 0],
    ]);
    expect(shown(rows[0]!.labels)).toBe('·····b¶');
    expect((await preview(changes, 3)).map(({ row }) => row)).toEqual([3]);
  });

  it('names all rows of a wrong form in one message', async () => {
    const path = await write('data.jsonl', [
      ...Array.from({ length: 9 }, () => ({ instruction: 'a' })),
      ...alpacaRows(2),
      { instruction: '', output: 'b' },
      { instruction: 'a', output: '' },
      7,
    ]);
    const line = (number: number): string =>
      `DIR/data.jsonl:${number}: the row must have the field "output", got only "instruction"`;
    expect(await failure({})).toBe(
      [
        ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map(line),
        'DIR/data.jsonl:12: instruction must hold text, got nothing to answer',
        '12 rows cannot be used (missing-field 9, empty-prompt 1, empty-response 1, wrong-type 1). Correct them, or set bad_rows: drop to leave them out',
      ].join('\n'),
    );
    const { plan, notices } = await prepareTrainingData(settings({ bad_rows: 'drop' }), characterEncoder);
    expect(plan).toMatchObject({
      rows_read: 14,
      rows_valid: 2,
      rows_dropped: { 'missing-field': 9, 'empty-prompt': 1, 'empty-response': 1, 'wrong-type': 1 },
    });
    expect(
      notices
        .find(({ code }) => code === 'rows-dropped')!
        .text.split('\n')
        .slice(0, 2),
    ).toEqual([
      '12 of 14 rows dropped (missing-field 9, empty-prompt 1, empty-response 1, wrong-type 1)',
      `  ${path}:1: the row must have the field "output", got only "instruction"`,
    ]);
  });

  it('refuses rows without a trained token, and long rows where told to', async () => {
    const message = (train: boolean): object => ({
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b', train },
      ],
    });
    await write('data.jsonl', [message(true), message(false)]);
    expect(await failure({})).toBe(
      'DIR/data.jsonl:2: the row must have at least one trained token, got none\n1 row cannot be used (no-trained-token 1). Correct them, or set bad_rows: drop to leave them out',
    );
    await write('data.jsonl', alpacaRows(3));
    expect(await failure({ cutoff_len: 6, overlong: 'error', bad_rows: 'drop' })).toMatch(
      /^DIR\/data\.jsonl:1: the row may be 6 tokens long \(cutoff_len\), got 7\n.*\n.*\n3 rows cannot be used \(over-length 3\)\. Raise cutoff_len, or choose another overlong policy$/,
    );
  });

  it('refuses data sets that hold no usable row', async () => {
    await write('data.jsonl', '\n\n');
    expect(await failure({})).toBe('DIR/data.jsonl: a data set must hold at least one row, got none');
    await write('data.jsonl', alpacaRows(3));
    expect(await failure({ cutoff_len: 6 })).toBe(
      'data.jsonl: at least one row must remain for training, got none of 3 (dropped: over-length 3)',
    );
    expect(await failure({ val_size: 3 })).toBe(
      'val_size: at least one row must remain for training, got 3, which sets aside 3 of 3',
    );
    await write('data.jsonl', [{ question: 'a', answer: 'b' }]);
    expect(await failure({})).toBe(
      'DIR/data.jsonl: the format of the rows must be told by their fields (instruction and output, conversations, messages, prompt and completion, text), got "question", "answer". Describe them in dataset_info.json (columns, formatting)',
    );
  });

  it('sets rows aside by the seed, all sequences of a row together', async () => {
    await write('data.jsonl', alpacaRows(20));
    const prepared = await prepareTrainingData(settings({ val_size: 0.25 }), characterEncoder);
    const [train, validation] = [rowsOf(prepared.train), rowsOf(prepared.evaluation[0]!.samples)];
    expect(validation).toHaveLength(5);
    expect([...train, ...validation].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, row) => row));
    const again = await prepareTrainingData(settings({ val_size: 5 }), characterEncoder);
    expect(rowsOf(again.evaluation[0]!.samples)).toEqual(validation);
    const other = await prepareTrainingData(settings({ val_size: 5, data_seed: 1 }), characterEncoder);
    expect(rowsOf(other.evaluation[0]!.samples)).not.toEqual(validation);
    expect(prepared.plan.tokens).toBe(prepared.train.tokens);
  });

  it('reads evaluation sets, together or each by itself', async () => {
    await write('data.jsonl', alpacaRows(3));
    await write('e1.jsonl', alpacaRows(2, 'x'));
    await write('e2.json', [{ instruction: 'a', output: 'y' }]);
    const names = async (changes: Partial<DataSettings>): Promise<unknown> =>
      (
        await prepareTrainingData(settings({ eval_dataset: ['e1.jsonl', 'e2.json'], ...changes }), characterEncoder)
      ).evaluation.map(({ name, samples }) => [name, samples.size]);
    expect(await names({})).toEqual([['e1.jsonl, e2.json', 3]]);
    expect(await names({ eval_on_each_dataset: true })).toEqual([
      ['e1.jsonl', 2],
      ['e2.json', 1],
    ]);
  });

  it('limits and samples rows but numbers them as they stand', async () => {
    await write('a.jsonl', alpacaRows(6));
    await write('b.jsonl', alpacaRows(4, 'c'));
    const { train, plan, notices } = await prepareTrainingData(
      settings({ dataset: ['a.jsonl', 'b.jsonl'], max_samples: 2 }),
      characterEncoder,
    );
    expect(rowsOf(train)).toEqual([0, 1, 6, 7]);
    expect(plan.rows_read).toBe(4);
    expect(notices.map(({ text }) => text)).toEqual([
      'max_samples: only the first 2 rows of "a.jsonl" are used; it has more',
      'max_samples: only the first 2 rows of "b.jsonl" are used; it has more',
    ]);
    await write('dataset_info.json', {
      few: { file_name: 'a.jsonl', num_samples: 3 },
      many: { file_name: 'b.jsonl', num_samples: 10 },
    });
    const few = await prepareTrainingData(settings({ dataset: ['few'] }), characterEncoder);
    expect([few.train.size, few.plan.rows_read]).toEqual([3, 3]);
    const many = await prepareTrainingData(settings({ dataset: ['many'] }), characterEncoder);
    expect([many.train.size, many.plan.rows_read, many.plan.sequences]).toEqual([10, 4, 10]);
  });

  it('mixes data sets', async () => {
    await write('a.jsonl', alpacaRows(4));
    await write('b.jsonl', alpacaRows(2, 'c'));
    const mixed = await prepareTrainingData(
      settings({ dataset: ['a.jsonl', 'b.jsonl'], mix_strategy: 'interleave_over' }),
      characterEncoder,
    );
    expect(rowsOf(mixed.train)).toEqual([0, 4, 1, 5, 2, 4, 3, 5]);
  });

  it('packs without mixing, and cuts the stream of texts', async () => {
    await write('data.jsonl', alpacaRows(5));
    const packed = await prepareTrainingData(settings({ packing: true, cutoff_len: 15 }), characterEncoder);
    expect(texts(packed.train)).toEqual(['‹u›q0¶‹a›b¶ | ‹u›q1¶‹a›b¶', '‹u›q2¶‹a›b¶ | ‹u›q3¶‹a›b¶', '‹u›q4¶‹a›b¶']);
    expect(packed.plan).toMatchObject({ sequences: 3, tokens: 35, trained_tokens: 10, steps_per_epoch: 1 });
    await write('data.jsonl', [{ text: 'abcdef' }, { text: 'gh' }, { text: 'ijk' }]);
    const stream = await prepareTrainingData(settings({ stage: 'pt', cutoff_len: 5 }), characterEncoder);
    expect(texts(stream.train)).toEqual(['abcde', 'f¶ | gh¶', 'ijk¶']);
    expect(stream.plan).toMatchObject({
      rows_read: 3,
      sequences: 3,
      tokens: 14,
      trained_tokens: 14,
      rows_dropped: {},
      rows_truncated: 0,
    });
    expect(stream.train.lengths).toEqual(Uint32Array.of(5, 5, 4));
    const single = await prepareTrainingData(
      settings({ stage: 'pt', packing: false, cutoff_len: 5 }),
      characterEncoder,
    );
    expect(texts(single.train)).toEqual(['gh¶', 'ijk¶']);
    expect(single.plan.rows_dropped).toEqual({ 'over-length': 1 });
  });

  it('keeps weights and counts rows that were shortened', async () => {
    const messages = [
      { role: 'user', content: 'abc' },
      { role: 'assistant', content: 'd', weight: 0.5 },
    ];
    await write(
      'data.jsonl',
      Array.from({ length: 3 }, () => ({ messages })),
    );
    const { train, plan } = await prepareTrainingData(
      settings({ cutoff_len: 7, overlong: 'keep-response' }),
      characterEncoder,
    );
    expect(texts(train)).toEqual(['‹u›ab¶‹a›d¶', '‹u›ab¶‹a›d¶', '‹u›ab¶‹a›d¶']);
    expect(train.sample(2)[0]!.weights).toEqual(Float32Array.of(0, 0, 0, 0, 0, 0.5, 0.5));
    expect(plan.rows_truncated).toBe(3);
  });

  it('trains the chosen answers only', async () => {
    const turn = (content: string): object[] => [
      { role: 'user', content: 'q' },
      { role: 'assistant', content },
    ];
    await write('data.jsonl', [{ messages: [...turn('a'), ...turn('b'), ...turn('c')] }, { messages: turn('d') }]);
    const labels = async (train_on_turn: number[]): Promise<string[]> => {
      const { train } = await prepareTrainingData(settings({ train_on_turn, bad_rows: 'drop' }), characterEncoder);
      return [...train.lengths.keys()].map((index) => shown(train.sample(index)[0]!.labels));
    };
    expect(await labels([])).toEqual(['····a¶····b¶····c¶', '····d¶']);
    expect(await labels([-1])).toEqual(['················c¶', '····d¶']);
    expect(await labels([0, 2])).toEqual(['····a¶··········c¶', '····d¶']);
    expect(await labels([1])).toEqual(['··········b¶······']);
  });

  it('says once where the template leaves out the tools of the rows', async () => {
    const messages = [
      { role: 'user', content: 'a' },
      { role: 'assistant', content: 'b' },
    ];
    await write('data.jsonl', [
      { messages, tools: [{ name: 'f' }] },
      { messages, tools: [{ name: 'g' }] },
    ]);
    const { notices } = await prepareTrainingData(settings({}), characterEncoder);
    expect(notices.map(({ text }) => text)).toEqual([
      '"data.jsonl": the rows name tools, which the template does not write: the model will not see them',
    ]);
  });

  it('has a content hash that depends on content alone', async () => {
    await write('data.jsonl', alpacaRows(3));
    const hash = async (changes: Partial<DataSettings> = {}): Promise<string> =>
      (await prepareTrainingData(settings(changes), characterEncoder)).contentHash;
    const first = await hash();
    await write(
      'copy.json',
      `[${alpacaRows(3)
        .map((row) => JSON.stringify(row))
        .join(',\n')}]`,
    );
    expect(await hash({ dataset: ['copy.json'] })).toBe(first);
    expect(await hash({ num_train_epochs: 9 })).toBe(first);
    await write('data.jsonl', alpacaRows(3, 'B'));
    expect(await hash()).not.toBe(first);
    await write('data.jsonl', alpacaRows(4));
    expect(await hash()).not.toBe(first);
  });

  it('stops at a folder of files of one type, in the order of their names', async () => {
    await write('set/2.jsonl', [{ instruction: 'second', output: 'b' }]);
    await write('set/1.jsonl', [{ instruction: 'first', output: 'b' }]);
    expect(texts((await prepareTrainingData(settings({ dataset: ['set'] }), characterEncoder)).train)).toEqual([
      '‹u›first¶‹a›b¶',
      '‹u›second¶‹a›b¶',
    ]);
    await write('set/3.csv', 'a\n');
    expect(await failure({ dataset: ['set'] })).toBe(
      'DIR/set: the data files of a folder or pattern must be of one type, got "jsonl", "csv"',
    );
    expect((await prepareTrainingData(settings({ dataset: ['set/*.jsonl'] }), characterEncoder)).train.size).toBe(2);
    await write('set/4.jsonl.gz', gzipSync('{"instruction": "packed", "output": "b"}'));
    expect((await prepareTrainingData(settings({ dataset: ['set/*.{jsonl,gz}'] }), characterEncoder)).train.size).toBe(
      3,
    );
    expect(await failure({ dataset: ['set/*.none'] })).toBe(
      'DIR/set/*.none: the data files of a folder or pattern must be of one type, got none',
    );
    expect(await failure({ dataset: ['set/1.jsonlx'] })).toMatch(/^dataset: "set\/1\.jsonlx" must be a name in/);
  });
});

describe.skipIf(!hasShared)('real data sets (skipped where ../shared/data is absent)', () => {
  const sets: [string, string, Partial<DataSettings>, number][] = [
    ['identity', 'sft/llama-factory', {}, 91],
    ['alpaca_en_demo', 'sft/llama-factory', {}, 999],
    ['alpaca_zh_demo', 'sft/llama-factory', {}, 1000],
    ['glaive_toolcall_en_demo', 'sft/llama-factory', {}, 300],
    ['kto_en_demo', 'sft/llama-factory', { stage: 'kto' }, 300],
    ['dpo_en_demo', 'sft/llama-factory', { stage: 'dpo' }, 300],
    ['dummy_conversation.json', 'sft/sharegpt', {}, 500],
    ['instruction-data.json', 'sft/llms-from-scratch', {}, 998],
    ['instruction-data-with-preference.json', 'sft/llms-from-scratch', {}, 998],
    ['c4_demo.jsonl', 'pretrain', { stage: 'pt' }, 300],
    ['wiki_demo.txt', 'pretrain', { stage: 'pt' }, 30],
    ['lambada_test.first500.jsonl', 'eval/lambada', { stage: 'pt' }, 500],
    ['alpaca_2000.json', 'restricted/alpaca', {}, 2000],
  ];
  it.each(sets)('%s loads, and its plan is what its batches hold, packed or not', async (name, dir, changes, rows) => {
    for (const packing of [false, true]) {
      const own = { dataset: [name], dataset_dir: join(shared, dir), cutoff_len: 4096, packing, ...changes };
      const { train, plan } = await prepareTrainingData(
        { ...settings(own), packing, bad_rows: 'drop' },
        characterEncoder,
      );
      expect(plan.rows_read).toBe(rows);
      const dropped = Object.entries(plan.rows_dropped).filter(([rule]) => rule !== 'over-length');
      expect(dropped).toEqual([]);
      let [tokens, trained, samples] = [0, 0, 0];
      const how = { batchSize: 2, groupByLength: true, disableShuffling: false, seed: 1 };
      const batches = planBatches(train.lengths, how, 0);
      for (const batch of batches) {
        for (const index of batch) {
          samples++;
          const sample = train.sample(index);
          const length = sample.reduce((sum, { inputIds }) => sum + inputIds.length, 0);
          expect([length, length <= 4096]).toEqual([train.lengths[index], true]);
          tokens += length;
          for (const { labels } of sample) trained += labels.filter((label) => label !== -100).length;
        }
      }
      expect([samples, tokens, trained]).toEqual([plan.sequences, plan.tokens, plan.trained_tokens]);
      expect(Math.ceil(batches.length / 2)).toBe(plan.steps_per_epoch);
    }
  });
});
