/**
 * Data and model of a trainer for tests of loops, files and processes: the bigram double on synthetic sentences. What it
 * does beyond training (wait, fail, die) stands in FETTLE_TEST_* variables, which reach its process.
 */
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { planBatches, type Sequence } from '../data/index.ts';
import { writePeftAdapter, newPeftConfig } from '../formats/index.ts';
import { runPaths } from '../run/index.ts';
import { bigramEngine } from '../testing/index.ts';
import { hashKey, RandomStream } from '../util/index.ts';
import type { TrainBatch } from './batch-source.ts';
import type { TrainerTools } from './job.ts';

const vocabularySize = 23;

/** Sentences of a little language in which each token has two likely successors. */
export function syntheticSequences(count: number, seed: number): Sequence[] {
  return Array.from({ length: count }, (_, row) => {
    const random = new RandomStream(hashKey('sentence', seed, row));
    const inputIds = new Int32Array(4 + random.nextInt(9));
    inputIds[0] = random.nextInt(vocabularySize);
    for (let t = 1; t < inputIds.length; t++) {
      inputIds[t] = (inputIds[t - 1]! * 3 + (random.next() < 0.8 ? 1 : 7)) % vocabularySize;
    }
    const labels = inputIds.slice();
    labels.fill(-100, 0, 2);
    return { inputIds, labels, row };
  });
}

/** Tools that make the double and its data. */
export function bigramTools(): TrainerTools {
  const environment = process.env;
  const number = (name: string) => Number(environment[name] ?? '0');
  return {
    openBase: async () => ({ files: [] }),
    async prepareData({ config, say }) {
      const rows = syntheticSequences(37, number('FETTLE_TEST_DATA_SEED'));
      const lengths = rows.map(({ inputIds }) => inputIds.length);
      const toBatch = (indices: Iterable<number>): TrainBatch => {
        const sequences = Array.from(indices, (index) => rows[index]!);
        return { sequences, samples: sequences.length };
      };
      say({ type: 'notice', text: 'the data is synthetic' });
      return {
        batchesPerEpoch: Math.ceil(rows.length / config.per_device_train_batch_size),
        batch(epoch, index) {
          const settings = {
            batchSize: config.per_device_train_batch_size,
            groupByLength: config.group_by_length,
            disableShuffling: config.disable_shuffling,
          };
          return toBatch(planBatches(lengths, { ...settings, seed: config.data_seed }, epoch)[index]!);
        },
        evaluation: config.val_size > 0 ? [{ sequences: syntheticSequences(8, 999), samples: 8 }] : [],
        plan: { rows_read: rows.length, total_steps: 'read off the loop' },
        hash: `data of seed ${number('FETTLE_TEST_DATA_SEED')}`,
        save: (folder) => writeFile(join(folder, 'tokenizer.json'), '{}'),
      };
    },
    async createModel({ config }) {
      const failAt = number('FETTLE_TEST_NAN_AT');
      const delay = number('FETTLE_TEST_DELAY_MS');
      const engine = bigramEngine({
        vocabularySize,
        dropout: config.lora_dropout,
        seed: config.seed,
        async beforeBatch({ step, microBatch }) {
          if (delay > 0) await sleep(delay);
          if (failAt > 0 && step + 1 === failAt) engine.parameters[0]!.data.fill(Number.NaN);
          const order = environment[`FETTLE_TEST_ORDER_AT_${step + 1}`];
          if (order !== undefined && microBatch === 0)
            await appendFile(runPaths(config.output_dir!).control, `${order}\n`);
          if (number('FETTLE_TEST_THROW_AT') === step + 1) throw new Error('a defect');
          if (number('FETTLE_TEST_EXIT_AT') === step + 1) process.kill(process.pid, 'SIGKILL');
        },
      });
      return {
        engine,
        plan: [{ name: 'peak_memory_bytes', value: 1e6 }],
        save: async (folder) => {
          if (
            number('FETTLE_TEST_FULL_DISK_AT') > 0 &&
            folder.includes(`-${environment['FETTLE_TEST_FULL_DISK_AT']}-`)
          ) {
            throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
          }
          await writePeftAdapter(
            folder,
            newPeftConfig({
              rank: 8,
              alpha: 16,
              dropout: config.lora_dropout,
              targetModules: ['embed', 'head'],
              modulesToSave: [],
              useRslora: false,
              baseModel: config.model_name_or_path ?? 'bigram',
            }),
            engine.parameters.map(({ name, shape, data }) => ({ name, shape, values: data })),
          );
        },
      };
    },
  };
}
