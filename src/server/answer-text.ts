/** The text of one answer as its tokens come, with stop texts, and its log-probabilities in OpenAI's two forms. */
import { StopFilter, type TokenLogprobs } from '../generate/index.ts';
import { StreamDecoder, type Tokenizer } from '../tokenizer/index.ts';

/** A piece of an answer. */
export interface AnswerPiece {
  readonly text: string;
  readonly ids: readonly number[];
  readonly logprobs: readonly TokenLogprobs[];
  /** A stop text came: the answer has ended. */
  readonly stopped: boolean;
}

export class AnswerText {
  private readonly tokenizer: Tokenizer;
  private readonly promptIds: readonly number[];
  private readonly stopTexts: readonly string[];
  private readonly decoder: StreamDecoder;
  private readonly filter: StopFilter;
  private readonly stopIds: ReadonlySet<number>;
  /** The ids that came, the end token included. */
  readonly ids: number[] = [];
  readonly logprobs: TokenLogprobs[] = [];

  constructor(
    tokenizer: Tokenizer,
    promptIds: readonly number[],
    stopTexts: readonly string[],
    stopIds: ReadonlySet<number>,
    skipSpecialTokens: boolean,
  ) {
    this.tokenizer = tokenizer;
    this.promptIds = promptIds;
    this.stopTexts = stopTexts;
    this.decoder = new StreamDecoder(tokenizer, { skipSpecialTokens, contextIds: promptIds });
    this.filter = new StopFilter(stopTexts);
    this.stopIds = stopIds;
  }

  /** The answer so far. */
  get text(): string {
    return this.filter.text;
  }

  /** Takes tokens; those behind a stop text are left out. */
  push(ids: readonly number[], logprobs: readonly TokenLogprobs[]): AnswerPiece {
    let text = '';
    let taken = 0;
    for (const id of ids) {
      if (this.filter.stopped) break;
      this.ids.push(id);
      if (logprobs[taken] !== undefined) this.logprobs.push(logprobs[taken]!);
      taken++;
      // the end token is no part of the text, and a row that only fills the embedding up has none
      if (!this.stopIds.has(id) && id < this.tokenizer.vocabularySize) text += this.filter.push(this.decoder.push(id));
    }
    return { text, ids: ids.slice(0, taken), logprobs: logprobs.slice(0, taken), stopped: this.filter.stopped };
  }

  /** The whole answer without special tokens, for one that was read with them. */
  withoutSpecialTokens(): string {
    const { tokenizer, promptIds, stopTexts, stopIds } = this;
    const plain = new AnswerText(tokenizer, promptIds, stopTexts, stopIds, true);
    plain.push(this.ids, []);
    plain.flush();
    return plain.text;
  }

  /** What was held back, at the end. */
  flush(): string {
    return this.filter.push(this.decoder.flush()) + this.filter.flush();
  }
}

/** Bytes of a token; none for a row that only fills the embedding up. */
function bytesOf(tokenizer: Tokenizer, id: number): Uint8Array {
  return id < tokenizer.vocabularySize ? tokenizer.tokenBytes(id) : new Uint8Array();
}

/** A token as text in a list of log-probabilities: bytes that are no text of their own are written as `bytes:\\xe4`, as OpenAI does. */
export function tokenLabel(tokenizer: Tokenizer, id: number): string {
  const bytes = Buffer.from(bytesOf(tokenizer, id));
  const text = bytes.toString('utf8');
  if (!text.includes('\ufffd')) return text;
  return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')}`;
}

/** The form of `/v1/completions`. */
export interface CompletionLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: (number | null)[];
  readonly top_logprobs: (Record<string, number> | null)[];
  readonly text_offset: number[];
}

/** Log-probabilities of a text for `/v1/completions`, piece by piece. */
export class CompletionLogprobsWriter {
  private readonly tokenizer: Tokenizer;
  // a character may reach over several tokens: those that end none of it add nothing to the offset
  private readonly characters = new TextDecoder('utf-8', { ignoreBOM: true });
  private offset: number;

  /** @param offset where the text begins, in UTF-16 units. */
  constructor(tokenizer: Tokenizer, offset = 0) {
    this.tokenizer = tokenizer;
    this.offset = offset;
  }

  /** The next tokens; one without a score (the first of an echoed prompt) has null. */
  write(ids: readonly number[], logprobs: readonly (TokenLogprobs | undefined)[]): CompletionLogprobs {
    const { tokenizer } = this;
    const result: CompletionLogprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
    for (const [i, id] of ids.entries()) {
      const label = tokenLabel(tokenizer, id);
      const scored = logprobs[i];
      result.tokens.push(label);
      result.text_offset.push(this.offset);
      this.offset += this.characters.decode(bytesOf(tokenizer, id), { stream: true }).length;
      result.token_logprobs.push(scored === undefined ? null : scored.logprob);
      if (scored === undefined) result.top_logprobs.push(null);
      else {
        // the token itself is always among them, as with OpenAI
        const top: Record<string, number> = {};
        for (const each of scored.top) top[tokenLabel(tokenizer, each.id)] = each.logprob;
        top[label] = scored.logprob;
        result.top_logprobs.push(top);
      }
    }
    return result;
  }
}

/** The form of `/v1/chat/completions`: one entry a token. */
export function chatLogprobs(
  tokenizer: Tokenizer,
  ids: readonly number[],
  logprobs: readonly TokenLogprobs[],
): { readonly content: unknown[] } {
  const entry = (id: number, logprob: number): Record<string, unknown> => ({
    token: tokenLabel(tokenizer, id),
    logprob,
    bytes: [...bytesOf(tokenizer, id)],
  });
  return {
    content: ids.flatMap((id, i) => {
      const scored = logprobs[i];
      if (scored === undefined) return [];
      return [{ ...entry(id, scored.logprob), top_logprobs: scored.top.map((top) => entry(top.id, top.logprob)) }];
    }),
  };
}
