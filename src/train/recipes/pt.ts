/**
 * `stage: pt`: continued pre-training. Plain texts, every token trained, the stream cut to `cutoff_len` where `packing` is
 * on. The loss is that of `sft`; what differs, rows and labels, the data room reads from the stage.
 */
import type { Recipe } from './recipe.ts';
import { sft } from './sft.ts';

export const pt: Recipe = sft;
