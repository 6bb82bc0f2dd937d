/** All model families by `model_type`. */
import { UnsupportedError } from '../errors.ts';
import type { Model, ModelReader } from './family.ts';
import { ConfigReader } from './config-reader.ts';
import { baichuan } from './baichuan.ts';
import { chatglm } from './chatglm.ts';
import { falcon } from './falcon.ts';
import { gemma } from './gemma.ts';
import { gemma2 } from './gemma2.ts';
import { gemma3Text } from './gemma3_text.ts';
import { gpt2 } from './gpt2.ts';
import { gptNeox } from './gpt_neox.ts';
import { internlm2 } from './internlm2.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { mixtral } from './mixtral.ts';
import { olmo2 } from './olmo2.ts';
import { phi } from './phi.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen2Moe } from './qwen2_moe.ts';
import { qwen3 } from './qwen3.ts';
import { qwen3Moe } from './qwen3_moe.ts';
import { stablelm } from './stablelm.ts';

const families: Readonly<Record<string, ModelReader>> = {
  baichuan,
  chatglm,
  falcon,
  gemma,
  gemma2,
  gemma3_text: gemma3Text,
  gpt2,
  gpt_neox: gptNeox,
  internlm2,
  llama,
  mistral,
  mixtral,
  olmo2,
  phi,
  phi3,
  qwen2,
  qwen2_moe: qwen2Moe,
  qwen3,
  qwen3_moe: qwen3Moe,
  stablelm,
};

/** The `model_type` values that can be loaded. */
export const modelTypes: readonly string[] = Object.keys(families);

/** Reads the model that a parsed `config.json` describes. Throws UnsupportedError for a family that is not here. */
export function readModel(file: string, json: unknown): Model {
  const type = new ConfigReader(file, json).text('model_type', 'nothing');
  const reader = Object.hasOwn(families, type) ? families[type] : undefined;
  if (!reader) throw new UnsupportedError('unknown-model-type', { file, type, known: modelTypes });
  return reader(file, json);
}
