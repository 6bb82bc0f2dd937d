/** What the engine does with rows: adapters side by side, forks, going back, prompts taken over, and departures. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FittedAdapter } from '../checkpoint/index.ts';
import { openTinyModel, removeTinyModel, testCompileOptions } from '../../test/support/parity-model.ts';
import { readParityGolden } from '../../test/support/parity-golden.ts';
import { tinyWeight } from '../testing/index.ts';
import { frozenMethod, loraMethod, loraNames, targetModules } from '../tuning/index.ts';
import { generate, type Generation, type GenerationRequest, type TokenChooser } from './answers.ts';
import { Decoder, promptPiece } from './decoder.ts';
import { DecodingEngine } from './engine.ts';
import { greedySampling } from './sampling.ts';
import { scoreTokens } from './score.ts';

const golden = readParityGolden('llama-grouped-tied');
const vocabulary = 96;
let folder: Awaited<ReturnType<typeof openTinyModel>>;
let decoder: Decoder;

beforeAll(async () => {
  folder = await openTinyModel(golden, golden.config);
  decoder = await Decoder.create(folder, frozenMethod(folder.stored), new Map(), testCompileOptions);
});
afterAll(async () => {
  await decoder.release();
  await removeTinyModel(folder);
});

const ask = (promptIds: readonly number[], more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  promptIds,
  maxNewTokens: 8,
  stopIds: new Set(),
  sampling: greedySampling,
  topLogprobs: 1,
  ...more,
});
const answer = async (engine: DecodingEngine, request: GenerationRequest): Promise<Generation> =>
  (await generate(engine, request).done)[0]!;
const promptOf = (length: number, seed: number): number[] =>
  Array.from({ length }, (_, i) => (i * (3 + seed) + seed * 7 + 1) % vocabulary);

/** An adapter in memory, not small, so that it changes the text. */
function adapterOf(seed: number, rank: number, targets: readonly string[]): FittedAdapter {
  const modules = targetModules(folder.model, targets).map((module) => ({ ...module, rank, scale: 1.5 }));
  const values = new Map<string, Float32Array>();
  for (const { name, inputs, outputs } of modules) {
    const { a, b } = loraNames(name);
    values.set(
      a,
      tinyWeight(seed, a, [rank, inputs]).map((value) => value * 3),
    );
    values.set(
      b,
      tinyWeight(seed, b, [outputs, rank]).map((value) => value * 3),
    );
  }
  const tokenRows = { embedding: [], output: [], newIds: [] };
  const config = {} as FittedAdapter['config'];
  return {
    folder: `adapter ${seed}`,
    config,
    modules,
    savedModules: [],
    tokenRows,
    vocabularySize: vocabulary,
    values,
  };
}

describe('adapters', () => {
  it('rows of different adapters and of the base share steps, each as it is alone', async () => {
    const adapters = { one: adapterOf(1, 4, ['q_proj', 'down_proj']), two: adapterOf(2, 3, ['all']) };
    const prompts = [3, 9, 20].map((length, i) => promptOf(length, i));
    const expected: Generation[] = [];
    for (const [i, fitted] of [undefined, adapters.one, adapters.two].entries()) {
      const own = fitted
        ? loraMethod(folder.model, folder.stored, {
            dropout: 0,
            modules: fitted.modules,
            savedModules: [],
            tokenRows: { embedding: [], output: [], newIds: [] },
          })
        : frozenMethod(folder.stored);
      const fixed = new Map(
        own.trainables.map(({ name, shape }) => [name, { shape, values: fitted!.values.get(name)! }]),
      );
      const alone = await Decoder.create(folder, own, fixed, testCompileOptions);
      expected.push(await answer(new DecodingEngine(alone, { maxRows: 1 }), ask(prompts[i]!)));
      await alone.release();
    }
    expect(expected[1]!.ids).not.toEqual(expected[0]!.ids);

    const engine = new DecodingEngine(decoder, { maxRows: 8 });
    await engine.loadAdapter('one', adapters.one);
    await engine.loadAdapter('two', adapters.two);
    const mixed = await Promise.all([
      answer(engine, ask(prompts[0]!)),
      answer(engine, ask(prompts[1]!, { adapter: 'one' })),
      answer(engine, ask(prompts[2]!, { adapter: 'two' })),
    ]);
    expect(mixed.map(({ ids }) => ids)).toEqual(expected.map(({ ids }) => ids));
    mixed.forEach(({ logprobs }, i) =>
      logprobs.forEach(({ logprob }, t) => expect(logprob).toBeCloseTo(expected[i]!.logprobs[t]!.logprob, 5)),
    );
    // alone among the loaded ones: to the bit
    const only = new DecodingEngine(decoder, { maxRows: 1 });
    expect(await answer(only, ask(prompts[1]!, { adapter: 'one' }))).toEqual(mixed[1]);

    await engine.unloadAdapter('one');
    expect(await answer(engine, ask(prompts[2]!, { adapter: 'two' }))).toEqual(mixed[2]);
    await expect(answer(engine, ask(prompts[1]!, { adapter: 'one' }))).rejects.toMatchObject({
      code: 'adapter-unknown',
    });
    await engine.unloadAdapter('two');
    expect((await answer(engine, ask(prompts[0]!))).ids).toEqual(expected[0]!.ids);
  });

  it('refuses one that holds more than matrices', async () => {
    const engine = new DecodingEngine(decoder, { maxRows: 1 });
    const whole = { ...adapterOf(1, 2, ['q_proj']), savedModules: ['lm_head'] };
    await expect(engine.loadAdapter('whole', whole)).rejects.toMatchObject({ code: 'adapter-beside' });
  });
});

