/** From an error to what the command line prints and the exit code it ends with (contract, article 3). */
import type { Provenance } from '../config/index.ts';
import { FettleError, messageText } from '../errors.ts';

/** Bounds of a refusal, so that a screen shows all of it. */
const MAX_LINES = 15;
const MAX_LINE_LENGTH = 600;

/** Exit code after Ctrl-C. */
export const INTERRUPTED = 130;

/** What is printed for an error, and the exit code. */
export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

function clip(text: string): string {
  const lines = text.split('\n').map((line) => {
    // Control characters of a hostile file must not reach the terminal.
    const visible = line.replace(/[^\P{Cc}\t]/gu, '\uFFFD');
    return visible.length > MAX_LINE_LENGTH ? `${visible.slice(0, MAX_LINE_LENGTH - 3)}...` : visible;
  });
  return lines.length > MAX_LINES ? [...lines.slice(0, MAX_LINES - 1), '...'].join('\n') : lines.join('\n');
}

/** A line that begins with a key of the configuration gets the place in front where somebody wrote that key. */
function locate(text: string, places: ReadonlyMap<string, Provenance>): string {
  return text
    .split('\n')
    .map((line) => {
      const place = places.get(/^([a-z][a-z0-9_]*): /.exec(line)?.[1] ?? '');
      return place === undefined || place.origin === 'default' ? line : `${place.where}: ${line}`;
    })
    .join('\n');
}

/**
 * Describes an error. A stack is shown with FETTLE_DEBUG=1 only.
 * @param places where each key of the configuration was written
 */
export function describeFailure(
  error: unknown,
  env: Readonly<Record<string, string | undefined>>,
  places: ReadonlyMap<string, Provenance> = new Map(),
): Failure {
  const known = error instanceof FettleError;
  const reason = error instanceof Error ? error.message || error.name : String(error);
  const text = clip(known ? locate(error.message, places) : messageText('unexpected-error', { text: reason }));
  if (env['FETTLE_DEBUG'] !== '1' || !(error instanceof Error)) return { text, exitCode: known ? error.exitCode : 1 };
  const cause = error.cause instanceof Error ? [`cause: ${error.cause.stack ?? error.cause.message}`] : [];
  return { text: [text, error.stack ?? '', ...cause].join('\n'), exitCode: known ? error.exitCode : 1 };
}
