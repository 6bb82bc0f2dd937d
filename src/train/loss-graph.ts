/** The forward graph of a training step: batch inputs, model, loss on labelled rows, with cuts between groups of layers. */
import * as g from '../graph/index.ts';
import type { Model, ParameterSource } from '../models/index.ts';
import {
  attention,
  blockLayoutInputs,
  labelledRowInputs,
  positionInputs,
  rowLayoutInputs,
  squareAttention,
  weightedCrossEntropy,
} from '../nn/index.ts';
import type { CompileOptions, Device } from '../runtime/index.ts';

/** Names of the batch's tensors that only this file and `batch-feeds.ts` know. */
export const batchInputs = { tokenIds: 'token_ids' } as const;

/** See `nn/attention.ts`: in blocks, in rows, or as a square of standard operations. */
export type AttentionForm = 'blocks' | 'rows' | 'square';

/** Sequences from this length on are cut into blocks; shorter ones run faster side by side (NOTES.md). */
const blocksFrom = 512;

/** How a plan's graphs compute what can be computed in several ways. */
export interface LossForm {
  /** Left out: in blocks. */
  readonly attention?: AttentionForm;
  /** Adapters of modules with at most so many inputs are merged into their weights for the forward product; left out: none. */
  readonly mergedWidth?: number;
}

/** How the programs of a plan are made. */
export interface LossGraphOptions extends CompileOptions, LossForm {}

/**
 * The form that runs best on a device.
 * @param longest tokens of the longest sequence; left out: any number.
 * @param meanTokens tokens of a batch, in the mean: merging costs the same for every batch and saves by its tokens.
 */
export function lossForm(model: Model, device: Device, longest = Infinity, meanTokens = 0): LossForm {
  if (device !== 'cpu') return { attention: 'square' };
  const widths = model.linearModules.map(({ inputs }) => inputs).filter((inputs) => inputs <= meanTokens);
  return { attention: longest >= blocksFrom ? 'blocks' : 'rows', mergedWidth: Math.max(0, ...widths) };
}

/**
 * Sum of weight x cross-entropy over the labelled rows of a batch, f32[1, 1].
 * Cut 0 stands after the embedding, the next ones after every `layersPerSegment` layers; none stands in the last `tailLayers`.
 */
export function buildLoss(
  model: Model,
  source: ParameterSource,
  layersPerSegment: number,
  { attention: form = 'blocks', mergedWidth = 0 }: LossForm = {},
  tailLayers = 0,
): g.Node {
  const rows = rowLayoutInputs();
  const layout = form === 'blocks' ? blockLayoutInputs() : rows;
  const labelled = labelledRowInputs();
  const { ids: places, rotations } = positionInputs(model.ropes);
  const positions = {
    rotations,
    attend: (_layer: number, q: g.Node, k: g.Node, v: g.Node, options: Parameters<typeof attention>[4]) =>
      form === 'square' ? squareAttention(q, k, v, rows, options) : attention(q, k, v, layout, options),
  };
  let cuts = 0;
  let x: g.Node = g.cut(model.embed(source, g.input(batchInputs.tokenIds, 'int64', ['N']), places), cuts++);
  const cutLayers = model.layerCount - tailLayers;
  for (let layer = 0; layer < model.layerCount; layer++) {
    x = model.layer(source, positions, layer, x);
    const done = layer + 1;
    if (done === cutLayers || (done < cutLayers && done % layersPerSegment === 0)) x = g.cut(x, cuts++);
  }
  const loss = weightedCrossEntropy(model.logits(source, g.gather(x, labelled.rows)), labelled);
  const [early] = g.gatherEarly([loss]);
  return mergedWidth > 0 ? g.mergeAdapters([early!], mergedWidth)[0]! : early!;
}
