/**
 * Beam search, penalties, n-grams, token bias and least length give what transformers' generate gives on tiny models, as
 * bench/decode/record.py recorded it.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type BeamSettings, Decoder, DecodingEngine, generate, greedySampling } from '../src/generate/index.ts';
import { frozenMethod } from '../src/tuning/index.ts';
import { readParityGolden } from './support/parity-golden.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from './support/parity-model.ts';

interface Recorded {
  readonly case: string;
  readonly options: {
    readonly num_beams?: number;
    readonly num_return_sequences?: number;
    readonly early_stopping?: BeamSettings['earlyStopping'];
    readonly length_penalty?: number;
    readonly repetition_penalty?: number;
    readonly no_repeat_ngram_size?: number;
    readonly min_new_tokens?: number;
    readonly bias?: Readonly<Record<string, number>>;
  };
  readonly prompt: readonly number[];
  readonly eos: readonly number[];
  readonly answers: readonly (readonly number[])[];
}

const golden = JSON.parse(readFileSync(fileURLToPath(new URL('goldens/generation.json', import.meta.url)), 'utf8')) as {
  readonly made: { readonly newTokens: number };
  readonly records: readonly Recorded[];
};

const names = [...new Set(golden.records.map((record) => record.case))];

describe.each(names)('%s', (name) => {
  const records = golden.records.filter((record) => record.case === name);

  it('answers as recorded, alone and all at once', async () => {
    const parity = readParityGolden(name);
    const opened = await openTinyModel(parity, parity.config);
    const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
    try {
      for (const maxRows of [1, 12]) {
        const engine = new DecodingEngine(decoder, { maxRows });
        const found = await Promise.all(
          records.map(async ({ options, prompt, eos }) => {
            const generations = await generate(engine, {
              promptIds: prompt,
              maxNewTokens: golden.made.newTokens,
              stopIds: new Set(eos),
              answers: options.num_return_sequences ?? 1,
              sampling: {
                ...greedySampling,
                repetitionPenalty: options.repetition_penalty ?? 1,
                noRepeatNgramSize: options.no_repeat_ngram_size ?? 0,
                minNewTokens: options.min_new_tokens ?? 0,
                tokenBias: new Map(Object.entries(options.bias ?? {}).map(([id, bias]) => [Number(id), bias])),
              },
              ...(options.num_beams === undefined
                ? {}
                : {
                    beams: {
                      beams: options.num_beams,
                      lengthPenalty: options.length_penalty ?? 1,
                      earlyStopping: options.early_stopping ?? false,
                    },
                  }),
            }).done;
            return { options, prompt, answers: generations.map(({ ids }) => ids) };
          }),
        );
        expect(found).toEqual(records.map(({ options, prompt, answers }) => ({ options, prompt, answers })));
      }
    } finally {
      await decoder.release();
      await removeTinyModel(opened);
    }
  });
});
