/** What a chat template is to the rest of Fettle: it renders conversations and says where each answer stands. */
import type { Message } from './conversation.ts';

/** What a template must know of the tokenizer. A `Tokenizer` is one. */
export interface TemplateTokens {
  readonly bosToken?: string;
  readonly eosToken?: string;
  readonly padToken?: string;
  readonly unkToken?: string;
  /** Whether the tokenizer itself puts BOS before a text. */
  readonly addsBos: boolean;
  readonly specialIds: ReadonlySet<number>;
  tokenText(id: number): string;
}

export interface RenderOptions {
  /** Whether the header of an assistant turn is written at the end. */
  readonly addGenerationPrompt?: boolean;
  /** Further variables of a Jinja template (`enable_thinking`); they go before those that the template was loaded with. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** What `strftime_now` shows; left out means the date that the template was loaded with. */
  readonly now?: Date;
  readonly tools?: readonly unknown[];
}

/** Where an assistant turn stands in a rendering, in UTF-16 units. */
export interface RenderedTurn {
  /** Index of the message. */
  readonly message: number;
  /** Where the rendering of what precedes, with the assistant's header, ends: training begins here. */
  readonly promptEnd: number;
  readonly contentStart: number;
  readonly contentEnd: number;
  /** Where the end token ends; equal to `contentEnd` where the template has none. */
  readonly end: number;
}

/** A text to train on and the assistant turns that are trained in it. */
export interface RenderedConversation {
  readonly text: string;
  readonly turns: readonly RenderedTurn[];
  /** Earlier assistant turns that stand in the text but are trained elsewhere. */
  readonly history?: readonly RenderedTurn[];
}

export interface ChatTemplate {
  /** The built-in name, or "tokenizer" for the model's own Jinja template, or that of a template file. */
  readonly name: string;
  readonly kind: 'builtin' | 'jinja' | 'custom';
  /** The Jinja text, where it is one. */
  readonly source?: string;
  /** Text of the end-of-turn token, where the template has one. */
  readonly endToken?: string;
  /** Texts that end generation. */
  readonly stopStrings: readonly string[];
  /** Tokens that end generation, by text. */
  readonly stopTokens: readonly string[];
  /** The whole text. @throws DataError where the template refuses the conversation. */
  render(messages: readonly Message[], options?: RenderOptions): string;
  /**
   * The texts to train on: one with all assistant turns; or, where the prompt of a turn rendered alone is no prefix of
   * the whole, that turn in a text of its own as inference would see it. `keepHistory` puts all turns in the one text.
   */
  locate(
    messages: readonly Message[],
    options?: RenderOptions & { readonly keepHistory?: boolean },
  ): readonly RenderedConversation[];
  /** What is saved with an adapter: `loadSavedTemplate` reads it. */
  readonly content: string;
  /** sha256 of all that decides on its renderings, hexadecimal: equal hashes mean equal texts. */
  readonly hash: string;
}
