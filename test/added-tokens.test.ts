/**
 * Tokens that a run adds: their rows start near the mean, are trained, stand in the adapter as PEFT has them, and are
 * part of the merged model, whose loss is that of the adapter.
 */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { configFromOptions, type FettleOptions } from '../src/config/index.ts';
import { type Sequence, openTextTools } from '../src/data/index.ts';
import { exportModel } from '../src/export/index.ts';
import { withVocabularyRows } from '../src/checkpoint/index.ts';
import { float32 } from '../src/runtime/index.ts';
import { startValues } from '../src/train/start-values.ts';
import { fullMethod, loraMethod } from '../src/tuning/index.ts';
import { batchLogits } from './support/logits.ts';
import { readParityGolden } from './support/parity-golden.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from './support/parity-model.ts';
import { openGenerator } from '../src/generate/index.ts';
import { readModel } from '../src/models/index.ts';
import { decodeBase64Floats, largestDifference, tinyWeight, writeTinyModel } from '../src/testing/index.ts';
import { createEngine, prepareTuning } from '../src/train/create-engine.ts';
import type { TrainEngine } from '../src/train/engine.ts';

const demo = fileURLToPath(new URL('../assets/demo/model', import.meta.url));
const vocabularySize = 1536;
const width = 16;
const batch = { rows: 2, longest: 16, tokens: 32, labelled: 32 };

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fettle-tokens-'));
});
afterAll(async () => rm(folder, { recursive: true, force: true }));

async function writeModel(name: string, tied: boolean, modelType = 'llama'): Promise<string> {
  const path = join(folder, name);
  const config = {
    model_type: modelType,
    vocab_size: vocabularySize,
    hidden_size: width,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    max_position_embeddings: 64,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: tied,
    dtype: 'float32',
  };
  const { parameters } = readModel(join(path, 'config.json'), config);
  await writeTinyModel(path, { seed: 3, config, shapes: new Map(parameters.map((one) => [one.name, one.shape])) });
  for (const file of ['tokenizer.json', 'tokenizer_config.json']) await copyFile(join(demo, file), join(path, file));
  return path;
}

const rowOf = (ids: readonly number[]): Sequence => ({
  inputIds: Int32Array.from(ids),
  labels: Int32Array.from(ids),
  row: 0,
});
const rows = [rowOf([1, 307, 1536, 60, 1537, 2]), rowOf([1537, 1536, 77, 2])];

async function withEngine<T>(
  options: FettleOptions,
  use: (engine: TrainEngine, save: (to: string) => Promise<void>) => Promise<T>,
) {
  const { config } = configFromOptions({ loraRank: 2, threads: 1, seed: 5, ...options });
  const setup = await prepareTuning(config, () => false);
  const { engine } = await createEngine(config, setup, batch);
  try {
    return await use(engine, async (to) => {
      await setup.save(to, engine);
      await (await openTextTools(config)).save(to);
    });
  } finally {
    await engine.release();
  }
}
const lossOf = async (engine: TrainEngine): Promise<number> => {
  const { lossSum, weightSum } = await engine.evaluate(rows);
  return lossSum / weightSum;
};

