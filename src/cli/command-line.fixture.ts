/** Calls of the command line inside a test's own process, and a model that is small enough for it. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { writeTinyModel } from '../testing/index.ts';
import { runCommandLine } from './command-line.ts';

/** What a call printed and ended with. */
export interface CallResult {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Options of a call. */
export interface CallOptions {
  /** Lines of standard input. */
  readonly input?: readonly string[];
  /** Variables of the environment; left out: none. */
  readonly env?: Readonly<Record<string, string>>;
  /** Is given the function that presses Ctrl-C. */
  readonly onReady?: (interrupt: () => void) => void;
}

/** Runs a command line with `options`. */
export async function callWith(options: CallOptions, ...argv: string[]): Promise<CallResult> {
  let [out, err] = ['', ''];
  const code = await runCommandLine(argv, {
    out: { write: (text) => (out += text) },
    err: { write: (text) => (err += text) },
    input: Readable.from((options.input ?? []).map((line) => `${line}\n`)),
    env: options.env ?? {},
    onInterrupt: (handler) => options.onReady?.(handler),
  });
  return { code, out, err };
}

/** Runs a command line. */
export async function call(...argv: string[]): Promise<CallResult> {
  return callWith({}, ...argv);
}

/** Writes a tokenizer of one id a character, with an end token (id 0), beside a `config.json`. */
export function writeCharacterTokenizer(folder: string): number {
  mkdirSync(folder, { recursive: true });
  const characters = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,:#?!\n'.split('');
  const vocab = Object.fromEntries(['</s>', '<unk>', ...characters].map((piece, id) => [piece, id]));
  const end = {
    id: 0,
    content: '</s>',
    special: true,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  };
  const tokenizer = {
    version: '1.0',
    added_tokens: [end],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: 'Fuse' },
    model: { type: 'BPE', vocab, merges: [], unk_token: '<unk>' },
  };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer));
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify({ eos_token: '</s>' }));
  return Object.keys(vocab).length;
}

/** Writes a random llama of two layers with its tokenizer. @param more settings of its config, and its number of files */
export async function writeCharacterModel(
  folder: string,
  { shards, ...more }: { shards?: number; [key: string]: unknown } = {},
): Promise<void> {
  const vocabulary = writeCharacterTokenizer(folder);
  await writeTinyModel(folder, {
    seed: 1,
    ...(shards === undefined ? {} : { shards }),
    config: {
      model_type: 'llama',
      architectures: ['LlamaForCausalLM'],
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      num_key_value_heads: 1,
      vocab_size: vocabulary,
      max_position_embeddings: 512,
      rms_norm_eps: 1e-5,
      rope_theta: 10_000,
      tie_word_embeddings: true,
      hidden_act: 'silu',
      eos_token_id: 0,
      ...more,
    },
  });
}
