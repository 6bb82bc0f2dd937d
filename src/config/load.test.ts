import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { ConfigError } from '../errors.ts';
import { configNoticeText } from '../messages/config.ts';
import { configFromOptions, loadConfig, parseConfig, trainingNeeds, type ConfigSource } from './index.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-config-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function problemsOf(act: () => unknown): readonly string[] {
  try {
    act();
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.split('\n');
  }
  throw new Error('no error was thrown');
}

const parse = (text: string, source: Omit<ConfigSource, 'file'> = {}) => parseConfig(text, 'train.yaml', source);
const config = (text: string, ...overrides: string[]) => parse(text, { overrides }).config;
const problems = (text: string, ...overrides: string[]) => problemsOf(() => parse(text, { overrides }));

/** examples/train_lora/qwen3_lora_sft.yaml of LLaMA-Factory, with the values of its HEAD. */
const llamaFactoryExample = `
### model
model_name_or_path: Qwen/Qwen3-4B-Instruct-2507
trust_remote_code: true

### method
stage: sft
do_train: true
finetuning_type: lora
lora_rank: 8
lora_target: all

### dataset
dataset: identity,alpaca_en_demo
template: qwen3_nothink
cutoff_len: 2048
max_samples: 1000
preprocessing_num_workers: 16
dataloader_num_workers: 4

### output
output_dir: saves/qwen3-4b/lora/sft
logging_steps: 10
save_steps: 500
plot_loss: true
overwrite_output_dir: true
save_only_model: false
report_to: none  # choices: [none, wandb, tensorboard, swanlab, mlflow]

### train
per_device_train_batch_size: 1
gradient_accumulation_steps: 8
learning_rate: 1.0e-4
num_train_epochs: 3.0
lr_scheduler_type: cosine
warmup_ratio: 0.1
bf16: true
ddp_timeout: 180000000
resume_from_checkpoint: null
`;

test('a half-width infer_dtype is said to be computed in f32, unless an export stores it', () => {
  const said = (text: string): string[] => parse(text).notices.map(configNoticeText);
  expect(said('infer_dtype: bfloat16\nfp16: true\n')).toEqual([
    'fp16, infer_dtype: accepted; the arithmetic is f32 on this device',
  ]);
  expect(said('infer_dtype: float16\nexport_dir: saves/x\n')).toEqual([]);
  expect(said('infer_dtype: float32\n')).toEqual([]);
});

describe('a configuration of LLaMA-Factory', () => {
  test('is read, with one notice for what has no effect and one for bf16', () => {
    const { config, notices, provenance } = parse(llamaFactoryExample);
    expect(config).toMatchObject({
      model_name_or_path: 'Qwen/Qwen3-4B-Instruct-2507',
      dataset: ['identity', 'alpaca_en_demo'],
      lora_rank: 8,
      lora_alpha: 16,
      lora_target: 'all',
      learning_rate: 1e-4,
      lr_scheduler_type: 'cosine',
      warmup_ratio: 0.1,
      max_samples: 1000,
      report_to: [],
      do_train: true,
      do_eval: false,
      packing: false,
      overlong: 'drop',
    });
    expect(config.resume_from_checkpoint).toBeUndefined();
    expect(notices.map(configNoticeText)).toEqual([
      'train.yaml: without effect here: trust_remote_code, dataloader_num_workers, save_only_model, ddp_timeout',
      'bf16: accepted; the arithmetic is f32 on this device',
    ]);
    expect(provenance.get('lora_rank')).toEqual({ origin: 'file', where: 'train.yaml:10:12' });
    expect(provenance.get('weight_decay')).toEqual({ origin: 'default', where: 'default' });
  });

  test('has their defaults, and ours where the contract says so', () => {
    expect(config('')).toMatchObject({
      learning_rate: 5e-5,
      per_device_train_batch_size: 8,
      gradient_accumulation_steps: 1,
      num_train_epochs: 3,
      lr_scheduler_type: 'linear',
      warmup_steps: 0,
      warmup_ratio: 0,
      weight_decay: 0,
      max_grad_norm: 1,
      save_steps: 500,
      seed: 42,
      data_seed: 42,
      lora_rank: 8,
      lora_alpha: 16,
      lora_target: 'all',
      cutoff_len: 2048,
      logging_steps: 10,
      plot_loss: true,
      group_by_length: true,
      temperature: 0.95,
      top_p: 0.7,
      top_k: 50,
      max_new_tokens: 1024,
    });
    expect(config('').gradient_checkpointing).toBeUndefined();
  });
});

