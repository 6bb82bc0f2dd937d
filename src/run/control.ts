/** `control.jsonl`: orders to a running trainer, one JSON object a line, obeyed when the running step ends. */
import { appendFile, open, stat } from 'node:fs/promises';
import { runPaths } from './layout.ts';

/** Settings that may be changed while a run trains. */
export interface ControlSettings {
  readonly learning_rate?: number;
  readonly logging_steps?: number;
  readonly save_steps?: number;
  readonly eval_steps?: number;
}

/** An order: stop and save, save and go on, finish with the best checkpoint, or change settings. */
export type ControlCommand =
  | { readonly do: 'stop' }
  | { readonly do: 'save' }
  | { readonly do: 'stop-keep-best' }
  | ({ readonly do: 'set' } & ControlSettings);

/** More than this in one step is no person's doing: the rest is read at the next. */
const maxBytesPerRead = 1 << 20;

const settingKeys: readonly (keyof ControlSettings)[] = ['learning_rate', 'logging_steps', 'save_steps', 'eval_steps'];

/** Writes an order for the trainer of a run folder. */
export async function sendControl(folder: string, command: ControlCommand): Promise<void> {
  await appendFile(runPaths(folder).control, `${JSON.stringify(command)}\n`);
}

/** Reads a line of the file, or says what is wrong with it. */
export function parseControl(line: string): ControlCommand | { readonly problem: string } {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { problem: 'it is no JSON' };
  }
  if (typeof value !== 'object' || value === null || !('do' in value)) return { problem: 'it has no "do"' };
  const order = value as { do: unknown } & Record<string, unknown>;
  if (order.do === 'stop' || order.do === 'save' || order.do === 'stop-keep-best') return { do: order.do };
  if (order.do !== 'set') return { problem: '"do" is none of stop, save, stop-keep-best, set' };
  const settings: Record<string, number> = {};
  for (const [key, setting] of Object.entries(order)) {
    if (key === 'do') continue;
    if (!settingKeys.some((known) => known === key)) return { problem: `only ${settingKeys.join(', ')} can be set` };
    const allowed =
      typeof setting === 'number' &&
      Number.isFinite(setting) &&
      (key === 'learning_rate' ? setting >= 0 : Number.isInteger(setting) && setting >= 1);
    if (!allowed) return { problem: `${key} is no allowed number` };
    settings[key] = setting;
  }
  if (Object.keys(settings).length === 0) return { problem: `it sets none of ${settingKeys.join(', ')}` };
  return { do: 'set', ...settings };
}

/** Reads the orders that were written since it was opened. */
export interface ControlReader {
  /** The lines that were completed since the last call. */
  read(): Promise<string[]>;
}

/** Opens the control file of a folder at its present end: orders to an earlier process are not obeyed again. */
export async function openControl(folder: string): Promise<ControlReader> {
  const path = runPaths(folder).control;
  const size = async () => (await stat(path).catch(() => undefined))?.size ?? 0;
  let offset = await size();
  return {
    async read() {
      const end = await size();
      if (end < offset) offset = 0;
      if (end === offset) return [];
      const handle = await open(path, 'r');
      try {
        const buffer = Buffer.alloc(Math.min(end - offset, maxBytesPerRead));
        const { bytesRead } = await handle.read(buffer, 0, buffer.length, offset);
        const complete = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
        // A line longer than the bound is no order: it is passed over.
        offset += complete === 0 && bytesRead === maxBytesPerRead ? bytesRead : complete;
        return buffer
          .toString('utf8', 0, complete)
          .split('\n')
          .filter((line) => line.trim() !== '');
      } finally {
        await handle.close();
      }
    },
  };
}
