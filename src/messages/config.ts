/** Texts about settings and the command line. */

/** What a value must be: the part of a JSON schema that a text can be made of. */
export interface ValueRequirement {
  readonly type?: string | undefined;
  readonly enum?: readonly (string | number | boolean)[] | undefined;
  readonly const?: string | number | boolean | undefined;
  readonly minimum?: number | undefined;
  readonly maximum?: number | undefined;
  readonly exclusiveMinimum?: number | undefined;
  readonly exclusiveMaximum?: number | undefined;
  readonly minItems?: number | undefined;
  readonly minLength?: number | undefined;
  readonly items?: ValueRequirement | undefined;
  readonly anyOf?: readonly ValueRequirement[] | undefined;
  readonly properties?: Readonly<Record<string, ValueRequirement>> | undefined;
  /** What stands under every other name of a mapping; false where there may be none. */
  readonly additionalProperties?: ValueRequirement | boolean | undefined;
  /** A way of writing that the type does not say: `bytes` is a size such as 8GB. */
  readonly reading?: string | undefined;
  /** A rule beyond the range: see `ruleTexts`. */
  readonly rule?: string | undefined;
}

const ruleTexts: Readonly<Record<string, string>> = {
  'fraction-or-integer': 'a share below 1 or a whole number',
  'four-or-eight': '4 or 8',
  'unset-or-positive': '-1 (not set) or a whole number from 1 on',
  'two-systems': 'a mapping of two names or more',
  'system-names':
    'a mapping whose names begin with a letter, hold letters, digits, ".", "-" and "_" only, and are not "judge"',
};

const listItems: Readonly<Record<string, string>> = { integer: 'whole numbers', number: 'numbers' };

