/** The table of all commands: one line here and one file in `commands/` make a command. */
import type { CommandEntry } from './command.ts';

/** Every command, in the order of the help. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'train',
    summary: 'Fine-tune a model',
    load: () => import('./commands/train.ts'),
  },
  {
    name: 'plan',
    summary: 'Say what a run will need of memory and time',
    onlyPrints: true,
    load: () => import('./commands/plan.ts'),
  },
  {
    name: 'export',
    summary: 'Merge adapters into the base model and write it as safetensors',
    load: () => import('./commands/export.ts'),
  },
  {
    name: 'generate',
    summary: 'Answer one prompt',
    computes: true,
    onlyPrints: true,
    load: () => import('./commands/generate.ts'),
  },
  {
    name: 'chat',
    summary: 'Talk to a model in the terminal',
    computes: true,
    onlyPrints: true,
    load: () => import('./commands/chat.ts'),
  },
  {
    name: 'predict',
    summary: 'Answer the rows of a data set and compare with the right answers',
    computes: true,
    load: () => import('./commands/predict.ts'),
  },
  {
    name: 'compare',
    summary: 'Compare models on the same rows, base against adapter or any others',
    computes: true,
    load: () => import('./commands/compare.ts'),
  },
  {
    name: 'eval',
    summary: 'Test a model on MMLU, C-Eval, CMMLU, LAMBADA, or the perplexity of a text',
    computes: true,
    load: () => import('./commands/eval.ts'),
  },
  {
    name: 'pk',
    summary: 'Let two systems or more compete on the same questions, with a judge',
    load: () => import('./commands/pk.ts'),
  },
  {
    name: 'data preview',
    summary: 'Show rows as training sees them: tokens, and which are trained',
    onlyPrints: true,
    load: () => import('./commands/data-preview.ts'),
  },
  {
    name: 'data check',
    summary: 'Find what is wrong with the rows of a data set',
    onlyPrints: true,
    load: () => import('./commands/data-check.ts'),
  },
  {
    name: 'data stats',
    summary: 'Show lengths, turns, languages and the trained share of data sets',
    onlyPrints: true,
    load: () => import('./commands/data-stats.ts'),
  },
  {
    name: 'data plan',
    summary: 'Count rows, tokens and steps of a run',
    onlyPrints: true,
    load: () => import('./commands/data-plan.ts'),
  },
  {
    name: 'data proof',
    summary: 'Prove that what is trained is what is asked at inference',
    onlyPrints: true,
    load: () => import('./commands/data-proof.ts'),
  },
  {
    name: 'data prepare',
    summary: 'Tokenise data sets once, for many runs',
    load: () => import('./commands/data-prepare.ts'),
  },
  {
    name: 'study suppress',
    summary: 'Show what suppressing texts does to the numbers of items in answers',
    computes: true,
    load: () => import('./commands/study-suppress.ts'),
  },
  {
    name: 'serve',
    summary: 'Serve a model as OpenAI does: chat, completions, adapters by name',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'convert llama2c',
    summary: 'Turn a llama2.c checkpoint into a Hugging Face folder',
    load: () => import('./commands/convert-llama2c.ts'),
  },
  {
    name: 'download',
    summary: 'Download a model or a data set from Hugging Face or ModelScope',
    load: () => import('./commands/download.ts'),
  },
  {
    name: 'doctor',
    summary: 'Show what this machine offers',
    onlyPrints: true,
    load: () => import('./commands/doctor.ts'),
  },
];
