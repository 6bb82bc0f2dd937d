/** From a name, a model's files or a saved text to a template. */
import { ConfigError, FormatError } from '../errors.ts';
import { builtinAliases, builtinWordings } from './builtin.ts';
import { builtinJinja } from './builtin-jinja.ts';
import type { ChatTemplate, TemplateTokens } from './chat-template.ts';
import { createJinjaTemplate, type JinjaSettings } from './jinja-template.ts';
import { registeredTemplate } from './registered.ts';
import { nearestTemplateNames, suggestTemplates } from './suggest.ts';
import { createWordingTemplate, maxTemplateLength, readWording, type Wording } from './wording.ts';

export interface LoadTemplateOptions {
  /** The name of a built-in template, or of one that a plugin registered; left out, the model's own. */
  readonly name?: string | undefined;
  readonly tokens: TemplateTokens;
  /** The model's own template in Jinja, as `modelChatTemplate` finds it. */
  readonly chatTemplate?: string | undefined;
  /** Where the model's own was looked for, and the model's type, for messages. */
  readonly where?: string | undefined;
  readonly modelType?: string | undefined;
  /** Wordings of the user's own, instead of a name. */
  readonly wording?: Wording | undefined;
  /** The system text of conversations without one. */
  readonly defaultSystem?: string | undefined;
  /** Variables that go to a Jinja template and are saved with it (`enable_thinking`). */
  readonly variables?: Readonly<Record<string, unknown>> | undefined;
  /** What `strftime_now` shows: the run's first start. */
  readonly now?: Date | undefined;
}

/**
 * The template of a run.
 * @throws ConfigError `template-unknown` for a name that is none, `template-missing` where nothing is named and the
 * model has none; both list the three nearest built-in ones. FormatError for a Jinja template that does not parse.
 */
export function loadTemplate(options: LoadTemplateOptions): ChatTemplate {
  const { tokens } = options;
  const defaultSystem = options.defaultSystem === '' ? undefined : options.defaultSystem;
  if (options.wording !== undefined) return createWordingTemplate(options.wording, 'custom', tokens, defaultSystem);
  const own = options.name === undefined ? undefined : registeredTemplate(options.name);
  if (own !== undefined) return createWordingTemplate(own, 'custom', tokens, defaultSystem);
  if (options.name !== undefined) {
    const name = Object.hasOwn(builtinAliases, options.name) ? builtinAliases[options.name]! : options.name;
    if (Object.hasOwn(builtinJinja, name)) return jinjaTemplate(name, builtinJinja[name]!, options, defaultSystem);
    const wording = builtinWordings.find((candidate) => candidate.name === name);
    if (wording === undefined) {
      throw new ConfigError('template-unknown', { name: options.name, nearest: nearestTemplateNames(options.name) });
    }
    return createWordingTemplate(wording, 'builtin', tokens, defaultSystem);
  }
  if (options.chatTemplate === undefined) {
    const where = options.where ?? 'the model';
    throw new ConfigError('template-missing', { where, nearest: suggestTemplates(where, options.modelType, tokens) });
  }
  return jinjaTemplate('tokenizer', options.chatTemplate, options, defaultSystem);
}

function jinjaTemplate(
  name: string,
  source: string,
  { tokens, variables, now }: LoadTemplateOptions,
  defaultSystem: string | undefined,
): ChatTemplate {
  const { bosToken, eosToken, padToken, unkToken } = tokens;
  const settings: JinjaSettings = {
    name,
    source,
    ...(bosToken === undefined ? {} : { bosToken }),
    ...(eosToken === undefined ? {} : { eosToken }),
    ...(padToken === undefined ? {} : { padToken }),
    ...(unkToken === undefined ? {} : { unkToken }),
    ...(defaultSystem === undefined ? {} : { defaultSystem }),
    ...(variables === undefined ? {} : { variables }),
    date: (now ?? new Date()).toISOString(),
  };
  return createJinjaTemplate(settings, tokens);
}

