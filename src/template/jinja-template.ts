/**
 * The model's own chat template, or any other in Jinja. Where an answer stands is found by rendering what precedes it:
 * the prompt of each assistant turn, with the assistant's header, must be how the whole rendering begins.
 */
import { BoundedJinja } from './bounded-jinja.ts';
import type {
  ChatTemplate,
  RenderedConversation,
  RenderedTurn,
  RenderOptions,
  TemplateTokens,
} from './chat-template.ts';
import type { Message, ToolCall } from './conversation.ts';
import { sha256 } from './sha256.ts';

/** Stands for a content where its place is looked for; no data holds it. */
const sentinel = '\u2983fettle\u2984';

export interface JinjaSettings {
  readonly name: string;
  readonly source: string;
  readonly bosToken?: string;
  readonly eosToken?: string;
  readonly padToken?: string;
  readonly unkToken?: string;
  readonly defaultSystem?: string;
  readonly variables?: Readonly<Record<string, unknown>>;
  /** What `strftime_now` shows: the date of the run's first start, as ISO 8601 text. */
  readonly date: string;
}

function callForJinja({ id, name, arguments: values }: ToolCall): object {
  return { ...(id === undefined ? {} : { id }), type: 'function', function: { name, arguments: values } };
}

/** A message as transformers passes it to a template. */
function messageForJinja(message: Message): object {
  return {
    role: message.role,
    content: message.content,
    ...(message.toolCalls === undefined ? {} : { tool_calls: message.toolCalls.map(callForJinja) }),
    ...(message.name === undefined ? {} : { name: message.name }),
  };
}

class JinjaTemplate implements ChatTemplate {
  readonly name: string;
  readonly kind = 'jinja';
  readonly source: string;
  declare readonly endToken?: string;
  readonly stopStrings: readonly string[];
  readonly stopTokens: readonly string[];
  readonly content: string;
  readonly hash: string;
  private readonly jinja: BoundedJinja;
  private readonly settings: JinjaSettings;
  private readonly date: Date;
  /** What follows the content of an assistant turn, and how much of it belongs to the end token. */
  private readonly tail: string;
  private readonly endLength: number;

  constructor(settings: JinjaSettings, specialTexts: readonly string[]) {
    this.name = settings.name;
    this.source = settings.source;
    this.settings = settings;
    this.jinja = new BoundedJinja(settings.name, settings.source);
    this.date = new Date(settings.date);
    this.tail = this.findTail();
    this.endLength = endLengthOf(this.tail, specialTexts);
    const endToken = this.tail.slice(0, this.endLength).trim();
    const isToken = specialTexts.includes(endToken);
    if (endToken !== '') this.endToken = endToken;
    const eos = settings.eosToken;
    this.stopTokens = [...new Set([...(isToken ? [endToken] : []), ...(eos === undefined ? [] : [eos])])];
    this.stopStrings = isToken || endToken === '' || endToken === eos ? [] : [endToken];
    this.content = JSON.stringify({ format: 'fettle-template-1', kind: 'jinja', ...settings });
    // The day counts only for templates that write it: others give the same text on any day.
    const { date, ...undated } = settings;
    const day = settings.source.includes('strftime_now') ? date.slice(0, 10) : '';
    this.hash = sha256(JSON.stringify({ ...undated, day }));
  }

  /** What a template writes after an answer; "" where it refuses the simplest conversation. */
  private findTail(): string {
    try {
      const text = this.write([
        { role: 'user', content: 'a' },
        { role: 'assistant', content: sentinel },
      ]);
      const place = text.lastIndexOf(sentinel);
      return place < 0 ? '' : text.slice(place + sentinel.length);
    } catch {
      return '';
    }
  }

  private write(messages: readonly Message[], options: RenderOptions = {}): string {
    const { bosToken, eosToken, padToken, unkToken, defaultSystem, variables } = this.settings;
    const withSystem: readonly Message[] =
      defaultSystem === undefined || defaultSystem === '' || messages[0]?.role === 'system'
        ? messages
        : [{ role: 'system', content: defaultSystem }, ...messages];
    return this.jinja.render(
      {
        bos_token: bosToken,
        eos_token: eosToken,
        pad_token: padToken,
        unk_token: unkToken,
        tools: options.tools === undefined || options.tools.length === 0 ? null : options.tools,
        documents: null,
        ...variables,
        ...options.variables,
        messages: withSystem.map(messageForJinja),
        add_generation_prompt: options.addGenerationPrompt === true,
      },
      options.now ?? this.date,
    );
  }

  render(messages: readonly Message[], options: RenderOptions = {}): string {
    return this.write(messages, options);
  }

  locate(
    messages: readonly Message[],
    options: RenderOptions & { readonly keepHistory?: boolean } = {},
  ): readonly RenderedConversation[] {
    const whole = this.write(messages, { ...options, addGenerationPrompt: false });
    const turns: RenderedTurn[] = [];
    const alone: RenderedConversation[] = [];
    messages.forEach((message, index) => {
      if (message.role !== 'assistant') return;
      const prompt = this.write(messages.slice(0, index), { ...options, addGenerationPrompt: true });
      if (whole.startsWith(prompt)) {
        turns.push(this.place(messages, index, whole, prompt.length, options));
      } else if (options.keepHistory === true) {
        turns.push(this.place(messages, index, whole, undefined, options));
      } else {
        alone.push(this.locateAlone(messages.slice(0, index + 1), prompt, options));
      }
    });
    return turns.length === 0 && alone.length > 0 ? alone : [{ text: whole, turns }, ...alone];
  }

