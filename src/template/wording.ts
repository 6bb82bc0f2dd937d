/**
 * A chat template written as wordings with slots: the form of the built-in ones, of users' own in YAML, and of what is
 * saved. A turn is rendered from its wording, so where an answer stands is known without searching for it.
 */
import { FormatError } from '../errors.ts';
import type {
  ChatTemplate,
  RenderedConversation,
  RenderedTurn,
  RenderOptions,
  TemplateTokens,
} from './chat-template.ts';
import type { Message } from './conversation.ts';
import { sha256 } from './sha256.ts';
import { type ToolFormat, toolFormats } from './tool-formats.ts';

/**
 * The wordings. Slots: `{content}`, `{system}`, `{instruction}`, `{input}`, `{round}` (from 1), `{bos}` and `{eos}`
 * (the tokenizer's, empty where it has none).
 */
export interface Wording {
  readonly name: string;
  /** Where the wording is published. */
  readonly source?: string;
  /** Written before everything else. */
  readonly begin?: string;
  /** The system text; its place is before the first turn, or where `user` has the slot `{system}`. */
  readonly system?: string;
  /** The system text of a conversation without one, where the template has such (alpaca's blurb). */
  readonly defaultSystem?: string;
  /** The same for a conversation whose first turn has an input. */
  readonly defaultSystemWithInput?: string;
  readonly user: string;
  /** For a user turn with an input (`{instruction}`, `{input}`); left out, both are its content. */
  readonly userWithInput?: string;
  /** For a user turn without text. */
  readonly userEmpty?: string;
  /** What opens an assistant turn: the end of every prompt. */
  readonly header: string;
  /** What stands between the header and the answer; trained. */
  readonly lead?: string;
  /** The end of a turn, trained; `{eos}` unless the template names another, "" for none. */
  readonly end: string;
  /** Written after every answer, not trained. */
  readonly after?: string;
  /** Written between an answer and the next turn, not trained. */
  readonly separator?: string;
  /** How tools, calls of them and their results are written; `action` where the family has no wording of its own. */
  readonly toolFormat?: ToolFormat;
  /** Whether the contents of user turns lose the white space around them. */
  readonly stripUser?: boolean;
  /** Further texts that end generation. */
  readonly stop?: readonly string[];
}

/** Contents of saved and own templates stay below this: the longest published one has 13,000 characters. */
export const maxTemplateLength = 262_144;

const slotPattern = /\{(content|system|instruction|input|round|bos|eos)\}/g;

function fill(wording: string, values: Readonly<Record<string, string>>): string {
  return wording.replaceAll(slotPattern, (slot, name: string) => values[name] ?? slot);
}

class WordingTemplate implements ChatTemplate {
  readonly name: string;
  readonly kind: 'builtin' | 'custom';
  declare readonly endToken?: string;
  readonly stopStrings: readonly string[];
  readonly stopTokens: readonly string[];
  readonly content: string;
  readonly hash: string;
  private readonly wording: Wording;
  private readonly tokens: { readonly bos: string; readonly eos: string };
  private readonly writesBos: boolean;
  private readonly defaultSystem: string | undefined;

  constructor(wording: Wording, kind: 'builtin' | 'custom', tokens: TemplateTokens, defaultSystem: string | undefined) {
    this.name = wording.name;
    this.kind = kind;
    this.wording = wording;
    this.tokens = { bos: tokens.bosToken ?? '', eos: tokens.eosToken ?? '' };
    const own = [wording.begin, wording.system, wording.user].some((text) => text?.includes('{bos}') === true);
    this.writesBos = tokens.addsBos && !own;
    this.defaultSystem = defaultSystem;
    const end = fill(wording.end, this.tokens);
    const special = new Set(Array.from(tokens.specialIds, (id) => tokens.tokenText(id)));
    // Only the token itself ends generation, not the white space before it.
    const endToken = end.trim();
    if (endToken !== '') this.endToken = endToken;
    const isToken = special.has(endToken) || endToken === this.tokens.eos;
    this.stopTokens = [...new Set([endToken, this.tokens.eos])].filter(
      (text) => text !== '' && (isToken || text === this.tokens.eos),
    );
    this.stopStrings = [...(isToken || endToken === '' ? [] : [endToken]), ...(wording.stop ?? [])];
    // Sorted, so that what is read from a saved text has the same content and hash.
    const sorted = Object.fromEntries(Object.entries(wording).sort(([a], [b]) => (a < b ? -1 : 1)));
    this.content = JSON.stringify({
      format: 'fettle-template-1',
      kind,
      wording: sorted,
      ...(defaultSystem === undefined ? {} : { defaultSystem }),
    });
    this.hash = sha256(this.content);
  }

  render(messages: readonly Message[], options: RenderOptions = {}): string {
    const { text, open } = this.write(messages, options);
    if (options.addGenerationPrompt !== true) return text;
    return text + (open ? this.separator() : '') + fill(this.wording.header, this.tokens);
  }

  locate(messages: readonly Message[], options: RenderOptions = {}): readonly RenderedConversation[] {
    return [this.write(messages, options)];
  }

  private separator(): string {
    return fill(this.wording.separator ?? '', this.tokens);
  }

