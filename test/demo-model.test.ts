import { join } from 'node:path';
import { expect, test } from 'vitest';
import { talkRow } from '../scripts/demo/tasks.ts';
import { tokenizerFiles } from '../scripts/train-demo-tokenizer.ts';
import { readFile } from 'node:fs/promises';
import { openGenerator } from '../src/index.ts';

const folder = join(import.meta.dirname, '../assets/demo/model');

test('the demo tokenizer is what its script makes', async () => {
  for (const [name, content] of Object.entries(tokenizerFiles())) {
    expect(await readFile(join(folder, name), 'utf8'), name).toBe(content);
  }
});

test('the demo model answers questions that it was not trained on', async () => {
  // Far behind the rows of its training.
  const asked = Array.from({ length: 400 }, (_, i) => talkRow(5_000_000 + i)).filter((row) =>
    /^(Did they|Were they|Would they|Name the topic)/.test(row.instruction),
  );
  const generator = await openGenerator({ modelNameOrPath: folder, doSample: false, maxNewTokens: 8 });
  try {
    let right = 0;
    for (const row of asked.slice(0, 60)) {
      const answer = await generator.answer(generator.promptIds([{ role: 'user', content: row.instruction }]));
      expect(answer.finish_reason).toBe('stop');
      if (answer.text === row.output) right++;
    }
    expect(right).toBeGreaterThanOrEqual(48);
  } finally {
    await generator.release();
  }
});