  /** The last turn of `messages` in a text of its own: its prompt as inference has it, and the answer. */
  private locateAlone(messages: readonly Message[], prompt: string, options: RenderOptions): RenderedConversation {
    const index = messages.length - 1;
    const whole = this.write(messages, { ...options, addGenerationPrompt: false });
    const history = this.historyIn(prompt, messages.slice(0, index), options);
    if (whole.startsWith(prompt)) {
      return { text: whole, turns: [this.place(messages, index, whole, prompt.length, options)], history };
    }
    // The answer's own rendering does not continue the prompt: put what follows the header after it.
    const turn = this.place(messages, index, whole, undefined, options);
    const rest = whole.slice(turn.contentStart);
    const shift = prompt.length - turn.contentStart;
    return {
      text: prompt + rest,
      history,
      turns: [
        {
          message: index,
          promptEnd: prompt.length,
          contentStart: prompt.length,
          contentEnd: turn.contentEnd + shift,
          end: turn.end + shift,
        },
      ],
    };
  }

  /** The assistant turns before a prompt's end, as far as the prompt begins like the rendering of its messages. */
  private historyIn(prompt: string, messages: readonly Message[], options: RenderOptions): readonly RenderedTurn[] {
    if (!messages.some(({ role }) => role === 'assistant')) return [];
    const [first] = this.locate(messages, options);
    const end = first?.turns.at(-1)?.end ?? 0;
    return first !== undefined && prompt.startsWith(first.text.slice(0, end)) ? first.turns : [];
  }

  /** Where the content and the end of one assistant turn stand in a rendering of all of `messages`. */
  private place(
    messages: readonly Message[],
    index: number,
    whole: string,
    promptEnd: number | undefined,
    options: RenderOptions,
  ): RenderedTurn {
    const { content } = messages[index]!;
    const isLast = index === messages.length - 1;
    const upTo = isLast ? whole : this.write(messages.slice(0, index + 1), { ...options, addGenerationPrompt: false });
    if (promptEnd !== undefined && whole.startsWith(upTo) && upTo.length >= promptEnd && upTo.endsWith(this.tail)) {
      const contentEnd = upTo.length - this.tail.length;
      for (const form of [content, content.trim()]) {
        if (contentEnd - form.length >= promptEnd && upTo.startsWith(form, contentEnd - form.length)) {
          const contentStart = contentEnd - form.length;
          return { message: index, promptEnd, contentStart, contentEnd, end: contentEnd + this.endLength };
        }
      }
      // Tool calls and rewritten contents: all between header and tail is the answer.
      return { message: index, promptEnd, contentStart: promptEnd, contentEnd, end: contentEnd + this.endLength };
    }
    return this.placeBySentinel(messages, index, whole, promptEnd, options);
  }

  /** Renders once more with another content in this turn: what stays the same before and after bounds the turn. */
  private placeBySentinel(
    messages: readonly Message[],
    index: number,
    whole: string,
    promptEnd: number | undefined,
    options: RenderOptions,
  ): RenderedTurn {
    const changed = messages.map((message, i) => (i === index ? { ...message, content: sentinel } : message));
    const other = this.write(changed, { ...options, addGenerationPrompt: false });
    const found = other.lastIndexOf(sentinel);
    const before = found < 0 ? commonStart(whole, other) : found;
    const after = found < 0 ? commonEnd(whole, other, before) : other.length - found - sentinel.length;
    const contentStart = Math.max(promptEnd ?? 0, Math.min(before, whole.length));
    const contentEnd = Math.max(contentStart, whole.length - after);
    const end = whole.startsWith(this.tail.slice(0, this.endLength), contentEnd)
      ? contentEnd + this.endLength
      : contentEnd;
    return { message: index, promptEnd: promptEnd ?? contentStart, contentStart, contentEnd, end };
  }
}

function commonStart(a: string, b: string): number {
  let length = 0;
  while (length < a.length && length < b.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

function commonEnd(a: string, b: string, from: number): number {
  let length = 0;
  while (
    length < a.length - from &&
    length < b.length - from &&
    a.charCodeAt(a.length - 1 - length) === b.charCodeAt(b.length - 1 - length)
  ) {
    length++;
  }
  return length;
}

/** How much of the text after an answer is its end: through the first special token, or all but white space. */
function endLengthOf(tail: string, specialTexts: readonly string[]): number {
  let best: { readonly at: number; readonly length: number } | undefined;
  for (const text of specialTexts) {
    const place = text === '' ? -1 : tail.indexOf(text);
    if (place < 0) continue;
    if (best === undefined || place < best.at || (place === best.at && text.length > best.length)) {
      best = { at: place, length: text.length };
    }
  }
  return best === undefined ? tail.trimEnd().length : best.at + best.length;
}

/** Makes a template from Jinja source. @throws FormatError where it does not parse or is too long. */
export function createJinjaTemplate(settings: JinjaSettings, tokens: TemplateTokens): ChatTemplate {
  const special = Array.from(tokens.specialIds, (id) => tokens.tokenText(id));
  if (tokens.eosToken !== undefined) special.push(tokens.eosToken);
  return new JinjaTemplate(settings, special);
}