  /** The system text, and the place that it takes. */
  private systemText(messages: readonly Message[], tools: readonly unknown[] | undefined): string {
    const { wording } = this;
    const given = messages[0]?.role === 'system' ? messages[0].content : this.defaultSystem;
    const firstUser = messages.find((message) => message.role === 'user');
    const hasInput = firstUser?.instruction !== undefined && firstUser.instruction.input !== '';
    const fallback = hasInput ? (wording.defaultSystemWithInput ?? wording.defaultSystem) : wording.defaultSystem;
    let text = given === undefined || given === '' ? fallback : given;
    if (tools !== undefined && tools.length > 0) text = this.tools().system(text ?? '', tools);
    return text === undefined ? '' : fill(wording.system ?? '{system}\n\n', { ...this.tokens, system: text });
  }

  private tools(): (typeof toolFormats)[ToolFormat] {
    return toolFormats[this.wording.toolFormat ?? 'action'];
  }

  private userText(message: Message, round: number, system: string): string {
    const { wording } = this;
    const parts = message.instruction;
    const hasInput = parts !== undefined && parts.input !== '' && wording.userWithInput !== undefined;
    const content = wording.stripUser === true ? message.content.trim() : message.content;
    const chosen = hasInput
      ? wording.userWithInput
      : content === ''
        ? (wording.userEmpty ?? wording.user)
        : wording.user;
    return fill(chosen, {
      ...this.tokens,
      content,
      system,
      round: `${round}`,
      instruction: parts?.instruction ?? content,
      input: parts?.input ?? '',
    });
  }

  /** Writes all turns; `open` says that an answer was written last, after which a separator is due. */
  private write(
    messages: readonly Message[],
    options: RenderOptions,
  ): RenderedConversation & { readonly open: boolean } {
    const { wording } = this;
    const system = this.systemText(messages, options.tools);
    const systemInUser = wording.user.includes('{system}');
    let text =
      (this.writesBos ? this.tokens.bos : '') + fill(wording.begin ?? '', this.tokens) + (systemInUser ? '' : system);
    const turns: RenderedTurn[] = [];
    let open = false;
    let round = 0;
    messages.forEach((message, index) => {
      if (message.role === 'system') {
        if (index > 0) text += fill(wording.system ?? '{system}\n\n', { ...this.tokens, system: message.content });
        return;
      }
      if (open) text += this.separator();
      open = false;
      if (message.role === 'user' || (message.role === 'tool' && this.tools().result === undefined)) {
        round++;
        text += this.userText(message, round, systemInUser && round === 1 ? system : '');
      } else if (message.role === 'tool') {
        text += this.tools().result?.(messages, index) ?? '';
      } else {
        text += fill(wording.header, this.tokens);
        const promptEnd = text.length;
        text += wording.lead ?? '';
        const contentStart = text.length;
        text += message.content;
        if (message.toolCalls !== undefined && message.toolCalls.length > 0) {
          text += this.tools().calls(message.content, message.toolCalls);
        }
        const contentEnd = text.length;
        text += fill(wording.end, this.tokens);
        turns.push({ message: index, promptEnd, contentStart, contentEnd, end: text.length });
        text += fill(wording.after ?? '', this.tokens);
        open = true;
      }
    });
    return { text, turns, open };
  }
}

/** Makes a template from wordings. `defaultSystem` is the system text of conversations without one. */
export function createWordingTemplate(
  wording: Wording,
  kind: 'builtin' | 'custom',
  tokens: TemplateTokens,
  defaultSystem?: string,
): ChatTemplate {
  return new WordingTemplate(wording, kind, tokens, defaultSystem);
}

const textFields = [
  'source', 'begin', 'system', 'defaultSystem', 'defaultSystemWithInput', 'userWithInput', 'userEmpty', 'lead',
  'after', 'separator',
] as const; // prettier-ignore

/** Checks wordings that were read from a file. @throws FormatError naming the field that is wrong. */
export function readWording(value: unknown, file: string): Wording {
  const refuse = (reason: string): never => {
    throw new FormatError('template-invalid', { template: file, reason });
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return refuse('must be an object of wordings, got another value');
  const fields = value as Readonly<Record<string, unknown>>;
  let length = 0;
  const text = (key: string): string => {
    const wording = fields[key];
    if (typeof wording !== 'string')
      return refuse(`"${key}" must be a text, got ${wording === undefined ? 'nothing' : JSON.stringify(wording)}`);
    length += wording.length;
    if (length > maxTemplateLength)
      return refuse(`all wordings must be at most ${maxTemplateLength} characters long, got more`);
    return wording;
  };
  const optional = Object.fromEntries(
    textFields.flatMap((key) => (fields[key] === undefined ? [] : [[key, text(key)]])),
  );
  const { stop, toolFormat, stripUser } = fields;
  if (
    stop !== undefined &&
    !(Array.isArray(stop) && stop.length <= 64 && stop.every((entry) => typeof entry === 'string'))
  ) {
    return refuse('"stop" must be a list of at most 64 texts, got another value');
  }
  if (toolFormat !== undefined && (typeof toolFormat !== 'string' || !Object.hasOwn(toolFormats, toolFormat))) {
    return refuse(
      `"toolFormat" must be one of ${Object.keys(toolFormats).join(', ')}, got ${JSON.stringify(toolFormat)}`,
    );
  }
  if (stripUser !== undefined && typeof stripUser !== 'boolean')
    return refuse('"stripUser" must be true or false, got another value');
  const user = text('user');
  if (!user.includes('{content}')) return refuse('"user" must have the slot {content}, got none');
  return {
    name: text('name'),
    ...optional,
    user,
    header: text('header'),
    end: text('end'),
    ...(stop === undefined ? {} : { stop }),
    ...(toolFormat === undefined ? {} : { toolFormat: toolFormat as ToolFormat }),
    ...(stripUser === undefined ? {} : { stripUser }),
  };
}
