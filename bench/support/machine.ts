/** What the figures were measured on. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, loadavg, totalmem } from 'node:os';

/** One line of the machine and versions, for the head of every table. */
export function describeMachine(): Record<string, unknown> {
  const flags = /^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' ') ?? [];
  const require = createRequire(import.meta.url);
  const runtime = require('onnxruntime-node/package.json') as { version: string };
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    vectorUnits: flags.filter((flag) => /^(avx2|avx512f|avx512_vnni|avx512_bf16|amx_bf16|avx_vnni)$/.test(flag)),
    memoryGB: Math.round(totalmem() / 1e9),
    loadBefore: loadavg().map((load) => Math.round(load * 100) / 100),
    node: process.version,
    onnxruntime: runtime.version,
  };
}

/** The middle value; of an even number, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
