import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { adamw, clipFactor, decaysInFullTuning, globalGradientNorm, schedule, sgd, warmupStepCount } from './index.ts';
import type { OptimizedTensor, Optimizer, ScheduleName } from './index.ts';

interface OptimizerGolden {
  options: { betas?: [number, number]; eps?: number; weight_decay?: number; [key: string]: unknown };
  lr: number;
  start: number[][];
  gradients: number[][][];
  after: number[][][];
}
const goldens = JSON.parse(readFileSync(new URL('../../test/goldens/optim/goldens.json', import.meta.url), 'utf8')) as {
  adamw: OptimizerGolden[];
  sgd: OptimizerGolden[];
  clip: { gradients: number[][]; norm: number; clipped: number[][] };
  schedules: { name: ScheduleName; warmup: number; total: number; lr: number; kwargs: object; rates: number[] }[];
  warmup: { total: number; steps: number; ratio: number; expected: number }[];
};

/** Distance in units of the last place (2^-23) of the larger of the number and what it was before the step. */
function ulps(expected: number, actual: number, before: number): number {
  return Math.abs(expected - actual) / (2 ** -23 * Math.max(Math.abs(expected), Math.abs(before)));
}

function tensorsFor(start: readonly number[][]): OptimizedTensor[] {
  return start.map((values, i) => ({
    name: `t${i}`,
    data: Float32Array.from(values),
    gradient: new Float32Array(values.length),
  }));
}

/** Replays a golden; `reload` puts the state into a new optimiser before every step, as resuming does. */
function worstUlps(
  golden: OptimizerGolden,
  make: (tensors: OptimizedTensor[]) => Optimizer,
  { reload = false, gradientScale = 1 } = {},
): number {
  const tensors = tensorsFor(golden.start);
  let optimizer = make(tensors);
  let worst = 0;
  let before = golden.start;
  for (const [step, gradients] of golden.gradients.entries()) {
    if (reload) {
      const state = new Map(optimizer.state().map(({ name, data }) => [name, data.slice()]));
      const taken = optimizer.stepsTaken;
      optimizer = make(tensors);
      optimizer.restore(taken, state);
    }
    for (const [i, values] of gradients.entries()) tensors[i]!.gradient.set(values.map((g) => g / gradientScale));
    optimizer.step(golden.lr * (1 - step / golden.gradients.length), gradientScale);
    for (const [i, values] of golden.after[step]!.entries()) {
      for (const [j, value] of values.entries())
        worst = Math.max(worst, ulps(value, tensors[i]!.data[j]!, before[i]![j]!));
    }
    before = golden.after[step]!;
  }
  return worst;
}

const adamwOf = (golden: OptimizerGolden) => (tensors: OptimizedTensor[]) =>
  adamw(tensors, {
    ...(golden.options.betas ? { beta1: golden.options.betas[0], beta2: golden.options.betas[1] } : {}),
    ...(golden.options.eps === undefined ? {} : { epsilon: golden.options.eps }),
    weightDecay: golden.options.weight_decay ?? 0,
  });
const sgdOf = (golden: OptimizerGolden) => (tensors: OptimizedTensor[]) => {
  const { weight_decay: weightDecay = 0, ...rest } = golden.options;
  return sgd(tensors, { ...rest, weightDecay });
};

describe('AdamW', () => {
  test.each(goldens.adamw.map((golden, i) => [i, golden] as const))('agrees with torch, case %i', (_, golden) => {
    expect(worstUlps(golden, adamwOf(golden))).toBeLessThanOrEqual(1);
    expect(worstUlps(golden, adamwOf(golden), { reload: true })).toBeLessThanOrEqual(1);
    // A power of two scales without rounding: folding it in must change nothing.
    expect(worstUlps(golden, adamwOf(golden), { gradientScale: 0.25 })).toBeLessThanOrEqual(1);
  });

  test('does not decay what it is told to leave', () => {
    const tensors = tensorsFor([[1], [1]]);
    adamw(tensors, { weightDecay: 0.5, decays: (name) => name === 't0' }).step(0.1, 1);
    expect(tensors.map(({ data }) => data[0])).toEqual([Math.fround(0.95), 1]);
  });

  test('moves nothing at learning rate 0', () => {
    const tensors = tensorsFor([[1, -2, 3]]);
    tensors[0]!.gradient.fill(5);
    adamw(tensors, { weightDecay: 0.5 }).step(0, 1);
    expect([...tensors[0]!.data]).toEqual([1, -2, 3]);
  });

  test('refuses a state of other parameters', () => {
    const optimizer = adamw(tensorsFor([[1, 2]]));
    expect(() => optimizer.restore(1, new Map())).toThrow('optimizer state "exp_avg.t0" must hold 2 numbers, got none');
  });
});

