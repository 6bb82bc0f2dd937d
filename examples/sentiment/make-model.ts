/**
 * Makes the model that this example starts from: a Llama of random weights and a byte-level BPE vocabulary of
 * the characters and the most frequent pairs of characters of the training reviews.
 * `npx tsx examples/sentiment/make-model.ts saves/sentiment/data saves/sentiment/random`. It knows no language before it is trained.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteCharacters } from '../../scripts/demo/train-bpe.ts';
import { tensorFromValues, writeCheckpoint } from '../../src/formats/index.ts';
import { hashKey, RandomStream } from '../../src/util/index.ts';

const [data, target] = process.argv.slice(2);
if (data === undefined || target === undefined)
  throw new Error('make-model.ts: give the folder of train.json, and where to write');

const special = ['<|pad|>', '<|im_start|>', '<|im_end|>'];
const shape = { width: 96, ffn: 192, layers: 2, heads: 4 };
/** Rarer characters stay bytes; of pairs of characters the most frequent become pieces. */
const rarestCharacter = 4;
const pairs = 2500;
const spread = 0.05;

const rows = JSON.parse(readFileSync(join(data, 'train.json'), 'utf8')) as { instruction: string; output: string }[];
const bytes = byteCharacters();
/** A text in the characters that stand for its bytes. */
const inBytes = (text: string): string => Array.from(new TextEncoder().encode(text), (byte) => bytes[byte]!).join('');

const characters = new Map<string, number>();
const neighbours = new Map<string, number>();
const han = /\p{Script=Han}/u;
for (const { instruction, output } of rows) {
  const list = Array.from(instruction + output);
  list.forEach((character, i) => {
    if (!han.test(character)) return;
    characters.set(character, (characters.get(character) ?? 0) + 1);
    const next = list[i + 1];
    if (next === undefined || !han.test(next)) return;
    neighbours.set(character + next, (neighbours.get(character + next) ?? 0) + 1);
  });
}
const known = [...characters].filter(
  ([character, count]) => count >= rarestCharacter && inBytes(character).length === 3,
);
const isKnown = new Set(known.map(([character]) => character));
const frequent = [...neighbours]
  .filter(([pair]) => Array.from(pair).every((character) => isKnown.has(character)))
  .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
  .slice(0, pairs)
  .map(([pair]) => Array.from(pair).map(inBytes) as [string, string]);
// Two bytes, then the third, then pairs of whole characters.
const starts = [...new Set(known.map(([character]) => inBytes(character).slice(0, 2)))];
const merges: [string, string][] = [
  ...starts.map((start): [string, string] => [start[0]!, start[1]!]),
  ...known.map(([character]): [string, string] => [inBytes(character).slice(0, 2), inBytes(character).slice(2)]),
  ...frequent,
];
const pieces = [...bytes, ...merges.map(([first, second]) => first + second)];
const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const tokenizer = {
  version: '1.0',
  added_tokens: special.map((content, id) => ({ id, content, ...flags })),
  normalizer: null,
  pre_tokenizer: byteLevel,
  post_processor: null,
  decoder: byteLevel,
  model: {
    type: 'BPE',
    vocab: Object.fromEntries([...special, ...pieces].map((piece, id) => [piece, id])),
    merges: merges.map((pair) => pair.join(' ')),
  },
};
const tokenizerConfig = {
  tokenizer_class: 'PreTrainedTokenizerFast',
  bos_token: null,
  eos_token: '<|im_end|>',
  pad_token: '<|pad|>',
  chat_template:
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
};
const { width, ffn } = shape;
const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: special.length + pieces.length,
  hidden_size: width,
  intermediate_size: ffn,
  num_hidden_layers: shape.layers,
  num_attention_heads: shape.heads,
  num_key_value_heads: shape.heads,
  hidden_act: 'silu',
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: true,
  bos_token_id: null,
  eos_token_id: 2,
  pad_token_id: 0,
  torch_dtype: 'float32',
};
const parameters: [string, number[]][] = [['model.embed_tokens.weight', [config.vocab_size, width]]];
for (let layer = 0; layer < shape.layers; layer++) {
  const of = (name: string): string => `model.layers.${layer}.${name}.weight`;
  for (const name of ['q_proj', 'k_proj', 'v_proj', 'o_proj'])
    parameters.push([of(`self_attn.${name}`), [width, width]]);
  parameters.push(
    [of('mlp.gate_proj'), [ffn, width]],
    [of('mlp.up_proj'), [ffn, width]],
    [of('mlp.down_proj'), [width, ffn]],
  );
  parameters.push([of('input_layernorm'), [width]], [of('post_attention_layernorm'), [width]]);
}
parameters.push(['model.norm.weight', [width]]);

mkdirSync(target, { recursive: true });
const tensors = parameters.map(([name, sizes]) => {
  const random = new RandomStream(hashKey('sentiment example', name));
  const count = sizes.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: count }, () => (sizes.length === 1 ? 1 : random.nextNormal() * spread));
  return tensorFromValues(name, sizes, values, 'F32');
});
await writeCheckpoint(target, tensors, Number.POSITIVE_INFINITY);
for (const [name, value] of Object.entries({
  'config.json': config,
  'tokenizer.json': tokenizer,
  'tokenizer_config.json': tokenizerConfig,
})) {
  writeFileSync(join(target, name), `${JSON.stringify(value, null, 1)}\n`);
}
const count = parameters.reduce((sum, [, sizes]) => sum + sizes.reduce((a, b) => a * b, 1), 0);
console.log(`${target}: ${count} weights, a vocabulary of ${config.vocab_size}`);
