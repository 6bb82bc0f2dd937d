/** Names of tensors in published files that differ from those which transformers, and adapters, use. */
import type { Checkpoint } from './checkpoint.ts';

/**
 * OpenAI's GPT-2 files lack the name of the base model in front (`h.0.attn.c_attn.weight`); everything that is saved later
 * has it (`transformer.h.0.attn.c_attn.weight`).
 */
export function withModelNames(checkpoint: Checkpoint): Checkpoint {
  const { tensors } = checkpoint;
  if (!tensors.has('wte.weight') || tensors.has('transformer.wte.weight')) return checkpoint;
  const named = [...tensors].map(
    ([name, entry]) => [name.startsWith('lm_head.') ? name : `transformer.${name}`, entry] as const,
  );
  return { ...checkpoint, tensors: new Map(named) };
}
