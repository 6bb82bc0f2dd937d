/**
 * A trainable model small enough for plain JavaScript: the next token from an embedding of the last one, with dropout
 * keyed as the real engine keys it. It stands in for the engine where a test is about the loop, files or processes.
 */
import type { Sequence } from '../data/index.ts';
import type { DropoutKey, LossSums, TrainableTensor, TrainEngine } from '../train/index.ts';
import { hashKey, mix32, RandomStream } from '../util/index.ts';

/** Size and behaviour of the double. */
export interface BigramOptions {
  readonly vocabularySize: number;
  readonly width?: number;
  /** Share of embedding numbers that are dropped in training. */
  readonly dropout?: number;
  readonly seed?: number;
  /** Called before each micro-batch: a test's place to wait, to fail or to count. */
  readonly beforeBatch?: (key: DropoutKey) => Promise<void> | void;
}

function parameter(name: string, shape: readonly [number, number], seed: number): TrainableTensor {
  const random = new RandomStream(hashKey(seed, name));
  const length = shape[0] * shape[1];
  return {
    name,
    shape,
    data: Float32Array.from({ length }, () => 0.3 * random.nextNormal()),
    gradient: new Float32Array(length),
  };
}

/** Creates the double. Its parameters are `embed.weight` f32[V,D] and `head.weight` f32[V,D]. */
export function bigramEngine(options: BigramOptions): TrainEngine {
  const { vocabularySize, width = 8, dropout = 0, seed = 0, beforeBatch } = options;
  const embed = parameter('embed.weight', [vocabularySize, width], seed);
  const head = parameter('head.weight', [vocabularySize, width], seed);

  /** Adds the loss of one label to `sums`, and its gradients where `key` says that it trains. */
  function position(token: number, label: number, weight: number, key: number | undefined): number {
    const hidden = new Float32Array(width);
    const kept = new Float32Array(width).fill(1);
    for (let d = 0; d < width; d++) {
      if (key !== undefined && dropout > 0) {
        kept[d] = mix32(key, d) / 2 ** 32 < dropout ? 0 : 1 / (1 - dropout);
      }
      hidden[d] = embed.data[token * width + d]! * kept[d]!;
    }
    const logits = new Float32Array(vocabularySize);
    for (let v = 0; v < vocabularySize; v++) {
      let sum = 0;
      for (let d = 0; d < width; d++) sum += hidden[d]! * head.data[v * width + d]!;
      logits[v] = sum;
    }
    const largest = logits.reduce((a, b) => Math.max(a, b));
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0);
    if (key !== undefined) {
      for (let v = 0; v < vocabularySize; v++) {
        const error = weight * (Math.exp(logits[v]! - largest) / total - (v === label ? 1 : 0));
        for (let d = 0; d < width; d++) {
          head.gradient[v * width + d]! += error * hidden[d]!;
          embed.gradient[token * width + d]! += error * head.data[v * width + d]! * kept[d]!;
        }
      }
    }
    return weight * (Math.log(total) + largest - logits[label]!);
  }

  function run(batch: readonly Sequence[], key: DropoutKey | undefined): LossSums {
    let lossSum = 0;
    let weightSum = 0;
    for (const [index, { inputIds, labels, weights }] of batch.entries()) {
      for (let t = 1; t < inputIds.length; t++) {
        if (labels[t]! < 0) continue;
        const weight = weights?.[t] ?? 1;
        const random = key === undefined ? undefined : hashKey(key.seed, key.step, key.microBatch, index, t);
        lossSum += position(inputIds[t - 1]!, labels[t]!, weight, random);
        weightSum += weight;
      }
    }
    return { lossSum, weightSum };
  }

  return {
    parameters: [embed, head],
    async accumulate(batch, key, onProgress) {
      await beforeBatch?.(key);
      const sums = run(batch, key);
      onProgress?.(1);
      return sums;
    },
    evaluate: async (batch) => run(batch, undefined),
    release: async () => undefined,
  };
}
