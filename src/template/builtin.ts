/**
 * The built-in templates, byte for byte as they are published. A blank before an answer is part of the answer (`lead`),
 * a newline part of the header. The end of a turn is the tokenizer's end token unless the wording names another.
 */
import { historicWordings } from './builtin-historic.ts';
import { liveWordings } from './builtin-live.ts';
import type { Wording } from './wording.ts';

/** The templates that are wordings. */
export const builtinWordings: readonly Wording[] = [...historicWordings, ...liveWordings];

/** Other names of the same wordings, as LLaMA-Factory and others have them. */
export const builtinAliases: Readonly<Record<string, string>> = {
  qwen: 'chatml',
  qwen2: 'chatml',
  qwen3_nothink: 'chatml',
  chatml_de: 'chatml',
  yi: 'chatml',
  smollm: 'chatml',
  smollm2: 'chatml',
  sailor: 'chatml',
  intern2: 'chatml',
  hermes: 'chatml',
  'llama-2': 'llama2',
  'llama-3': 'llama3',
  phi3: 'phi',
  phi_small: 'phi',
  gemma2: 'gemma',
  gemma3: 'gemma',
  freewilly2: 'stablebeluga2',
  'openchat-3.6': 'openchat',
};
