/**
 * Greedy decoding by llama.cpp through node-llama-cpp, for bench/decode/run.ts: the same protocol as peer.py. It runs in a folder
 * outside the repository that has node-llama-cpp: node llama.mjs FOLDER MODEL.gguf THREADS.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [folder, model, threads] = process.argv.slice(2);
const entry = createRequire(join(folder, 'package.json')).resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);
const llama = await getLlama({
  gpu: false,
  build: 'never',
  maxThreads: Number(threads),
  logLevel: LlamaLogLevel.error,
});
const loaded = await llama.loadModel({ modelPath: model, gpuLayers: 0 });
const context = await loaded.createContext({
  contextSize: 4608,
  sequences: 1,
  threads: Number(threads),
  batchSize: 512,
  flashAttention: true,
});

const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);
say({ ready: true });
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (request.do === 'quit') break;
  const sequence = context.getSequence();
  const prompt = Array.from({ length: request.context }, (_, i) => (7 * i) % 30_000);
  const times = [];
  const ids = [];
  for await (const token of sequence.evaluate(prompt, { temperature: 0 })) {
    times.push(performance.now());
    ids.push(token);
    if (ids.length >= request.tokens) break;
  }
  await sequence.dispose();
  const intervals = times
    .slice(1)
    .map((time, i) => time - times[i])
    .sort((a, b) => a - b);
  const seconds = intervals[intervals.length >> 1] / 1000;
  say({ seconds, tokensPerSecond: 1 / seconds, ids });
}
process.exit(0);
