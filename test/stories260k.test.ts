/** A first real model: converted from llama2.c, it writes the text that its author published. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openModelFolder } from '../src/checkpoint/index.ts';
import { convertLlama2c } from '../src/export/index.ts';
import { loadTokenizerFolder } from '../src/formats/index.ts';
import { Decoder, DecodingEngine, generate, greedySampling } from '../src/generate/index.ts';
import { createTokenizer } from '../src/tokenizer/index.ts';
import { frozenMethod } from '../src/tuning/index.ts';
import { testCompileOptions } from './support/parity-model.ts';

const shared = fileURLToPath(new URL('../../shared/data/model/stories260K/', import.meta.url));

// the model is third-party data that the repository does not hold
test.skipIf(!existsSync(shared))(
  'stories260K: 200 greedy steps to the letter (skipped where ../shared/data is absent)',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fettle-stories-'));
    try {
      await convertLlama2c({
        checkpoint: join(shared, 'stories260K.bin'),
        tokenizer: join(shared, 'tok512.bin'),
        output: folder,
      });
      const opened = await openModelFolder(folder);
      const tokenizer = createTokenizer(await loadTokenizerFolder(folder));
      const decoder = await Decoder.create(opened, frozenMethod(opened.stored), new Map(), testCompileOptions);
      const [answer] = await generate(new DecodingEngine(decoder, { maxRows: 1 }), {
        promptIds: [tokenizer.bosId!],
        maxNewTokens: 200,
        stopIds: new Set(),
        sampling: greedySampling,
      }).done;
      await decoder.release();
      const expected = readFileSync(join(shared, 'expected_greedy_200.txt'), 'utf8');
      expect(tokenizer.decode(answer!.ids, { skipSpecialTokens: true }).trim()).toBe(expected.trim());
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);
