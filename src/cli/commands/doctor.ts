/** `fettle doctor`: what this machine offers: Node, processor, memory, disk, and whether the runtime loads. */
import { readFileSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, cpus, freemem, platform, release, totalmem } from 'node:os';
import { UsageError } from '../../errors.ts';
import { doctorTexts } from '../../messages/cli.ts';
import { formatBytes } from '../../util/index.ts';
import { jsonFlag, type Command } from '../command.ts';

/** Processor extensions that decide the speed of the arithmetic. */
const INTERESTING_FLAGS = [
  'avx2',
  'fma',
  'f16c',
  'avx_vnni',
  'avx512f',
  'avx512_vnni',
  'avx512_bf16',
  'amx_int8',
  'amx_bf16',
  'asimd',
  'asimddp',
  'i8mm',
  'bf16',
  'sve',
];

interface RuntimeReport {
  readonly loads: boolean;
  readonly version?: string;
  readonly backends?: readonly string[];
  /** Those of the backends whose libraries do not stand beside the runtime: they cannot be used. */
  readonly backends_without_library?: readonly string[];
  /** Whether its kernels add 8-bit products exactly on this processor, which `compute: int8` needs. */
  readonly exact_integer_products?: boolean;
  readonly reason?: string;
}

/** What the command reports. */
interface Report {
  readonly node: string;
  readonly platform: string;
  readonly processor: string;
  readonly cores: number;
  readonly processor_flags: readonly string[];
  readonly memory_bytes: number;
  readonly free_memory_bytes: number;
  /** The limit of the container, where there is one below the machine's memory. */
  readonly memory_limit_bytes: number | null;
  readonly free_disk_bytes: number | null;
  readonly runtime: RuntimeReport;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Flags of the first processor in /proc/cpuinfo; empty on systems without it. */
export function processorFlags(cpuinfo: string): readonly string[] {
  const flags = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(' '));
  return INTERESTING_FLAGS.filter((flag) => flags.has(flag));
}

/** Memory that a free allocation can have: Linux counts caches that it would give up as available. */
function availableMemory(): number {
  const match = /^MemAvailable:\s+(\d+) kB/m.exec(readText('/proc/meminfo'));
  return match === null ? freemem() : Number(match[1]) * 1024;
}

function containerLimit(): number | null {
  const written =
    readText('/sys/fs/cgroup/memory.max').trim() || readText('/sys/fs/cgroup/memory/memory.limit_in_bytes').trim();
  const limit = Number(written);
  return written !== '' && Number.isFinite(limit) && limit < totalmem() ? limit : null;
}

function freeDisk(folder: string): number | null {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize;
  } catch {
    return null;
  }
}

async function runtimeReport(): Promise<RuntimeReport> {
  try {
    const { describeRuntime, takesIntegerProductsExactly } = await import('../../runtime/index.ts');
    const { version, backends } = describeRuntime();
    return {
      loads: true,
      version,
      backends: backends.map(({ name }) => name),
      backends_without_library: backends.filter(({ hasLibrary }) => !hasLibrary).map(({ name }) => name),
      exact_integer_products: await takesIntegerProductsExactly(),
    };
  } catch (error) {
    return { loads: false, reason: (error instanceof Error ? error.message : String(error)).split('\n')[0]! };
  }
}

function backendList({ backends = [], backends_without_library: missing = [] }: RuntimeReport): string {
  return backends.map((name) => (missing.includes(name) ? doctorTexts.noLibrary(name) : name)).join(', ');
}

export const command: Command = {
  usage: '',
  flags: [jsonFlag],
  async run({ command, arguments: extra, options, out }) {
    if (extra[0] !== undefined) throw new UsageError('unexpected-argument', { command, argument: extra[0] });
    const report: Report = {
      node: process.version,
      platform: `${platform()} ${arch()} ${release()}`,
      processor: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      processor_flags: processorFlags(readText('/proc/cpuinfo')),
      memory_bytes: totalmem(),
      free_memory_bytes: availableMemory(),
      memory_limit_bytes: containerLimit(),
      free_disk_bytes: freeDisk(process.cwd()),
      runtime: await runtimeReport(),
    };
    if (options['json'] === true) {
      out.json(report);
      return;
    }
    const { runtime } = report;
    out.table([
      [doctorTexts.node, report.node],
      [doctorTexts.platform, report.platform],
      [doctorTexts.processor, `${report.processor}, ${doctorTexts.cores(report.cores)}`],
      [doctorTexts.flags, report.processor_flags.join(' ') || doctorTexts.unknown],
      [doctorTexts.memory, doctorTexts.freeOf(formatBytes(report.free_memory_bytes), formatBytes(report.memory_bytes))],
      ...(report.memory_limit_bytes === null
        ? []
        : [[doctorTexts.limit, formatBytes(report.memory_limit_bytes)] as const]),
      [
        doctorTexts.disk,
        report.free_disk_bytes === null ? doctorTexts.unknown : doctorTexts.free(formatBytes(report.free_disk_bytes)),
      ],
      [
        doctorTexts.runtime,
        runtime.loads
          ? `${out.style('green', runtime.version ?? '')} (${backendList(runtime)})`
          : out.style('red', doctorTexts.notLoadable(runtime.reason ?? '')),
      ],
      ...(runtime.exact_integer_products === undefined
        ? []
        : [[doctorTexts.integers, doctorTexts.exactIntegers(runtime.exact_integer_products)] as const]),
    ]);
  },
};
