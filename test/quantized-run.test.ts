/**
 * A run on weights in 4 and 8 bits from its YAML to its adapter, on the demo model: codes are made once and mapped at the next
 * start, a stopped run ends in the bytes of one that was not stopped, the plan holds before anything is quantised, and the
 * adapter loads and is merged into the full-precision weights.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { loadConfig } from '../src/config/index.ts';
import { exportModel, quantizedBase } from '../src/export/index.ts';
import type { RunKeeper, TrainEvent } from '../src/run/index.ts';
import { planTraining } from '../src/train/index.ts';
import { serveTraining } from '../src/train/trainer.ts';
import { trainerTools } from '../src/train/trainer-tools.ts';

const demo = fileURLToPath(new URL('../assets/demo/', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-quantized-run-'));
  vi.stubEnv('FETTLE_CACHE', join(folder, 'cache'));
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const noKeeper = async (run: string): Promise<RunKeeper> => {
  let record = {};
  return {
    async write(change) {
      record = { ...record, ...change };
      await mkdir(run, { recursive: true });
      await writeFile(join(run, 'run.json'), JSON.stringify(record));
    },
    note(change) {
      record = { ...record, ...change };
    },
    close: async () => undefined,
  };
};

async function configOf(name: string, keys: string) {
  const file = join(folder, `${name}.yaml`);
  await writeFile(
    file,
    `model_name_or_path: ${join(demo, 'model')}
dataset_dir: ${join(demo, 'data')}
dataset: sentiment_train
max_samples: 24
output_dir: ${join(folder, name)}
lora_rank: 4
lora_dropout: 0.1
per_device_train_batch_size: 2
max_steps: 4
save_steps: 2
logging_steps: 1
learning_rate: 0.01
plot_loss: false
threads: 1
${keys}`,
  );
  return loadConfig({ file }).config;
}

async function train(name: string, keys: string, stopAfter = Infinity): Promise<TrainEvent[]> {
  const config = await configOf(name, keys);
  const heard: TrainEvent[] = [];
  let asked = 0;
  await serveTraining(
    { tools: trainerTools(), versions: {}, openKeeper: noKeeper },
    { type: 'start', folder: config.output_dir!, config, given: [], owner: null },
    {
      tell(message) {
        if (message.type === 'error') throw new Error(JSON.stringify(message.error));
        if (message.type === 'event') heard.push(message.event);
      },
      stopRequested: () => ++asked > stopAfter,
    },
  );
  return heard;
}

async function codesFiles(): Promise<string[]> {
  const names = await readdir(join(folder, 'cache', 'quantized')).catch((): string[] => []);
  return names.filter((name) => name.endsWith('.safetensors'));
}

describe.each([
  ['nf4', 'quantization_bit: 4'],
  ['fp4', 'quantization_bit: 4\nquantization_type: fp4\ndouble_quantization: false'],
  ['int8', 'quantization_bit: 8'],
] as const)('%s', (name, keys) => {
  it('trains, resumes to the byte, and uses the codes of the first start', async () => {
    const before = await codesFiles();
    const planned = await planTraining(await configOf(`${name}-plan`, keys));
    expect(await codesFiles()).toEqual(before);
    const plain = await planTraining(await configOf(`${name}-plain`, ''));
    expect(planned.weights_bytes).toBeLessThan(plain.weights_bytes);

    await train(name, keys);
    const made = (await codesFiles()).filter((file) => !before.includes(file));
    expect(made).toHaveLength(1);
    const path = join(folder, 'cache', 'quantized', made[0]!);
    const { mtimeMs, size } = await stat(path);
    // The plan counted these weights, before they were there: their names and settings are all that the file has more.
    expect(size).toBeLessThan(plain.weights_bytes);

    await train(`${name}-stopped`, keys, 2);
    await train(`${name}-stopped`, keys);
    expect((await stat(path)).mtimeMs).toBe(mtimeMs);
    expect((await codesFiles()).length).toBe(before.length + 1);
    const adapter = (run: string): Promise<Buffer> => readFile(join(folder, run, 'adapter_model.safetensors'));
    expect((await adapter(`${name}-stopped`)).equals(await adapter(name))).toBe(true);
  });

  it('is known as such when its adapter is merged, from the run and from a checkpoint of it', async () => {
    const bits = name === 'int8' ? 8 : 4;
    for (const adapter of [join(folder, name), join(folder, name, 'checkpoint-2')]) {
      const base = await quantizedBase(join(demo, 'model'), [adapter]);
      expect(base?.bits).toBe(bits);
      // NF4 and FP4 of bell-shaped weights: about a tenth; int8 per row: under a hundredth.
      expect(base!.relativeError).toBeGreaterThan(bits === 4 ? 0.05 : 0.001);
      expect(base!.relativeError).toBeLessThan(bits === 4 ? 0.2 : 0.03);
    }
    const merged = await exportModel({
      model: join(demo, 'model'),
      adapters: [join(folder, name)],
      exportDir: join(folder, `${name}-merged`),
    });
    expect(merged.changedTensors).toBeGreaterThan(0);
  });
});

it('an adapter of a plain run is not taken for one', async () => {
  await train('plain', 'lora_alpha: 4');
  expect(await quantizedBase(join(demo, 'model'), [join(folder, 'plain')])).toBeUndefined();
});
