/** Users' own templates, as they are written in YAML: `system`, `user`, `assistant`, `separator`, `stop`. */
import { FormatError } from '../errors.ts';
import { readWording, type Wording } from './wording.ts';

/** An own template as it is written. */
export interface OwnTemplate {
  /** What it is called; left out: `own`. */
  readonly name?: string | undefined;
  readonly system?: string | undefined;
  readonly user?: string | undefined;
  readonly assistant?: string | undefined;
  readonly separator?: string | undefined;
  readonly stop?: string | readonly string[] | undefined;
}

const known = ['name', 'system', 'user', 'assistant', 'separator', 'stop'];

/** Both `{content}` and LLaMA-Factory's `{{content}}` are slots. */
const plainSlots = (text: string): string =>
  text.replaceAll(/\{\{\s*(content|system|instruction|input|round|bos|eos)(?:_token)?\s*\}\}/g, '{$1}');

/**
 * Reads an own template. `user` and `assistant` hold `{content}`; what stands before it in `assistant` is the header,
 * what stands after it, without white space at its end, the end of the turn (the tokenizer's end token where there is
 * nothing). `system` holds `{system}`, or is the text of every conversation that brings none.
 * @throws FormatError `template-invalid` for unknown keys, wrong types or missing slots.
 */
export function readOwnTemplate(value: unknown, file = 'template'): Wording {
  const refuse = (reason: string): never => {
    throw new FormatError('template-invalid', { template: file, reason });
  };
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return refuse(`must be an object with ${known.join(', ')}, got another value`);
  }
  const fields = value as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(fields).find((key) => !known.includes(key));
  if (unknown !== undefined) return refuse(`knows ${known.join(', ')}, got the key "${unknown}"`);
  const text = (key: string): string | undefined => {
    const wording = fields[key];
    if (wording === undefined || wording === null) return undefined;
    return typeof wording === 'string' ? plainSlots(wording) : refuse(`"${key}" must be a text, got another value`);
  };
  const name = text('name') ?? 'own';
  const assistant = text('assistant') ?? '{content}';
  const place = assistant.indexOf('{content}');
  if (place < 0) return refuse('"assistant" must have the slot {content}, got none');
  const before = assistant.slice(0, place);
  const header = before.replace(/ +$/, '');
  const rest = assistant.slice(place + '{content}'.length);
  const end = rest.trimEnd();
  const system = text('system');
  const hasSlot = system === undefined || /\{(?:system|content)\}/.test(system);
  const stop = fields['stop'];
  const wording: Wording = {
    name,
    ...(system === undefined ? {} : { system: hasSlot ? system.replaceAll('{content}', '{system}') : '{system}' }),
    ...(system === undefined || hasSlot ? {} : { defaultSystem: system }),
    user: text('user') ?? '{content}',
    header,
    ...(before === header ? {} : { lead: before.slice(header.length) }),
    end: end === '' ? '{eos}' : end,
    ...(rest.length === end.length ? {} : { after: rest.slice(end.length) }),
    ...(fields['separator'] === undefined ? {} : { separator: text('separator') ?? '' }),
    ...(stop === undefined || stop === null ? {} : { stop: (typeof stop === 'string' ? [stop] : stop) as string[] }),
  };
  return readWording(wording, file);
}
