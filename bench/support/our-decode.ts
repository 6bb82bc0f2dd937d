/**
 * Greedy decoding by Fettle's engine, for a driver that alternates it with others: the same protocol as bench/decode/peer.py.
 * {"do": "decode", "context", "tokens", "rows"} -> {"seconds": median time of a step, "tokensPerSecond", "ids" of the first row}
 */
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { DecodingEngine, generate, greedySampling, type InferDtype, openModel } from '../../src/generate/index.ts';
import { median } from './machine.ts';

const { values: options } = parseArgs({
  options: { model: { type: 'string' }, dtype: { type: 'string' }, threads: { type: 'string', default: '2' } },
});
const { decoder } = await openModel(
  options.model!,
  [],
  { device: 'cpu', threads: Number(options.threads) },
  { inferDtype: options.dtype as InferDtype },
);
const engine = new DecodingEngine(decoder, { maxRows: 64, keptBytes: 0 });

interface DecodeRequest {
  readonly do: string;
  readonly context: number;
  readonly tokens: number;
  readonly rows: number;
}

async function decode({ context, tokens, rows }: DecodeRequest): Promise<object> {
  const times: number[][] = [];
  const generations = await Promise.all(
    Array.from({ length: rows }, async (_, row) => {
      const own: number[] = (times[row] = []);
      const [generation] = await generate(engine, {
        promptIds: Array.from({ length: context }, (_unused, i) => (7 * i + 13 * row) % 30_000),
        maxNewTokens: tokens,
        stopIds: new Set(),
        sampling: greedySampling,
        onTokens: () => {
          own.push(performance.now());
        },
      }).done;
      return generation!;
    }),
  );
  // from when the last row has begun to when the first one has ended
  const begin = Math.max(...times.map((own) => own[0]!));
  const end = Math.min(...times.map((own) => own.at(-1)!));
  const within = times.flatMap((own) => own.filter((time) => time > begin && time <= end));
  const steps = times[0]!.filter((time) => time >= begin && time <= end);
  const intervals = steps.slice(1).map((time, i) => time - steps[i]!);
  return {
    seconds: median(intervals) / 1000,
    tokensPerSecond: within.length / ((end - begin) / 1000),
    ids: generations[0]!.ids,
  };
}

const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as DecodeRequest;
  if (request.do === 'quit') break;
  say(await decode(request));
}
process.exit(0);