describe('writing', () => {
  test('numbers, booleans, lists and texts are read however people write them', () => {
    const read = config(
      [
        'learning_rate: "1e-4"',
        'max_samples: 1_000',
        'plot_loss: no',
        'lora_target: [q_proj, v_proj]',
        'additional_target: embed_tokens, lm_head',
        'output_dir: 007',
        'default_system: 1.50',
        'trainable_token_indices: 5,6',
        'memory_limit: 1.5GB',
        'evaluation_strategy: no',
        'lr_scheduler_kwargs: \'{"power": "2"}\'',
        'optim: adamw_torch_fused',
        'resume_from_checkpoint: false',
      ].join('\n'),
    );
    expect(read).toMatchObject({
      learning_rate: 1e-4,
      max_samples: 1000,
      plot_loss: false,
      lora_target: ['q_proj', 'v_proj'],
      additional_target: ['embed_tokens', 'lm_head'],
      output_dir: '007',
      default_system: '1.50',
      trainable_token_indices: [5, 6],
      memory_limit: 1_500_000_000,
      eval_strategy: 'no',
      lr_scheduler_kwargs: { power: 2 },
      optim: 'adamw_torch',
      resume_from_checkpoint: false,
    });
  });

  test('arguments go before the file, reach into mappings, and may hold any character', () => {
    const read = config(
      'lora_rank: 4\nlr_scheduler_kwargs: {power: 2}\nval_size: 0.1',
      'lora_rank=16',
      'lora_rank=32',
      'lr_scheduler_kwargs.lr_end=1e-7',
      'default_system=You are: a #bot',
      'output_dir=C:\\runs\\a',
      'lora_target=q_proj,v_proj',
      'template="none"',
      'val_size=null',
    );
    expect(read).toMatchObject({
      lora_rank: 32,
      lora_alpha: 64,
      lr_scheduler_kwargs: { power: 2, lr_end: 1e-7 },
      default_system: 'You are: a #bot',
      output_dir: 'C:\\runs\\a',
      lora_target: ['q_proj', 'v_proj'],
      template: 'none',
      val_size: 0,
    });
  });

  test('newer and older names of transformers mean the same', () => {
    expect(config('train_sampling_strategy: sequential').disable_shuffling).toBe(true);
    expect(config('train_sampling_strategy: random').group_by_length).toBe(false);
    expect(config('warmup_steps: 0.1')).toMatchObject({ warmup_steps: 0, warmup_ratio: 0.1 });
    expect(config('disable_gradient_checkpointing: true').gradient_checkpointing).toBe(false);
    expect(config('disable_gradient_checkpointing: false').gradient_checkpointing).toBeUndefined();
    expect(config('preserve_thinking: true').history_thinking).toBe('keep');
  });

  test('JSON is read, with line and column', () => {
    expect(parseConfig('{\n\t"lora_rank": 4,\n\t"dataset": ["a"]\n}', 'a.json').config).toMatchObject({
      lora_rank: 4,
      dataset: ['a'],
    });
    expect(problemsOf(() => parseConfig('{\n\t"lora_rank": 0\n}', 'a.json'))).toEqual([
      'a.json:2:15: lora_rank must be a whole number, at least 1, got 0',
    ]);
  });
});