/** Largest whole number that JSON schema names where a schema sets no limit of its own. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER;

function rangeText(r: ValueRequirement): string {
  const parts: string[] = [];
  if (r.minimum !== undefined && r.minimum !== -NO_LIMIT) parts.push(`at least ${r.minimum}`);
  if (r.exclusiveMinimum !== undefined) parts.push(`above ${r.exclusiveMinimum}`);
  if (r.maximum !== undefined && r.maximum !== NO_LIMIT) parts.push(`at most ${r.maximum}`);
  if (r.exclusiveMaximum !== undefined) parts.push(`below ${r.exclusiveMaximum}`);
  return parts.length === 0 ? '' : `, ${parts.join(' and ')}`;
}

/** A requirement in words: `a whole number, at least 1`, `one of a, b, c`. */
export function requirementText(r: ValueRequirement): string {
  if (r.rule !== undefined && ruleTexts[r.rule] !== undefined) return ruleTexts[r.rule]!;
  if (r.reading === 'bytes') return 'a size such as 8GB or 800MB, at least 1MB';
  if (r.anyOf !== undefined) return r.anyOf.map(requirementText).join(', or ');
  if (r.enum !== undefined) return r.enum.length === 1 ? String(r.enum[0]) : `one of ${r.enum.join(', ')}`;
  if (r.const !== undefined) return String(r.const);
  switch (r.type) {
    case 'integer':
      return `a whole number${rangeText(r)}`;
    case 'number':
      return `a number${rangeText(r)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      if (r.items?.type === 'object') return `a list, each ${requirementText(r.items)}`;
      return r.items?.enum === undefined
        ? `a list (or one text with commas) of ${listItems[r.items?.type ?? ''] ?? 'names'}`
        : `one or more of ${r.items.enum.join(', ')}`;
    case 'object':
      if (r.properties === undefined) {
        return typeof r.additionalProperties === 'object' && r.additionalProperties.properties !== undefined
          ? `a mapping of names, each to ${requirementText(r.additionalProperties)}`
          : 'a mapping';
      }
      return `a mapping with the keys ${Object.keys(r.properties ?? {}).join(', ')}`;
    default:
      return r.minLength === undefined ? 'a text' : 'a text that is not empty';
  }
}

const didYouMean = (suggestion: string | undefined): string => (suggestion ? `. Did you mean "${suggestion}"?` : '');

/** What is wrong with the syntax of a file, by what it must be. */
const syntaxTexts = {
  indentation: 'keys of one mapping must begin in one column, and values stand behind them or further in',
  'not-closed': 'a quote or bracket that is opened must be closed',
  'key-value': 'a line must be one "key: value"; a value that holds ": " or a line break must be in quotes',
  tab: 'lines must be indented with blanks, not tabs',
  'reserved-start': 'a value that begins with @ or ` must be in quotes',
  'one-document': 'a configuration must be one document',
  alias: 'an alias (*name) must stand behind its anchor (&name)',
  escape: 'in double quotes a backslash must begin an escape: write \\\\, or use single quotes',
  yaml: 'the file must be YAML or JSON',
} as const;
/** A fault of syntax. */
export type SyntaxFault = keyof typeof syntaxTexts;

/** One wrong setting each; `where` is `FILE:LINE:COLUMN`, `command line: key=value` or a name for options of the API. */
const problemTexts = {
  'unknown-key': (f: { where: string; key: string; suggestion?: string | undefined }) =>
    `${f.where}: unknown key "${f.key}"${didYouMean(f.suggestion)}`,
  'wrong-value': (f: {
    where: string;
    key: string;
    expected: ValueRequirement;
    actual: string;
    suggestion?: string | undefined;
  }) => `${f.where}: ${f.key} must be ${requirementText(f.expected)}, got ${f.actual}${didYouMean(f.suggestion)}`,
  'refused-setting': (f: { where: string; key: string; actual: string; remedy: string }) =>
    `${f.where}: ${f.key}: ${f.actual} is not supported yet. ${f.remedy}`,
  'duplicate-key': (f: { where: string; key: string }) => `${f.where}: key "${f.key}" must stand once, got it twice`,
  'config-syntax': (f: { where: string; fault: SyntaxFault; actual: string }) =>
    `${f.where}: ${syntaxTexts[f.fault]}, got ${f.actual === '' ? 'the end of the file' : JSON.stringify(f.actual)}`,
  'config-not-a-mapping': (f: { where: string; actual: string }) =>
    `${f.where}: a configuration must be a mapping of keys to values, got ${f.actual}`,
  'config-unreadable': (f: { where: string; reason: string }) =>
    `${f.where}: the configuration cannot be read: ${f.reason}`,
  'value-file': (f: { where: string; key: string; file: string; reason: string }) =>
    `${f.where}: the file of ${f.key} must be readable, got ${f.reason}: ${f.file}`,
  'config-too-large': (f: { where: string; bytes: number; maxBytes: number }) =>
    `${f.where}: a configuration must have at most ${f.maxBytes} bytes, got ${f.bytes}`,
  'config-encoding': (f: { where: string; encoding: string }) =>
    `${f.where}: a configuration must be UTF-8, got ${f.encoding}. Save it as UTF-8`,
  'config-too-deep': (f: { where: string; maxDepth: number }) =>
    `${f.where}: values must be nested at most ${f.maxDepth} deep, got more`,
  'too-many-aliases': (f: { where: string; maxAliases: number }) =>
    `${f.where}: YAML aliases must expand to at most ${f.maxAliases} values, got more`,
  'not-a-setting': (f: { where: string; argument: string; suggestion?: string | undefined }) =>
    `${f.where}: arguments after the configuration must be key=value, got "${f.argument}"${didYouMean(f.suggestion)}`,
  'missing-key': (f: { where: string; key: string; command: string }) =>
    `${f.where}: ${f.command} needs ${f.key}, got none`,
  'setting-needs': (f: { where: string; setting: string; needs: readonly string[] }) =>
    `${f.where}: ${f.setting} needs ${f.needs.join(' or ')}, got ${f.needs.length > 1 ? 'neither' : insteadOf(f.needs[0]!)}`,
  'settings-exclude': (f: { where: string; setting: string; other: string; remedy?: string | undefined }) =>
    `${f.where}: ${f.setting} cannot stand together with ${f.other}${f.remedy ? `. ${f.remedy}` : ''}`,
  'limits-exceed-cutoff': (f: { where: string; setting: string; length: number; cutoffLength: number }) =>
    `${f.where}: ${f.setting} must fit into cutoff_len, got ${f.length} against ${f.cutoffLength}. Set cutoff_len=${f.length} or lower the limits`,
  'probabilities-count': (f: { where: string; key: string; sets: number; given: number }) =>
    `${f.where}: interleave_probs must have one number for each of ${f.key}, got ${f.given} for ${f.sets}`,
  'plugin-path': (f: { where: string; path: string; requirement: string; actual: string }) =>
    `${f.where}: the plugin ${JSON.stringify(f.path)} must be ${f.requirement}, got ${f.actual}`,
  'save-off-beat': (f: { where: string; saveSteps: number; evalSteps: number }) =>
    `${f.where}: with load_best_model_at_end save_steps must be a multiple of eval_steps, got ${f.saveSteps} and ${f.evalSteps}`,
};

/** A wrong setting: its code and fields. */
export type ConfigProblem = {
  [C in keyof typeof problemTexts]: { readonly code: C; readonly fields: Parameters<(typeof problemTexts)[C]>[0] };
}[keyof typeof problemTexts];

/** The text of one wrong setting. */
export function configProblemText(problem: ConfigProblem): string {
  const render = problemTexts[problem.code] as (fields: ConfigProblem['fields']) => string;
  return render(problem.fields);
}

/** Most lines of a message; more problems are counted. */
const MAX_LINES = 15;

/** Things that are said about a valid configuration. */
const noticeTexts = {
  'ignored-keys': (f: { places: readonly { readonly where: string; readonly keys: readonly string[] }[] }) =>
    f.places
      .map(({ where, keys }, i) => `${where}: ${i === 0 ? 'without effect here: ' : ''}${keys.join(', ')}`)
      .join('; '),
  'computed-in-f32': (f: { keys: readonly string[] }) =>
    `${f.keys.join(', ')}: accepted; the arithmetic is f32 on this device`,
};

/** A notice: its code and fields. */
export type ConfigNotice = {
  [C in keyof typeof noticeTexts]: { readonly code: C; readonly fields: Parameters<(typeof noticeTexts)[C]>[0] };
}[keyof typeof noticeTexts];

/** The text of one notice. */
export function configNoticeText(notice: ConfigNotice): string {
  const render = noticeTexts[notice.code] as (fields: ConfigNotice['fields']) => string;
  return render(notice.fields);
}

/** What stands in place of a setting that is missing: `key`, `key: true` or `key: value`. */
function insteadOf(setting: string): string {
  const [key, value] = setting.split(': ');
  if (value === undefined) return 'none';
  return value === 'true' ? 'false' : `another ${key}`;
}

export const configMessages = {
  ...problemTexts,
  ...noticeTexts,
  'several-problems': (f: { problems: readonly { readonly code: string; readonly text: string }[] }) => {
    const lines = f.problems.flatMap(({ text }) => text.split('\n'));
    return lines.length <= MAX_LINES
      ? lines.join('\n')
      : [...lines.slice(0, MAX_LINES - 1), `... and ${lines.length - MAX_LINES + 1} more`].join('\n');
  },
  'config-problems': (f: { problems: readonly ConfigProblem[] }) => {
    const lines = f.problems.map(configProblemText);
    if (lines.length <= MAX_LINES) return lines.join('\n');
    return [...lines.slice(0, MAX_LINES - 1), `... and ${lines.length - MAX_LINES + 1} more`].join('\n');
  },
};