describe('SGD', () => {
  test.each(goldens.sgd.map((golden, i) => [i, golden] as const))('agrees with torch, case %i', (_, golden) => {
    expect(worstUlps(golden, sgdOf(golden))).toBeLessThanOrEqual(1);
    expect(worstUlps(golden, sgdOf(golden), { reload: true })).toBeLessThanOrEqual(1);
  });

  test('refuses Nesterov without momentum', () => {
    expect(() => sgd([], { nesterov: true })).toThrow('nesterov needs a momentum above 0 and no dampening');
  });
});

describe('clipping', () => {
  test('agrees with torch', () => {
    const { gradients, norm, clipped } = goldens.clip;
    const tensors = gradients.map((values) => ({ gradient: Float32Array.from(values) }));
    const ours = globalGradientNorm(tensors);
    expect(Math.abs(ours - norm) / norm).toBeLessThan(1e-6);
    const factor = clipFactor(ours, 1);
    for (const [i, values] of clipped.entries()) {
      for (const [j, value] of values.entries()) expect(gradients[i]![j]! * factor).toBeCloseTo(value, 6);
    }
  });

  test('leaves small gradients alone and is off at 0', () => {
    expect(clipFactor(0.5, 1)).toBe(1);
    expect(clipFactor(50, 0)).toBe(1);
    expect(clipFactor(0, 1)).toBe(1);
  });
});

describe('schedules', () => {
  test.each(goldens.schedules.map((golden) => [golden.name, JSON.stringify(golden.kwargs), golden] as const))(
    '%s %s agrees with transformers',
    (name, _, golden) => {
      const rate = schedule(
        name,
        { learningRate: golden.lr, warmupSteps: golden.warmup, totalSteps: golden.total },
        golden.kwargs as Record<string, unknown>,
      );
      for (const [step, expected] of golden.rates.entries()) {
        expect(Math.abs(rate(step) - expected), `step ${step}`).toBeLessThanOrEqual(1e-12 * golden.lr);
      }
    },
  );

  test.each(goldens.warmup)('warm-up of $steps steps or $ratio of $total', ({ total, steps, ratio, expected }) => {
    expect(warmupStepCount(total, steps, ratio)).toBe(expected);
  });

  test('stay 0 at learning rate 0', () => {
    const rate = schedule('polynomial', { learningRate: 0, warmupSteps: 0, totalSteps: 5 });
    expect([0, 1, 5, 9].map(rate)).toEqual([0, 0, 0, 0]);
  });

  test('refuse arguments that are not of their kind', () => {
    const context = { learningRate: 1, warmupSteps: 0, totalSteps: 5 };
    expect(() => schedule('cosine', context, { num_cycles: 'two' })).toThrow(
      'lr_scheduler_kwargs.num_cycles must be a number, got "two"',
    );
    expect(() => schedule('warmup_stable_decay', context)).toThrow('num_decay_steps must be given');
  });
});

test('full tuning leaves norms and biases undecayed', () => {
  const names = ['model.embed_tokens.weight', 'model.layers.0.self_attn.q_proj.weight', 'lm_head.weight'];
  expect(names.map(decaysInFullTuning)).toEqual([true, true, true]);
  const left = [
    'model.norm.weight',
    'model.layers.0.input_layernorm.weight',
    'x.q_proj.bias',
    'layers.0.q_norm.weight',
  ];
  expect(left.map(decaysInFullTuning)).toEqual([false, false, false, false]);
});