describe('errors', () => {
  test('come all together, in reading order, with line and column and what to write instead', () => {
    expect(
      problems(
        [
          'lora_rnak: 8',
          'cutoff_len: 20x8',
          'lr_scheduler_type: cosin',
          'report_to: [wanbd]',
          'quantization_bit: 3',
          'output_dir: a',
          'output_dir: b',
          'lr_scheduler_kwargs: {num_cycle: 2}',
          'max_seq_length: 3',
          'lora_dropout: 1',
          'stage: dpo',
          'max_steps: 0',
          'logging_steps: 2.5',
          'lora_target: []',
        ].join('\n'),
        'loraa_alpha=1',
        'learning_rate=fast',
        'lora_alpha',
      ),
    ).toMatchInlineSnapshot(`
      [
        "train.yaml:1:1: unknown key "lora_rnak". Did you mean "lora_rank"?",
        "train.yaml:2:13: cutoff_len must be a whole number, at least 1, got "20x8"",
        "train.yaml:3:20: lr_scheduler_type must be one of linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt, got "cosin". Did you mean "cosine"?",
        "train.yaml:4:12: report_to must be one or more of tensorboard, none, got "wanbd"",
        "train.yaml:5:19: quantization_bit must be 4 or 8, got 3",
        "train.yaml:7:1: key "output_dir" must stand once, got it twice",
        "train.yaml:8:22: unknown key "lr_scheduler_kwargs.num_cycle". Did you mean "lr_scheduler_kwargs.num_cycles"?",
        "train.yaml:9:1: unknown key "max_seq_length". Did you mean "cutoff_len"?",
        "train.yaml:10:15: lora_dropout must be a number, at least 0 and below 1, got 1",
        "train.yaml:11:8: stage: "dpo" is not supported yet. Use sft (instruction data) or pt (plain text)",
        "train.yaml:12:12: max_steps must be -1 (not set) or a whole number from 1 on, got 0",
        "train.yaml:13:16: logging_steps must be a share below 1 or a whole number, got 2.5",
        "train.yaml:14:14: lora_target must be all, or a list (or one text with commas) of names, got []",
        "command line: arguments after the configuration must be key=value, got "lora_alpha". Did you mean "lora_alpha=..."?",
        "... and 2 more",
      ]
    `);
  });

  test('more than fifteen are counted', () => {
    const many = Array.from({ length: 40 }, (_, i) => `key_${i}_zzzzzzzz: 1`).join('\n');
    const lines = problems(many);
    expect(lines).toHaveLength(15);
    expect(lines[14]).toBe('... and 26 more');
  });

  test.each([
    ['use_dora: true', 'train.yaml:1:11: use_dora: true is not supported yet. Leave it out: use plain LoRA'],
    ['optim: paged_adamw_8bit', 'train.yaml:1:8: optim: "paged_adamw_8bit" is not supported yet. Use adamw_torch'],
    [
      'finetuning_type: freeze',
      'train.yaml:1:18: finetuning_type: "freeze" is not supported yet. Use lora, or additional_target for whole modules',
    ],
    ['do_eval: true', 'train.yaml:1:10: do_eval: true needs eval_dataset or val_size, got neither'],
    [
      'dataset: a\nval_size: 0.1\neval_dataset: b',
      'train.yaml:2:11: val_size cannot stand together with eval_dataset. Leave one of them out',
    ],
    [
      'load_best_model_at_end: true',
      'train.yaml:1:25: load_best_model_at_end: true needs eval_strategy: steps or eval_strategy: epoch, got neither',
    ],
    [
      'dataset: a\nval_size: 9\neval_strategy: steps\neval_steps: 40\nsave_steps: 60\nload_best_model_at_end: true',
      'train.yaml:5:13: with load_best_model_at_end save_steps must be a multiple of eval_steps, got 60 and 40',
    ],
    [
      'mask_history: true\ntrain_on_prompt: true',
      'train.yaml:1:15: mask_history cannot stand together with train_on_prompt. Leave one of them out',
    ],
    ['stage: pt\nneat_packing: true', 'train.yaml:2:15: neat_packing: true needs stage: sft, got another stage'],
    [
      'finetuning_type: full\nadapter_name_or_path: a',
      'train.yaml:2:23: adapter_name_or_path needs finetuning_type: lora, got another finetuning_type',
    ],
    [
      'compute: int8\nquantization_bit: 4',
      'train.yaml:1:10: compute: int8 cannot stand together with quantization_bit: 4. Products in integers read weights in 8 bits: set quantization_bit: 8 or leave it out',
    ],
    ['device: webgpu\ncompute: int8', 'train.yaml:2:10: compute: int8 needs device: cpu, got another device'],
    [
      'finetuning_type: full\ncompute: int8_careful',
      'train.yaml:2:10: compute: int8_careful needs finetuning_type: lora, got another finetuning_type',
    ],
    [
      'max_prompt_length: 2000\nmax_response_length: 100',
      'train.yaml:1:20: max_prompt_length + max_response_length must fit into cutoff_len, got 2100 against 2048. Set cutoff_len=2100 or lower the limits',
    ],
    [
      'evaluation_strategy: steps\neval_strategy: steps\nval_size: 3\ndataset: a',
      'train.yaml:2:1: eval_strategy cannot stand together with evaluation_strategy',
    ],
    [
      'dataset: a,b\nmix_strategy: interleave_once\ninterleave_probs: 1',
      'train.yaml:3:19: interleave_probs must have one number for each of dataset, got 1 for 2',
    ],
    ['- a', 'train.yaml:1:1: a configuration must be a mapping of keys to values, got a list'],
    ['a: [1,\nb', 'train.yaml:2:1: a quote or bracket that is opened must be closed, got "b"'],
    [`a: ${'['.repeat(100_000)}`, 'train.yaml:1:68: values must be nested at most 64 deep, got more'],
    [
      `seed:\n${'- '.repeat(20_000)}1`,
      expect.stringMatching(/^train.yaml:2:\d+: values must be nested at most 64 deep, got more$/) as string,
    ],
    ['__proto__: 1', 'train.yaml:1:1: unknown key "__proto__"'],
  ] as readonly (readonly [string, string])[])('refusal %#', (text, message) => {
    expect(problems(text)).toEqual(expect.arrayContaining([message]));
  });

  test('neutral values of refused keys and details of refused methods are accepted', () => {
    const { notices } = parse(
      'use_dora: false\nquantization_bit: null\nresize_vocab: false\npref_beta: 0.1\nneftune_noise_alpha: 0\nplugins: []\nrope_scaling: none',
    );
    expect(notices.map(configNoticeText)).toEqual(['train.yaml: without effect here: pref_beta']);
    const tracked = parse('report_to: [wandb, tensorboard]\nlog_level: info');
    expect(tracked.config.report_to).toEqual(['tensorboard']);
    expect(tracked.notices.map(configNoticeText)).toEqual([
      'train.yaml: without effect here: log_level, report_to: wandb',
    ]);
    const both = parseConfig('ddp_timeout: 3', 'train.yaml', { overrides: ['deepspeed=x', 'log_level=info'] });
    expect(both.notices.map(configNoticeText)).toEqual([
      'train.yaml: without effect here: ddp_timeout; command line: deepspeed, log_level',
    ]);
    const written = parseConfig('seed: 3', 'train.yaml', { overrides: ['deepspeed=x'] });
    expect(written.notices.map(configNoticeText)).toEqual(['command line: without effect here: deepspeed']);
  });

  test('aliases are bounded', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x,x]',
      'b: &b [*a,*a,*a,*a,*a,*a,*a,*a]',
      'c: &c [*b,*b,*b,*b,*b,*b,*b,*b]',
      'dataset: [*c,*c,*c,*c,*c]',
    ].join('\n');
    expect(problems(bomb)).toContain('train.yaml:4:10: YAML aliases must expand to at most 100 values, got more');
    expect(config('output_dir: &o runs\nexport_dir: *o').export_dir).toBe('runs');
  });

  test('keys that the command needs are asked for', () => {
    expect(
      problemsOf(() => parse('do_train: true\ndataset: []', { requires: trainingNeeds, command: 'fettle train' })),
    ).toEqual([
      'train.yaml:2:10: fettle train needs dataset, got none',
      'train.yaml: fettle train needs model_name_or_path, got none',
      'train.yaml: fettle train needs output_dir, got none',
    ]);
    expect(
      problemsOf(() => parse('lora_rank: 8', { requires: ['model_name_or_path', 'dataset'], command: 'train' })),
    ).toEqual(['train.yaml: train needs model_name_or_path, got none', 'train.yaml: train needs dataset, got none']);
    const wrong = 'suppress: [{text: a, coefficient: 2}]';
    expect(problemsOf(() => parse(wrong, { requires: ['suppress'], command: 'fettle study suppress' }))).toEqual([
      'train.yaml:1:11: suppress.coefficient must be a number, at least 0 and at most 1, got 2',
    ]);
  });
});

