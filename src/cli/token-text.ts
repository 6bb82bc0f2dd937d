/** Tokens of a previewed row as text: stretches of trained and untrained tokens, each token with its own bytes. */

/** What is asked of a tokenizer here. */
export interface TokenNames {
  /** The bytes that a token stands for. */
  tokenBytes(id: number): Uint8Array;
}

/** A token with its part of the text. A character whose bytes several tokens share stands with the last of them. */
export interface ShownToken {
  readonly id: number;
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly trained: boolean;
  readonly weight: number;
}

/** The tokens of a row with the text of each. */
export function shownTokens(
  row: {
    readonly input_ids: readonly number[];
    readonly labels: readonly number[];
    readonly weights?: readonly number[];
  },
  names: TokenNames,
): readonly ShownToken[] {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return row.input_ids.map((id, index) => {
    const bytes = names.tokenBytes(id);
    const last = index === row.input_ids.length - 1;
    const trained = row.labels[index] !== -100;
    const text = decoder.decode(bytes, { stream: !last });
    return { id, text, bytes, trained, weight: trained ? (row.weights?.[index] ?? 1) : 0 };
  });
}

/** Neighbouring tokens that are all trained, or all not. */
export interface TokenStretch {
  readonly trained: boolean;
  readonly tokens: readonly ShownToken[];
}

/** The stretches of a row in order. */
export function tokenStretches(tokens: readonly ShownToken[]): readonly TokenStretch[] {
  const stretches: { trained: boolean; tokens: ShownToken[] }[] = [];
  for (const token of tokens) {
    const last = stretches.at(-1);
    if (last?.trained === token.trained) last.tokens.push(token);
    else stretches.push({ trained: token.trained, tokens: [token] });
  }
  return stretches;
}

/** Control characters made visible; line breaks are kept and marked. */
export function visibleText(text: string): string {
  return text
    .replace(/\r/g, '␍')
    .replace(/\n/g, '↵\n')
    .replace(/\t/g, '⇥')
    .replace(/[^\P{Cc}\n]/gu, (c) => `\\x${c.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
