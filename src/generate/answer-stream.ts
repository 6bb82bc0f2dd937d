/** The text of an answer as its tokens come, up to a stop text. */
import { StreamDecoder, type Tokenizer } from '../tokenizer/index.ts';
import { StopFilter } from './stop-filter.ts';

/** The text of an answer as its tokens come. */
export class AnswerStream {
  private readonly decoder: StreamDecoder;
  private readonly filter: StopFilter;
  private readonly onText: ((text: string) => void) | undefined;

  constructor(
    tokenizer: Tokenizer,
    { skipSpecialTokens, stopTexts }: { readonly skipSpecialTokens: boolean; readonly stopTexts: readonly string[] },
    promptIds: ArrayLike<number>,
    onText: ((text: string) => void) | undefined,
  ) {
    this.decoder = new StreamDecoder(tokenizer, {
      skipSpecialTokens,
      contextIds: promptIds,
    });
    this.filter = new StopFilter(stopTexts);
    this.onText = onText;
  }

  /** Takes a token; true where a stop text is complete. The end token is no part of the text. */
  push(id: number, isEnd: boolean): boolean {
    if (!isEnd) this.tell(this.filter.push(this.decoder.push(id)));
    return this.filter.stopped;
  }

  /** Gives what was held back, and the whole text. */
  end(): string {
    this.tell(this.filter.push(this.decoder.flush()));
    this.tell(this.filter.flush());
    return this.filter.text;
  }

  private tell(text: string): void {
    if (text !== '') this.onText?.(text);
  }
}