describe('files', () => {
  test('a byte order mark is read; UTF-16, folders, missing and huge files are refused by name', () => {
    const write = (name: string, content: string | Uint8Array): string => {
      const file = join(folder, name);
      writeFileSync(file, content);
      return file;
    };
    expect(loadConfig({ file: write('bom.yaml', '\uFEFFlora_rank: 4\r\nseed: 1\r\n') }).config.lora_rank).toBe(4);
    const utf16 = write('utf16.yaml', Buffer.from('\uFEFFlora_rank: 4', 'utf16le'));
    expect(problemsOf(() => loadConfig({ file: utf16 }))).toEqual([
      `${utf16}: a configuration must be UTF-8, got UTF-16. Save it as UTF-8`,
    ]);
    expect(problemsOf(() => loadConfig({ file: folder }))).toEqual([
      `${folder}: the configuration cannot be read: it is a folder`,
    ]);
    const missing = join(folder, 'none.yaml');
    expect(problemsOf(() => loadConfig({ file: missing }))).toEqual([
      `${missing}: the configuration cannot be read: no such file`,
    ]);
    const huge = write('huge.yaml', '#'.repeat(1_000_001));
    expect(problemsOf(() => loadConfig({ file: huge }))).toEqual([
      `${huge}: a configuration must have at most 1000000 bytes, got 1000001`,
    ]);
  });

  test('everything may be said on the command line alone', () => {
    const { config } = loadConfig({ overrides: ['model_name_or_path=m', 'dataset=a,b', 'do_eval=true', 'val_size=2'] });
    expect(config).toMatchObject({ model_name_or_path: 'm', dataset: ['a', 'b'], do_eval: true, do_train: false });
  });
});

