/**
 * Greedy text equals that of transformers' generate: twenty prompts on every family, f32, one at a time and eight at once, as
 * bench/parity/record.py --greedy recorded it (prompts whose two most probable tokens came closer than rounding are left out).
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Decoder, DecodingEngine, generate, greedySampling } from '../src/generate/index.ts';
import { modelTypes } from '../src/models/index.ts';
import { frozenMethod } from '../src/tuning/index.ts';
import { readParityGolden } from './support/parity-golden.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from './support/parity-model.ts';

interface GreedyGolden {
  readonly cases: readonly {
    readonly case: string;
    /** 1: no token comes twice. Tiny models that mostly say the last token again are recorded so, too. */
    readonly noRepeatNgramSize: number;
    readonly prompts: readonly (readonly number[])[];
    readonly ids: readonly (readonly number[])[];
  }[];
}

const golden = JSON.parse(
  readFileSync(fileURLToPath(new URL('goldens/greedy.json', import.meta.url)), 'utf8'),
) as GreedyGolden;

it('every family is there', () => {
  const recorded = golden.cases.map(({ case: name }) => readParityGolden(name).legacyConfig['model_type']);
  expect(new Set(recorded)).toEqual(new Set(modelTypes));
});

it('of every case most answers hang on what was attended to: they say more than one token again', () => {
  const varied = new Map<string, number>();
  for (const { case: name, ids } of golden.cases) {
    const count = ids.filter((answer) => new Set(answer).size > 1).length;
    varied.set(name, Math.max(count, varied.get(name) ?? 0));
  }
  for (const [name, count] of varied) expect(count, name).toBeGreaterThanOrEqual(15);
});

describe.each(golden.cases)('$case, n-grams that come once: $noRepeatNgramSize', ({ case: name, ...recorded }) => {
  const { prompts, ids, noRepeatNgramSize } = recorded;
  const sampling = { ...greedySampling, noRepeatNgramSize };
  it('twenty prompts, batch 1 and 8', async () => {
    expect(prompts).toHaveLength(20);
    const parity = readParityGolden(name);
    const opened = await openTinyModel(parity, parity.config);
    const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
    try {
      for (const maxRows of [1, 8]) {
        const engine = new DecodingEngine(decoder, { maxRows });
        const answers = prompts.map((promptIds, i) =>
          generate(engine, { promptIds, maxNewTokens: ids[i]!.length, stopIds: new Set(), sampling }),
        );
        const generations = await Promise.all(answers.map(({ done }) => done));
        expect(generations.map(([generation]) => generation!.ids)).toEqual(ids);
      }
    } finally {
      await decoder.release();
      await removeTinyModel(opened);
    }
  });
});
