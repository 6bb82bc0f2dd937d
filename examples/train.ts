/** What lora-sft.yaml does, in TypeScript. In the repository: `npx tsx examples/train.ts`; elsewhere import from 'fettle'. */
import { train } from '../src/index.ts';

const run = train({
  modelNameOrPath: 'assets/demo/model',
  loraRank: 16,
  datasetDir: 'assets/demo/data',
  dataset: ['sentiment_train'],
  learningRate: 1e-3,
  outputDir: 'saves/demo-typescript',
});
for await (const event of run.events) if (event.type === 'log') console.log(event.line);
console.log(await run.done);
