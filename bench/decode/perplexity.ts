/**
 * What int8 and int4 cost: perplexity of real text under a model in f32 and in blocks of codes, and how often the greedy tokens
 * of one row and of eight rows at once agree.
 *
 *   npx tsx bench/decode/perplexity.ts --model FOLDER --text FILE [--characters 40000] [--window 256]
 *
 * The text is cut into windows of tokens of their own, each from its second token on (the first has no context).
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { loadTokenizerFolder } from '../../src/formats/index.ts';
import {
  DecodingEngine,
  generate,
  greedySampling,
  type InferDtype,
  openModel,
  scoreTokens,
} from '../../src/generate/index.ts';
import { createTokenizer } from '../../src/tokenizer/index.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    text: { type: 'string' },
    characters: { type: 'string', default: '40000' },
    window: { type: 'string', default: '256' },
    threads: { type: 'string', default: '2' },
  },
});
const tokenizer = createTokenizer(await loadTokenizerFolder(options.model!));
const text = readFileSync(options.text!, 'utf8').slice(0, Number(options.characters));
const all = Array.from(tokenizer.encode(text));
const window = Number(options.window);
const windows = Array.from({ length: Math.floor(all.length / window) }, (_, i) =>
  all.slice(i * window, (i + 1) * window),
);

let base: number | undefined;
for (const inferDtype of ['float32', 'int8', 'int4'] satisfies InferDtype[]) {
  const { decoder } = await openModel(
    options.model!,
    [],
    { device: 'cpu', threads: Number(options.threads) },
    { inferDtype },
  );
  const scored = await scoreTokens(
    new DecodingEngine(decoder, { maxRows: 8 }),
    windows.map((ids) => ({ ids })),
  );
  const logprobs = scored.flatMap((each) => [...each.logprobs]);
  const perplexity = Math.exp(-logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length);
  base ??= perplexity;

  const answers = async (maxRows: number): Promise<(readonly number[])[]> => {
    const engine = new DecodingEngine(decoder, { maxRows });
    const generations = windows.slice(0, 16).map(
      (ids) =>
        generate(engine, {
          promptIds: ids.slice(0, 32),
          maxNewTokens: 64,
          stopIds: new Set(),
          sampling: greedySampling,
        }).done,
    );
    return (await Promise.all(generations)).map(([first]) => first!.ids);
  };
  const [alone, together] = [await answers(1), await answers(8)];
  const same = alone.filter((ids, i) => ids.join() === together[i]!.join()).length;
  await decoder.release();
  const change = 100 * (perplexity / base - 1);
  console.log(
    `${inferDtype}: perplexity ${perplexity.toFixed(4)} (${change >= 0 ? '+' : ''}${change.toFixed(2)} %) over ${logprobs.length} tokens; ` +
      `greedy answers of 64 tokens equal at 1 and 8 rows: ${same} of ${alone.length}`,
  );
}
