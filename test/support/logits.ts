/** Logits of every token of a batch, from the same parts as a training step. */
import * as g from '../../src/graph/index.ts';
import { type ModelFolder, openWeights } from '../../src/checkpoint/index.ts';
import type { Sequence } from '../../src/data/index.ts';
import { attention, positionInputs, rowLayoutInputs } from '../../src/nn/index.ts';
import { compile, type CompileOptions, type TensorValue } from '../../src/runtime/index.ts';
import { batchFeeds } from '../../src/train/batch-feeds.ts';
import { batchInputs } from '../../src/train/loss-graph.ts';
import type { TuningMethod } from '../../src/tuning/index.ts';

/** f32[N, V]: the rows of the batch one after the other. */
export async function batchLogits(
  folder: ModelFolder,
  method: TuningMethod,
  batch: readonly Sequence[],
  trainables: Readonly<Record<string, TensorValue>>,
  options: CompileOptions,
): Promise<Float32Array> {
  const { model } = folder;
  const source = method.source(false);
  const layout = rowLayoutInputs();
  const { ids: places, rotations } = positionInputs(model.ropes);
  const positions = {
    rotations,
    attend: (_layer: number, q: g.Node, k: g.Node, v: g.Node, how: Parameters<typeof attention>[4]) =>
      attention(q, k, v, layout, how),
  };
  let x = model.embed(source, g.input(batchInputs.tokenIds, 'int64', ['N']), places);
  for (let layer = 0; layer < model.layerCount; layer++) x = model.layer(source, positions, layer, x);
  const program = await compile({ logits: model.logits(source, x) }, await openWeights(folder), options);
  try {
    const results = await program.run({ ...batchFeeds(batch, model, method).feeds, ...trainables });
    return results['logits']!.data as Float32Array;
  } finally {
    await program.release();
  }
}
