/** Attention in its two forms, and its gradients; the three share their steps. Only where onnxruntime's own operators are. */
import type { Node } from '../graph/index.ts';
import { blockAttention, blockAttentionGradients } from './block-attention.ts';
import { rowAttention, rowAttentionGradients } from './row-attention.ts';
import type { GraphWriter } from './writer.ts';

/** f32[N, H x E]. */
export function lowerAttention(node: Node<'causalAttention'>, writer: GraphWriter, inputs: readonly string[]): string {
  return node.attributes.form === 'blocks' ? blockAttention(node, writer, inputs) : rowAttention(node, writer, inputs);
}

/** One of the three gradients. */
export function lowerAttentionGradient(
  node: Node<'causalAttentionGradient'>,
  writer: GraphWriter,
  inputs: readonly string[],
): string {
  const { rule, form, of } = node.attributes;
  const gradients = writer.once(`attention gradient ${JSON.stringify(rule)} ${inputs.join()}`, () =>
    form === 'blocks' ? blockAttentionGradients(node, writer, inputs) : rowAttentionGradients(node, writer, inputs),
  );
  return gradients[['q', 'k', 'v'].indexOf(of)]!;
}