function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new FormatError('template-invalid', { template: file, reason: 'must be UTF-8 text, got other bytes' });
  }
}

function parseObject(text: string, file: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below, together with other values that are no object.
  }
  throw new FormatError('template-invalid', { template: file, reason: 'must be a JSON object, got something else' });
}

/**
 * The model's own chat template among its tokenizer's files: `chat_template.jinja`, else `chat_template.json`, else
 * `chat_template` of `tokenizer_config.json`; of several named ones `default`.
 */
export function modelChatTemplate(files: ReadonlyMap<string, Uint8Array>): string | undefined {
  const jinja = files.get('chat_template.jinja');
  if (jinja !== undefined) return decodeText(jinja, 'chat_template.jinja');
  for (const file of ['chat_template.json', 'tokenizer_config.json']) {
    const bytes = files.get(file);
    if (bytes === undefined) continue;
    const value = parseObject(decodeText(bytes, file), file)['chat_template'];
    if (value === undefined || value === null) continue;
    if (typeof value === 'string') return value;
    const named = Array.isArray(value) ? (value as { name?: unknown; template?: unknown }[]) : [];
    const chosen = named.find((entry) => entry?.name === 'default') ?? named[0];
    if (typeof chosen?.template === 'string') return chosen.template;
    throw new FormatError('template-invalid', {
      template: file,
      reason: '"chat_template" must be a text or a list of named texts, got another value',
    });
  }
  return undefined;
}

/**
 * The template that was saved with an adapter (`ChatTemplate.content`).
 * @param own system text and variables of now, which go before the saved ones.
 * @throws FormatError where the text is not one.
 */
export function loadSavedTemplate(
  content: string,
  tokens: TemplateTokens,
  file = 'saved template',
  own: Pick<LoadTemplateOptions, 'defaultSystem' | 'variables'> = {},
): ChatTemplate {
  if (content.length > maxTemplateLength * 2) {
    throw new FormatError('template-bounds', {
      template: file,
      requirement: `must be at most ${maxTemplateLength * 2} characters long`,
      actual: `${content.length}`,
    });
  }
  const saved = parseObject(content, file);
  if (saved['format'] !== 'fettle-template-1') {
    throw new FormatError('template-invalid', {
      template: file,
      reason: '"format" must be "fettle-template-1", got another value',
    });
  }
  const { kind } = saved;
  const defaultSystem = (own.defaultSystem ?? '') === '' ? saved['defaultSystem'] : own.defaultSystem;
  if (kind === 'builtin' || kind === 'custom') {
    const system = typeof defaultSystem === 'string' ? defaultSystem : undefined;
    return createWordingTemplate(readWording(saved['wording'], file), kind, tokens, system);
  }
  const text = (key: string): string | undefined => (typeof saved[key] === 'string' ? saved[key] : undefined);
  const source = text('source');
  const date = text('date');
  if (kind !== 'jinja' || source === undefined || date === undefined || Number.isNaN(Date.parse(date))) {
    throw new FormatError('template-invalid', {
      template: file,
      reason: 'must hold a kind, a source and a date, got another value',
    });
  }
  const savedVariables = saved['variables'];
  const variables: Readonly<Record<string, unknown>> = {
    ...(typeof savedVariables === 'object' ? savedVariables : {}),
    ...own.variables,
  };
  const optional = Object.fromEntries(
    ['bosToken', 'eosToken', 'padToken', 'unkToken'].flatMap((key) => {
      const value = text(key);
      return value === undefined ? [] : [[key, value]];
    }),
  );
  return createJinjaTemplate(
    {
      name: text('name') ?? 'tokenizer',
      source,
      ...optional,
      ...(typeof defaultSystem === 'string' ? { defaultSystem } : {}),
      ...(Object.keys(variables).length > 0 || savedVariables !== undefined ? { variables } : {}),
      date,
    },
    tokens,
  );
}