describe.each([
  ['tied', true, 'llama'],
  ['untied', false, 'llama'],
  ['untied, with a bias', false, 'phi'],
  ['tied, with a bias', true, 'phi'],
] as const)('a model whose output layer is %s', (name, tied, modelType) => {
  const added = ['<good>', '<bad>'];
  let model: string;
  beforeAll(async () => {
    model = await writeModel(name, tied, modelType);
  });
  const modules = tied ? ['model.embed_tokens'] : ['model.embed_tokens', 'lm_head'];

  // beside a bias of the output layer whole tables move
  if (modelType === 'llama') {
    it('trains rows of LoRA runs; adapter, continued adapter and merged model have one loss', async () => {
      const adapter = join(folder, `adapter-${name}`);
      const loss = await withEngine({ modelNameOrPath: model, addTokens: added }, async (engine, save) => {
        await engine.accumulate(rows, { seed: 1, step: 0, microBatch: 0 });
        const deltas = engine.parameters.filter(({ name: of }) => of.endsWith('trainable_tokens_delta'));
        expect(deltas.map(({ name: of, shape }) => [of, shape])).toEqual(
          modules.map((module) => [`${module}.token_adapter.trainable_tokens_delta`, [2, width]]),
        );
        for (const { data, gradient } of deltas) {
          const spread = Math.hypot(...data) / Math.sqrt(data.length);
          // Noise of deviation 1 / sqrt(16) around a mean near 0.
          expect(spread).toBeGreaterThan(0.15);
          expect(spread).toBeLessThan(0.4);
          expect(Math.hypot(...gradient)).toBeGreaterThan(1e-4);
          for (let i = 0; i < data.length; i++) data[i]! -= 0.5 * gradient[i]!;
        }
        await save(adapter);
        return lossOf(engine);
      });
      const written = JSON.parse(await readFile(join(adapter, 'adapter_config.json'), 'utf8')) as object;
      const ids = [vocabularySize, vocabularySize + 1];
      expect(written).toMatchObject({
        trainable_token_indices: tied ? { embed_tokens: ids } : { embed_tokens: ids, lm_head: ids },
      });
      const again = await withEngine({ modelNameOrPath: model, adapterNameOrPath: [adapter] }, lossOf);
      expect(again).toBe(loss);
      const sameKeys = { modelNameOrPath: model, adapterNameOrPath: [adapter], addTokens: added };
      expect(await withEngine(sameKeys, lossOf)).toBe(loss);
      const merged = join(folder, `merged-${name}`);
      await exportModel({ model, adapters: [adapter], exportDir: merged });
      expect(JSON.parse(await readFile(join(merged, 'config.json'), 'utf8'))).toMatchObject({ vocab_size: 1538 });
      expect(await withEngine({ modelNameOrPath: merged }, lossOf)).toBeCloseTo(loss, 5);

      const answer = async (path: string, adapters: string[]): Promise<readonly number[]> => {
        const { config } = configFromOptions({
          modelNameOrPath: path,
          adapterNameOrPath: adapters,
          doSample: false,
          maxNewTokens: 6,
          threads: 1,
        });
        const generator = await openGenerator(config);
        try {
          return (await generator.answer(generator.rawIds('<good> a <bad>'))).ids;
        } finally {
          await generator.release();
        }
      };
      expect(await answer(model, [adapter])).toEqual(await answer(merged, []));
    });
  }

  it('trains whole tables of LoRA runs, in segments too', async () => {
    const adapter = join(folder, `tables-${name}`);
    // beside a bias of the output layer they move as a whole without being asked for
    const asked = modelType === 'phi' ? {} : { additionalTarget: ['model.embed_tokens', 'lm_head'] };
    const options = { modelNameOrPath: model, addTokens: added, ...asked };
    const loss = await withEngine({ ...options, gradientCheckpointing: true }, async (engine, save) => {
      await engine.accumulate(rows, { seed: 1, step: 0, microBatch: 0 });
      await save(adapter);
      return lossOf(engine);
    });
    const written = JSON.parse(await readFile(join(adapter, 'adapter_config.json'), 'utf8')) as object;
    const embedding = modelType === 'phi' ? 'embed_tokens' : 'model.embed_tokens';
    expect(written).toMatchObject({ modules_to_save: [embedding, 'lm_head'] });
    expect(await withEngine({ modelNameOrPath: model, adapterNameOrPath: [adapter] }, lossOf)).toBeCloseTo(loss, 5);
    const merged = join(folder, `merged-tables-${name}`);
    await exportModel({ model, adapters: [adapter], exportDir: merged });
    expect(await withEngine({ modelNameOrPath: merged }, lossOf)).toBeCloseTo(loss, 5);
  });

  it('grows the matrices of full tuning', async () => {
    const tuned = join(folder, `full-${name}`);
    const options: FettleOptions = { modelNameOrPath: model, addTokens: added, finetuningType: 'full' };
    const loss = await withEngine(options, async (engine, save) => {
      await save(tuned);
      return lossOf(engine);
    });
    expect(await withEngine({ modelNameOrPath: tuned, finetuningType: 'full' }, lossOf)).toBe(loss);
  });
});

