/** The smaller addresses: models, tokens, adapters. */
import { realpath } from 'node:fs/promises';
import { isAbsolute, relative, resolve } from 'node:path';
import { FettleError } from '../errors.ts';
import { ApiError, badField } from './api-error.ts';
import { chatPromptIds } from './chat.ts';
import type { Exchange } from './exchange.ts';
import type { Service } from './service.ts';
import type { Message } from '../template/index.ts';

/** `/v1/models`. */
export function listModels(service: Service): unknown {
  const entry = (id: string, parent: string | null): unknown => ({
    id,
    object: 'model',
    created: service.startedAt,
    owned_by: 'fettle',
    parent,
  });
  const names = service.engine.adapterNames.map((name) => entry(name, service.modelName));
  return { object: 'list', data: [entry(service.modelName, null), ...names] };
}

/** `/tokenize`, as vLLM's: a text, or messages in the template. */
export function tokenize(service: Service, { fields }: Exchange): unknown {
  const { tokenizer } = service.text;
  let tokens: number[];
  if (fields.value('messages') === undefined) {
    const prompt = fields.text('prompt');
    if (prompt === undefined) throw badField('prompt', 'a text', undefined);
    const addsSpecial = fields.boolean('add_special_tokens') ?? true;
    tokens = [...(addsSpecial ? tokenizer.encodeWithSpecialTokens(prompt) : tokenizer.encode(prompt))];
  } else {
    const messages = fields.objects('messages', 4096).map((message): Message => ({
      role: (message.text('role') ?? 'user') as Message['role'],
      content: message.text('content') ?? '',
    }));
    tokens = chatPromptIds(service, messages, [], { addsHeader: fields.boolean('add_generation_prompt') ?? true });
  }
  return { tokens, count: tokens.length, max_model_len: service.maxLength };
}

/** `/detokenize`. */
export function detokenize(service: Service, { fields }: Exchange): unknown {
  const { vocabularySize } = service;
  const tokens = fields.integers('tokens', 1_000_000);
  const wrong = tokens.find((id) => id >= vocabularySize);
  if (wrong !== undefined) throw badField('tokens', `ids below ${vocabularySize}`, wrong);
  return { prompt: service.text.tokenizer.decode(tokens, { skipSpecialTokens: false }) };
}

/** `/tokenizer_info`, as lm-evaluation-harness asks for it. */
export function tokenizerInfo(service: Service): unknown {
  const { tokenizer, template } = service.text;
  return {
    tokenizer_class: 'fettle',
    bos_token: tokenizer.bosToken ?? null,
    eos_token: tokenizer.eosToken ?? null,
    pad_token: tokenizer.padToken ?? null,
    unk_token: tokenizer.unkToken ?? null,
    bos_token_id: tokenizer.bosId ?? null,
    eos_token_id: tokenizer.eosId ?? null,
    vocab_size: tokenizer.vocabularySize,
    model_max_length: service.maxLength,
    chat_template: template?.source ?? null,
  };
}

const adapterName = /^[\w][\w./:-]{0,127}$/;

/** `/v1/load_lora_adapter`: only folders below `adapter_dir`, and only where the server's owner named one. */
export async function loadAdapter(
  service: Service,
  { fields }: Exchange,
  folder: string | undefined,
): Promise<unknown> {
  if (folder === undefined) {
    throw new ApiError(403, 'invalid_request_error', 'adapters are loaded at run time only where adapter_dir is set');
  }
  const name = fields.text('lora_name');
  if (name === undefined || !adapterName.test(name) || name === service.modelName) {
    throw badField('lora_name', 'a name of letters, digits and ._:/- that is not the model', name);
  }
  const path = fields.text('lora_path');
  if (path === undefined) throw badField('lora_path', 'the folder of an adapter', path);
  const root = await realpath(folder);
  const target = await realpath(resolve(root, path)).catch(() => undefined);
  const inside = target === undefined ? '..' : relative(root, target);
  if (inside.startsWith('..') || isAbsolute(inside)) throw badField('lora_path', 'a folder inside adapter_dir', path);
  await asBadRequest(service.engine.loadAdapter(name, target!));
  return { message: `adapter ${name} is loaded` };
}

/** `/v1/unload_lora_adapter`. */
export async function unloadAdapter(
  service: Service,
  { fields }: Exchange,
  folder: string | undefined,
): Promise<unknown> {
  if (folder === undefined) {
    throw new ApiError(403, 'invalid_request_error', 'adapters are unloaded at run time only where adapter_dir is set');
  }
  const name = fields.text('lora_name');
  if (name === undefined || !service.engine.adapterNames.includes(name)) {
    throw new ApiError(
      404,
      'not_found_error',
      `lora_name must be a loaded adapter, got ${JSON.stringify(name)}`,
      'lora_name',
    );
  }
  await asBadRequest(service.engine.unloadAdapter(name));
  return { message: `adapter ${name} is unloaded` };
}

async function asBadRequest(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (error instanceof FettleError) throw new ApiError(400, 'invalid_request_error', error.message);
    throw error;
  }
}