describe('several answers', () => {
  it('share their prompt and are drawn each with its own numbers', async () => {
    const engine = new DecodingEngine(decoder, { maxRows: 4 });
    const sampling = { ...greedySampling, doSample: true, temperature: 2, seed: 4 };
    const prompt = promptOf(30, 1);
    const answers = await generate(engine, ask(prompt, { sampling, answers: 3, draw: 5 })).done;
    expect(new Set(answers.map(({ ids }) => ids.join())).size).toBe(3);
    // beside others, and the first answers of more answers, they are the same
    const [again] = await Promise.all([
      generate(engine, ask(prompt, { sampling, answers: 4, draw: 5, maxNewTokens: 6 })).done,
      generate(engine, ask(promptOf(3, 2), { sampling, answers: 2 })).done,
    ]);
    expect(again.slice(0, 3).map(({ ids }) => ids)).toEqual(answers.map(({ ids }) => ids.slice(0, 6)));
  });

  it('more answers than rows run alone', async () => {
    const engine = new DecodingEngine(decoder, { maxRows: 2 });
    const [many, one] = await Promise.all([
      generate(engine, ask(promptOf(5, 1), { answers: 5 })).done,
      generate(engine, ask(promptOf(5, 1))).done,
    ]);
    expect(many.map(({ ids }) => ids)).toEqual(Array(5).fill(one[0]!.ids));
  });
});

it('a chooser goes back, and what follows is what follows those tokens', async () => {
  const engine = new DecodingEngine(decoder, { maxRows: 2 });
  const prompt = promptOf(12, 3);
  const told: number[] = [];
  // writes 7 7 7, takes the last two back, then goes on greedily
  let isBack = false;
  const script: TokenChooser = {
    choose: ({ history, logits }) => {
      if (isBack) return { token: logits.indexOf(Math.max(...logits)) };
      if (history.ids.length < 3) return { token: 7, certain: 1 };
      isBack = true;
      return { token: 11, keep: 1 };
    },
  };
  const result = await answer(
    engine,
    ask(prompt, {
      chooser: () => script,
      onTokens: (_, ids) => {
        told.push(...ids);
      },
    }),
  );
  expect(result.ids.slice(0, 2)).toEqual([7, 11]);
  expect(told).toEqual(result.ids);
  const [scored] = await scoreTokens(engine, [{ ids: [...prompt, ...result.ids], from: prompt.length + 2 }]);
  expect(scored!.isGreedy).toEqual(Array(6).fill(true));
  result.logprobs.slice(2).forEach(({ logprob }, i) => expect(logprob).toBeCloseTo(scored!.logprobs[i]!, 5));
});

