/**
 * Trains the demo model's tokenizer on the demo texts and writes tokenizer.json, tokenizer_config.json and the chat template
 * to assets/demo/model.
 *
 *     npx tsx scripts/train-demo-tokenizer.ts
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { sentimentRows } from './demo/sentiment.ts';
import { pretrainingText } from './demo/tasks.ts';
import { trainBpe } from './demo/train-bpe.ts';
import { TEST_ROWS, TRAIN_ROWS } from './make-demo-data.ts';

/** Ids 0, 1, 2. Padding is never an end token, so that the end token is trained. */
const special = ['<|pad|>', '<|im_start|>', '<|im_end|>'] as const;
const VOCABULARY = 1536;
const MIN_COUNT = 20;
const TEXTS = 12_000;

/** ChatML, as https://github.com/openai/openai-python/blob/v0.28.1/chatml.md has it. */
const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/** The demo model's tokenizer files, by name, as text. */
export function tokenizerFiles(): Record<string, string> {
  const texts = Array.from({ length: TEXTS }, (_, i) => pretrainingText(i));
  for (const row of sentimentRows(TRAIN_ROWS, TEST_ROWS).train)
    texts.push(row.instruction, `${row.input}\n`, row.output);
  const plain = texts.flatMap((text) => text.split(/<\|im_start\|>|<\|im_end\|>/));
  const { pieces, merges } = trainBpe(plain, VOCABULARY - special.length, MIN_COUNT);
  const vocab = Object.fromEntries([...special, ...pieces].map((piece, id) => [piece, id]));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: merges.map((pair) => pair.join(' ')),
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    added_tokens_decoder: Object.fromEntries(special.map((content, id) => [String(id), { content, ...flags }])),
    bos_token: null,
    eos_token: '<|im_end|>',
    pad_token: '<|pad|>',
    unk_token: null,
    additional_special_tokens: ['<|im_start|>'],
    add_bos_token: false,
    clean_up_tokenization_spaces: false,
    model_max_length: 512,
    chat_template: chatTemplate,
  };
  return {
    'tokenizer.json': `${JSON.stringify(tokenizer, null, 1)}\n`,
    'tokenizer_config.json': `${JSON.stringify(config, null, 2)}\n`,
  };
}

async function main(): Promise<void> {
  const folder = fileURLToPath(new URL('../assets/demo/model/', import.meta.url));
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(tokenizerFiles())) {
    await writeFile(folder + name, content);
    console.log(`${name}: ${content.length} bytes`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
