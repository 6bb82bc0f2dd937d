/** Several refusals told as one. Knows no `node:` module. */
import { ConfigError, FettleError } from '../errors.ts';

/** Several errors as one, with a line for each; one stays what it is. */
export function joinErrors(errors: readonly FettleError[]): FettleError {
  const byText = new Map(errors.map((error) => [error.message, error]));
  const [first, ...more] = byText.values();
  if (more.length === 0) return first!;
  const problems = [...byText].map(([text, { code }]) => ({ code, text }));
  return new ConfigError('several-problems', { problems });
}

/** What `act` throws of ours; undefined where it throws nothing. */
export async function errorOf(act: () => unknown): Promise<FettleError | undefined> {
  try {
    await act();
    return undefined;
  } catch (error) {
    if (error instanceof FettleError) return error;
    throw error;
  }
}
