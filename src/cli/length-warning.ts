/** What is said of prompts that are longer than what a model was made for. */
import type { Generator } from '../generate/index.ts';
import { chatTexts } from '../messages/cli.ts';

/** The warning about a prompt of so many tokens; undefined where the model knows that length. */
export function lengthWarning(
  tokens: number,
  { model }: { readonly model: Pick<Generator['model'], 'maxPositions'> },
): string | undefined {
  return tokens > model.maxPositions ? chatTexts.tooLong(tokens, model.maxPositions) : undefined;
}
