/**
 * Commands that compute in the process the shell started are started again with the allocator settings that onnxruntime needs: they are
 * read when a process starts and cannot be set later. With them a decoding step takes a quarter (f32) or a seventh (int4) less time (NOTES.md).
 */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { withAllocatorSettings } from '../run/index.ts';

/** The environment to start again in; nothing where this process has it already, or where the settings mean nothing. */
export function environmentToStartIn(
  env: NodeJS.ProcessEnv,
  platform: NodeJS.Platform = process.platform,
): NodeJS.ProcessEnv | undefined {
  if (platform !== 'linux') return undefined;
  const settings = withAllocatorSettings(env['GLIBC_TUNABLES']);
  return settings === env['GLIBC_TUNABLES'] ? undefined : { ...env, GLIBC_TUNABLES: settings };
}

/** Runs this program once more, with the same arguments and streams, and ends as it ends. */
export async function startAgain(env: NodeJS.ProcessEnv): Promise<never> {
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    env,
    // the channel carries nothing: it closes when this process is killed, and the other one ends then too
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM');
  // A terminal gives Ctrl-C to both processes; where there is none, only this one may have been meant.
  const isTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  process.on('SIGINT', () => {
    if (!isTerminal) child.kill('SIGINT');
  });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  return new Promise((_, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal!]));
  });
}

/** In the process that was started: ends with the one that started it, and does not wait for it. */
export function endWithStarter(): void {
  if (process.channel === undefined) return;
  process.on('disconnect', () => process.exit(128 + constants.signals.SIGHUP));
  process.channel.unref();
}
