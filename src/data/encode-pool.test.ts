import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EncodePool } from './encode-pool.ts';
import type { Example } from './example.ts';
import { packRows, unpackRows, type UnpackedRow } from './packed-rows.ts';
import { prepareTrainingData } from './prepare.ts';
import { encodeExample } from './read-rows.ts';
import type { DataSettings } from './settings.ts';
import { openTextTools, type TextSettings } from './text-tools.ts';

const model = join(import.meta.dirname, '../../assets/demo/model');

describe('packed rows', () => {
  it('come out as they went in', () => {
    const ids = (...values: number[]): Int32Array => Int32Array.from(values);
    const rows: UnpackedRow[] = [
      { sequences: [{ inputIds: ids(1, 2), labels: ids(-100, 2) }], truncated: false },
      { problem: { rule: 'no-trained-token', path: [], fields: {} } as never },
      undefined,
      {
        sequences: [
          { inputIds: ids(3), labels: ids(3), weights: Float32Array.of(0.5) },
          { inputIds: ids(4, 5, 6), labels: ids(4, 5, 6) },
          { inputIds: ids(7), labels: ids(7), weights: Float32Array.of(2) },
        ],
        truncated: true,
      },
    ];
    expect(unpackRows(packRows(rows))).toEqual(rows);
    expect(unpackRows(packRows([]))).toEqual([]);
  });
});

describe('threads', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'fettle-threads-'));
    const rows = Array.from({ length: 3000 }, (_, row) => ({
      instruction: `Name number ${row}. ${'More of it. '.repeat(row % 7)}`,
      // Some rows are too long, some have no answer.
      output: row % 97 === 96 ? '' : `It is ${row}. ${row % 89 === 88 ? 'word '.repeat(200) : ''}`,
    }));
    await writeFile(join(folder, 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
  });
  afterAll(async () => rm(folder, { recursive: true, force: true }));

  const settings = (workers: number, changes: Partial<DataSettings> = {}): DataSettings & TextSettings => ({
    stage: 'sft',
    dataset: ['rows.jsonl'],
    eval_dataset: [],
    dataset_dir: folder,
    cutoff_len: 100,
    overlong: 'drop',
    bad_rows: 'drop',
    val_size: 0.1,
    preprocessing_num_workers: workers,
    mask_history: false,
    packing: false,
    disable_shuffling: false,
    group_by_length: true,
    data_seed: 42,
    per_device_train_batch_size: 2,
    gradient_accumulation_steps: 1,
    num_train_epochs: 1,
    max_steps: -1,
    model_name_or_path: model,
    adapter_name_or_path: [],
    history_thinking: 'strip',
    train_on_prompt: false,
    ...changes,
  });

  it('decide on neither order nor result', async () => {
    const prepare = async (workers: number) => {
      const own = settings(workers);
      const { encoder } = await openTextTools(own);
      const { plan, contentHash, notices } = await prepareTrainingData(own, encoder);
      return { plan, contentHash, notices };
    };
    const alone = await prepare(1);
    expect(alone.plan.rows_dropped).toEqual({ 'over-length': 33, 'empty-response': 30 });
    expect(await prepare(2)).toEqual(alone);
  });

  it('give what the encoder gives here, and nothing where it throws', async () => {
    const own = settings(2, { cutoff_len: 2048 });
    const { encoder } = await openTextTools(own);
    const pool = new EncodePool(2, { plan: encoder.plan!, settings: own });
    const talk = (content: string): Example => ({
      kind: 'conversation',
      conversation: {
        messages: [
          { role: 'user', content },
          { role: 'assistant', content: 'Yes \ud83d.', weight: 0.5 },
        ],
      },
    });
    const examples = [talk('One?'), talk('Two \u2028 \udc00?'), { kind: 'text', text: 'Text.' } as const];
    const broken = { kind: 'conversation', conversation: {} } as unknown as Example;
    try {
      const [first, second] = await Promise.all([pool.encode(examples), pool.encode([broken])]);
      const here = examples.map((example) => {
        const encoded = encodeExample(example, encoder, own);
        if ('problem' in encoded) throw new Error('no sequences');
        const plain = encoded.sequences.map(({ inputIds, labels, weights }) => ({
          inputIds,
          labels,
          ...(weights && { weights }),
        }));
        return { sequences: plain, truncated: encoded.truncated };
      });
      expect(first).toEqual(here);
      expect(second).toEqual([undefined]);
    } finally {
      await pool.close();
    }
  });
});