describe('options of the API', () => {
  test('are the same keys in camelCase', () => {
    const { config } = configFromOptions({ modelNameOrPath: 'm', loraRank: 4, topK: 7, dataset: ['a'], bf16: true });
    expect(config).toMatchObject({ model_name_or_path: 'm', lora_rank: 4, lora_alpha: 8, top_k: 7, dataset: ['a'] });
    expect(problemsOf(() => configFromOptions({ loraRank: 0, ...({ loraRnak: 3 } as object) }))).toEqual([
      'options: unknown key "loraRnak". Did you mean "loraRank"?',
      'options: loraRank must be a whole number, at least 1, got 0',
    ]);
  });
});

describe('own templates', () => {
  const file = join(folder, 'mine.yaml');
  writeFileSync(file, 'user: "Q: {content}\\n"\nassistant: "A: {content}"\n');
  const broken = join(folder, 'broken.yaml');
  writeFileSync(broken, 'user: "{content}"\nuser: "{content}"\n');
  const wrong = join(folder, 'wrong.yaml');
  writeFileSync(wrong, 'usr: "{content}"\n');

  test('stand in a file of their own, or in the configuration itself', () => {
    const mine = { name: 'mine', user: 'Q: {content}\n', assistant: 'A: {content}' };
    expect(config(`template: ${file}`).template).toEqual(mine);
    expect(config('template: {user: "Q: {content}"}').template).toEqual({ user: 'Q: {content}' });
    expect(config('template: llama3').template).toBe('llama3');
  });

  test('that cannot be read are refused with the line that names them', () => {
    expect(problems('template: nowhere.yaml')).toEqual([
      'train.yaml:1:11: the file of template must be readable, got no such file: nowhere.yaml',
    ]);
    expect(problems(`template: ${broken}`)).toEqual([`${broken}:2:1: key "user" must stand once, got it twice`]);
    expect(problems(`template: ${wrong}`)).toEqual(['train.yaml:1:11: unknown key "template.usr"']);
  });
});

test('broken YAML is told in words of our own', () => {
  const told = (text: string) => problems(text).map((line) => line.replace('train.yaml:', ''));
  expect(told('a: {b: 1\n')).toEqual([
    '2:1: a quote or bracket that is opened must be closed, got the end of the file',
  ]);
  expect(told('a: "b\n')).toEqual(['2:1: a quote or bracket that is opened must be closed, got the end of the file']);
  expect(told('a: 1\n b: 2\n')).toEqual([
    '1:4: a line must be one "key: value"; a value that holds ": " or a line break must be in quotes, got "1"',
  ]);
  expect(told('\ta: 1\n')).toEqual(['1:1: lines must be indented with blanks, not tabs, got "a: 1"']);
  expect(told('a: @x\n')).toEqual(['1:4: a value that begins with @ or ` must be in quotes, got "@x"']);
  expect(told('a: 1\n---\nb: 2\n')).toEqual(['2:1: a configuration must be one document, got "---"']);
  expect(told('seed: *x\n')).toEqual(['1:7: an alias (*name) must stand behind its anchor (&name), got "*x"']);
});