describe('tokens added to a model whose output layer has a bias, as transformers has it', () => {
  interface Golden {
    readonly case: string;
    readonly ids: readonly number[];
    readonly newIds: readonly number[];
    readonly newBias: readonly number[];
    readonly logits: string;
  }
  const read = async (): Promise<Golden> =>
    JSON.parse(await readFile(new URL('goldens/added-tokens.json', import.meta.url), 'utf8')) as Golden;

  it('gives the logits of the same rows, and the bias of resize_token_embeddings', async () => {
    const golden = await read();
    const base = readParityGolden(golden.case);
    const opened = await openTinyModel(base, base.legacyConfig);
    try {
      const rowsOf = golden.newIds;
      const folderWithRows = withVocabularyRows(opened, rowsOf.at(-1)! + 1);
      const method = loraMethod(folderWithRows.model, opened.stored, {
        dropout: 0,
        modules: [],
        savedModules: [],
        tokenRows: { embedding: rowsOf, output: rowsOf, newIds: rowsOf },
      });
      const rowsFeed = Object.fromEntries(
        method.trainables.map(({ name, shape }) => {
          const module = name.includes('lm_head') ? 'lm_head' : 'embed_tokens';
          return [name, float32(tinyWeight(base.weights.seed, `${module}.new_rows.weight`, shape), shape)];
        }),
      );
      const logits = await batchLogits(folderWithRows, method, [rowOf(golden.ids)], rowsFeed, testCompileOptions);
      expect(largestDifference(logits, decodeBase64Floats(golden.logits))).toBeLessThan(1e-4);

      const full = fullMethod(folderWithRows.model, opened.stored);
      const bias = full.trainables.find(({ name }) => name === 'lm_head.bias')!;
      const values = await startValues(folderWithRows, bias, 1);
      expect(largestDifference(values.subarray(rowsOf[0]), golden.newBias)).toBeLessThan(1e-6);
    } finally {
      await removeTinyModel(opened);
    }
  });
});

describe('what is refused', () => {
  let model: string;
  beforeAll(async () => {
    model = await writeModel('refused', true);
  });
  const refusal = async (options: FettleOptions): Promise<string> =>
    withEngine({ modelNameOrPath: model, ...options }, async (engine) => String(await lossOf(engine))).catch(
      (error: unknown) => (error as Error).message.replaceAll(folder, 'DIR'),
    );

  it('ids that the model has no rows for, one table alone, and tokens on an adapter that is continued', async () => {
    expect(await refusal({})).toBe(
      "model: token ids must lie below the model's vocab_size 1536, got 1536 from the tokenizer. Set resize_vocab: true to train rows for the others",
    );
    expect(await refusal({ addTokens: ['<x>', '<y>'], additionalTarget: ['lm_head'] })).toBe(
      'additional_target: with added tokens, embedding and output layer must both move as a whole or both not, got lm_head alone. Add model.embed_tokens, or leave both out: the rows of new tokens are trained anyway',
    );
    const adapter = join(folder, 'plain');
    await withEngine({ modelNameOrPath: model }, (_, save) => save(adapter));
    expect(await refusal({ addTokens: ['<x>'], adapterNameOrPath: [adapter] })).toBe(
      'add_tokens: tokens can be added to a base model only, got an adapter to continue (DIR/plain). Merge it first (fettle export), or set create_new_adapter: true',
    );
  });

  it('not a tokenizer that has more tokens than the model, with resize_vocab', async () => {
    const file = join(model, 'tokenizer.json');
    const json = JSON.parse(await readFile(file, 'utf8')) as { added_tokens: object[] };
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
    for (const [i, content] of ['<x>', '<y>'].entries()) {
      json.added_tokens.push({ id: vocabularySize + i, content, ...flags });
    }
    await writeFile(file, JSON.stringify(json));
    expect(Number(await refusal({ resizeVocab: true }))).toBeGreaterThan(1);
  });
});
