/** Reads what bench/parity/record.py recorded. */
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TensorDigest } from '../../src/testing/index.ts';

const folder = fileURLToPath(new URL('../goldens/parity/', import.meta.url));

export interface GoldenRow {
  readonly ids: readonly number[];
  readonly labels: readonly number[];
}

/** Gradients of one batch in float64: loss = sum of cross-entropy / trained tokens. */
export interface GoldenGradients<T> {
  readonly loss: number;
  readonly trainedTokens: number;
  readonly gradients: Readonly<Record<string, T>>;
}

/** Fifty steps of torch's AdamW in float32. */
export interface GoldenTraining {
  readonly losses: readonly number[];
  readonly gradNorms: readonly number[];
  readonly final: Readonly<Record<string, TensorDigest>>;
}

export interface GoldenOptimiser {
  readonly learning_rate: number;
  readonly weight_decay: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly max_grad_norm: number;
}

export interface ParityGolden {
  readonly case: string;
  /** config.json as written before transformers 5, and by transformers 5. */
  readonly legacyConfig: Readonly<Record<string, unknown>>;
  readonly config: Readonly<Record<string, unknown>>;
  readonly shards: number;
  readonly weights: {
    readonly seed: number;
    readonly shapes: Readonly<Record<string, readonly number[]>>;
    readonly checksum: number;
  };
  readonly rows: readonly GoldenRow[];
  /** f32[T,V] of each row in base64, computed in float64. */
  readonly logits: { readonly rows: readonly string[] };
  readonly greedy: { readonly prompt: readonly number[]; readonly ids: readonly number[] };
  readonly lora: GoldenGradients<{ readonly shape: readonly number[]; readonly data: string }> & {
    readonly r: number;
    readonly lora_alpha: number;
    readonly target_modules: string | readonly string[];
    readonly use_rslora?: boolean;
    readonly fan_in_fan_out?: boolean;
    readonly logitsOfLastRow: string;
  };
  readonly full: GoldenGradients<TensorDigest>;
  /** Left out for families whose optimiser steps other cases cover. */
  readonly training?: GoldenTraining & {
    readonly optimiser: GoldenOptimiser;
    readonly steps: number;
    readonly batches: readonly (readonly GoldenRow[])[];
  };
  readonly fullTraining?: GoldenGradients<TensorDigest> & GoldenTraining;
  readonly modulesToSave?: GoldenGradients<TensorDigest> & GoldenTraining & { readonly modules: readonly string[] };
  readonly trainableTokens?: GoldenGradients<TensorDigest> & GoldenTraining & { readonly indices: readonly number[] };
}

/** Names of all recorded cases. */
export function parityCases(): string[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => name.slice(0, -'.json'.length));
}

/** One recorded case. */
export function readParityGolden(name: string): ParityGolden {
  return JSON.parse(readFileSync(`${folder}${name}.json`, 'utf8')) as ParityGolden;
}
