/** What asking cost: requests, tokens, money. */
import type { TokenUsage } from './chat.ts';

/** Prices of a model per million tokens, in whatever currency its user counts. */
export interface Price {
  readonly input: number;
  readonly output: number;
}

/** The account of one server. Tokens are those that were told; `untold` counts the answers without them. */
export interface Spending {
  /** Answers that were asked and paid for in this process. */
  readonly asked: number;
  /** Answers that the journal had already. */
  readonly remembered: number;
  /** Requests that were sent, failed ones included. */
  readonly tries: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly untold: number;
  /** The same of answers from the journal. */
  readonly rememberedPromptTokens: number;
  readonly rememberedCompletionTokens: number;
  /** Money of the asked and of the remembered answers; null without a price. */
  readonly cost: number | null;
  readonly rememberedCost: number | null;
}

/** Keeps the account. */
export class Account {
  private readonly price: Price | undefined;
  private readonly asked = { answers: 0, prompt: 0, completion: 0 };
  private readonly remembered = { answers: 0, prompt: 0, completion: 0 };
  private untold = 0;
  private tries = 0;

  constructor(price: Price | undefined) {
    this.price = price;
  }

  /** A request was sent. */
  sent(): void {
    this.tries++;
  }

  /** An answer came, from the server or from the journal. */
  answered(usage: TokenUsage, isRemembered: boolean): void {
    const side = isRemembered ? this.remembered : this.asked;
    side.answers++;
    side.prompt += usage.promptTokens ?? 0;
    side.completion += usage.completionTokens ?? 0;
    if (usage.promptTokens === null || usage.completionTokens === null) this.untold++;
  }

  /** The account so far. */
  get spending(): Spending {
    const { price, asked, remembered } = this;
    const cost = (side: typeof asked): number | null =>
      price === undefined ? null : (side.prompt * price.input + side.completion * price.output) / 1e6;
    return {
      asked: asked.answers,
      remembered: remembered.answers,
      tries: this.tries,
      promptTokens: asked.prompt,
      completionTokens: asked.completion,
      untold: this.untold,
      rememberedPromptTokens: remembered.prompt,
      rememberedCompletionTokens: remembered.completion,
      cost: cost(asked),
      rememberedCost: cost(remembered),
    };
  }
}