describe('prompts taken over', () => {
  const counted = (): { engine: (reuse: 'exact' | 'all') => DecodingEngine; tokens: () => number } => {
    let tokens = 0;
    const counting = new Proxy(decoder, {
      get(target, name) {
        const value = Reflect.get(target, name, target) as unknown;
        if (name === 'extend') {
          return (first: number, pieces: readonly ArrayLike<number>[], ...rest: []) => {
            tokens += pieces.reduce((sum, { length }) => sum + length, 0);
            return target.extend(first, pieces, ...(rest as unknown as [() => void]));
          };
        }
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
    return {
      engine: (reuse) => new DecodingEngine(counting, { maxRows: 2, reuse }),
      tokens: () => {
        const sum = tokens;
        tokens = 0;
        return sum;
      },
    };
  };

  it('all: a second turn computes only what is new; sessions do not drive each other out', async () => {
    const { engine: make, tokens } = counted();
    const engine = make('all');
    const sessions = [promptOf(40, 1), promptOf(30, 2), promptOf(35, 3), promptOf(20, 4)];
    const first: Generation[] = [];
    for (const prompt of sessions) first.push(await answer(engine, ask(prompt)));
    expect(tokens()).toBe(125);
    const other = await Decoder.create(folder, frozenMethod(folder.stored), new Map(), testCompileOptions);
    const fresh = new DecodingEngine(other, { maxRows: 1 });
    for (const [i, prompt] of sessions.entries()) {
      const turn = [...prompt, ...first[i]!.ids, 5, 6];
      tokens();
      const taken = await answer(engine, ask(turn));
      // the answer's last token was never run
      expect(tokens()).toBe(3);
      expect(taken.ids).toEqual((await answer(fresh, ask(turn))).ids);
    }
    await fresh.release();
  });

  it('exact: whole pieces of prompts only, and the same to the bit', async () => {
    const { engine: make, tokens } = counted();
    const engine = make('exact');
    const prompt = promptOf(promptPiece + 20, 1);
    const first = await answer(engine, ask(prompt));
    await answer(engine, ask(promptOf(9, 5)));
    tokens();
    expect(await answer(engine, ask(prompt))).toEqual(first);
    expect(tokens()).toBe(20);
  });
});

describe('departures', () => {
  it('an aborted request leaves, others go on unchanged', async () => {
    const engine = new DecodingEngine(decoder, { maxRows: 3 });
    const alone = await answer(engine, ask(promptOf(6, 2)));
    const controller = new AbortController();
    const prompts = [promptOf(4, 1), promptOf(6, 2), promptOf(8, 3)];
    const [gone, stays] = await Promise.all([
      answer(
        engine,
        ask(prompts[0]!, {
          maxNewTokens: 500,
          signal: controller.signal,
          onTokens: (_, ids) => {
            if (ids.length > 0) controller.abort();
          },
        }),
      ),
      answer(engine, ask(prompts[1]!)),
      answer(engine, ask(prompts[2]!)),
    ]);
    expect(gone.finishReason).toBe('aborted');
    expect(gone.ids.length).toBeLessThan(5);
    expect(stays).toEqual(alone);
    expect(engine.load).toEqual({ rows: 0, waiting: 0 });
  });

  it('what a strategy throws ends its request only', async () => {
    const engine = new DecodingEngine(decoder, { maxRows: 3 });
    const broken = generate(
      engine,
      ask(promptOf(4, 1), {
        onTokens: () => {
          throw new TypeError('told');
        },
      }),
    ).done;
    const [first] = await Promise.all([answer(engine, ask(promptOf(6, 2))), expect(broken).rejects.toThrow('told')]);
    expect(first.ids).toHaveLength(8);
  });

  it('a long prompt is computed in pieces while others write', async () => {
    const engine = new DecodingEngine(decoder, { maxRows: 3 });
    const order: string[] = [];
    const tell = (name: string) => () => {
      order.push(name);
    };
    await Promise.all([
      answer(engine, ask(promptOf(5, 1), { onTokens: tell('short') })),
      answer(engine, ask(promptOf(3 * promptPiece + 9, 2), { onTokens: tell('long') })),
    ]);
    expect(order.indexOf('long')).toBeGreaterThan(3);
    expect(order.filter((name) => name === 'long')).toHaveLength(8);
  });
});
