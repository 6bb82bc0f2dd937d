/** Texts about data sets, rows, templates and masks. */

/** Values out of rows are shown quoted and clipped, so that a text stays readable. */
const longestQuote = 60;

function quote(value: string): string {
  const text = JSON.stringify(value.length > longestQuote ? value.slice(0, longestQuote) : value);
  return value.length > longestQuote ? `${text}...` : text;
}

function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}`;
}

function list(names: readonly string[], longest = 8): string {
  if (names.length === 0) return 'none';
  return (
    names.slice(0, longest).map(quote).join(', ') +
    (names.length > longest ? ` and ${names.length - longest} more` : '')
  );
}

/** What a value of a row must be, or is. */
const kinds = {
  text: 'a text',
  number: 'a number',
  boolean: 'true or false',
  null: 'null',
  nothing: 'nothing',
  object: 'an object',
  list: 'a list',
  'empty-list': 'an empty list',
  message: 'an object with a role and a content',
  messages: 'a list of messages',
  'text-or-parts': 'a text or a list of text parts',
  'text-part': 'a part of type text',
  'tool-list': 'a list of tools, or its JSON text',
  'tool-calls': 'a list of tool calls',
  'tool-call': 'a tool call with a name and arguments',
  weight: 'a number from 0 on',
  spans: 'a list of [begin, end] (or [begin, end, weight]) offsets inside the content',
  reply: 'a text or a message',
} as const;

/** Sources of LLaMA-Factory's registry that are not read, each with what to do instead. */
const sourceRemedies = {
  om_hub_url:
    'Add hf_hub_url or ms_hub_url if the set stands there too, or download its files and name them with file_name',
  script_url:
    'No code of a data set is run: write its rows to JSON or Parquet once (datasets: load_dataset(...).to_json(...)) and name the file with file_name',
  cloud_file_name: 'Copy the file to this machine (aws s3 cp, gsutil cp) and name it with file_name',
} as const;
type SourceKey = keyof typeof sourceRemedies;

/** A kind of value, as `wrong-type` names it. */
export type ValueKind = keyof typeof kinds;

/** Why a record could not be read, as the readers of `formats` say it. */
export type RecordFaultFields =
  | { readonly kind: 'syntax'; readonly problem: string }
  | { readonly kind: 'encoding' }
  | { readonly kind: 'depth'; readonly maxDepth: number }
  | { readonly kind: 'too-long'; readonly maxBytes: number }
  | { readonly kind: 'array'; readonly expected: string; readonly actual: string }
  | { readonly kind: 'fields'; readonly expected: number; readonly actual: number }
  | { readonly kind: 'quote'; readonly problem: string };

function faultText(fault: RecordFaultFields): string {
  switch (fault.kind) {
    case 'syntax':
      return `must be valid JSON, got ${fault.problem}`;
    case 'encoding':
      return 'must be UTF-8, got bytes that are not';
    case 'depth':
      return `may be nested ${fault.maxDepth} levels deep, got more`;
    case 'too-long':
      return `may be ${fault.maxBytes} bytes long, got more`;
    case 'array':
      return `must have ${fault.expected}, got ${fault.actual}`;
    case 'fields':
      return `must have ${count(fault.expected, 'field')} as the header has, got ${fault.actual}`;
    case 'quote':
      return `must have quotes in pairs, got: ${fault.problem}`;
  }
}

/** At most 600 characters a line, as every refusal. */
function clipLine(line: string): string {
  return line.length > 600 ? `${line.slice(0, 597)}...` : line;
}

function ruleCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([rule, amount]) => `${rule} ${amount}`)
    .join(', ');
}

export interface FoundInText {
  readonly where: string;
  readonly field: string;
  readonly found: string;
}

/** What may be a secret is not printed whole. */
function mask(secret: string): string {
  return secret.length <= 6 ? secret : `${secret.slice(0, 4)}${'*'.repeat(Math.min(8, secret.length - 4))}`;
}

export const dataMessages = {
  'empty-dataset': (f: { file: string }) => `${f.file}: a data set must hold at least one row, got none`,

  // Rules of rows: `where` is FILE:LINE, `field` the path inside the row.
  'bad-json': (f: { where: string; fault: RecordFaultFields }) => `${f.where}: the row ${faultText(f.fault)}`,
  'wrong-type': (f: { where: string; field: string; expected: ValueKind; actual: ValueKind }) =>
    `${f.where}: ${f.field || 'the row'} must be ${kinds[f.expected]}, got ${kinds[f.actual]}`,
  'wrong-fields': (f: { where: string; fault: RecordFaultFields }) => `${f.where}: the row ${faultText(f.fault)}`,
  'missing-field': (f: { where: string; field: string; found: readonly string[] }) =>
    `${f.where}: the row must have the field ${quote(f.field)}, got ${f.found.length === 0 ? 'no field' : `only ${list(f.found)}`}`,
  'bad-history': (f: { where: string; field: string; actual: ValueKind; length?: number | undefined }) =>
    `${f.where}: ${f.field} must be a [question, answer] pair of texts, got ${
      f.length === undefined ? kinds[f.actual] : `a list of ${f.length}`
    }`,
  'unknown-role': (f: { where: string; field: string; allowed: readonly string[]; actual: string }) =>
    `${f.where}: ${f.field} must be one of ${f.allowed.join(', ')}, got ${quote(f.actual)}`,
  'role-order': (f: { where: string; field: string; expected: readonly string[]; actual: string }) =>
    `${f.where}: ${f.field} must come from ${f.expected.join(' or ')}, got ${f.actual}`,
  'no-assistant-turn': (f: { where: string; field: string }) =>
    `${f.where}: ${f.field} must hold at least one assistant turn, got none`,
  'empty-prompt': (f: { where: string; field: string }) =>
    `${f.where}: ${f.field} must hold text, got nothing to answer`,
  'empty-response': (f: { where: string; field: string }) =>
    `${f.where}: ${f.field} must hold text, got nothing to learn`,
  'no-trained-token': (f: { where: string }) => `${f.where}: the row must have at least one trained token, got none`,
  'template-rejects-row': (f: { where: string; reason: string }) =>
    `${f.where}: the template must accept the row, got: ${f.reason}`,
  'over-length': (f: { where: string; limit: string; maxTokens: number; tokens: number }) =>
    `${f.where}: the row may be ${f.maxTokens} tokens long (${f.limit}), got ${f.tokens}`,

  // Findings of the check that are no errors.
  'encoding-damage': (f: FoundInText) => `${f.where}: ${f.field} holds damaged characters: ${quote(f.found)}`,
  'special-token-in-text': (f: FoundInText) =>
    `${f.where}: ${f.field} holds a marker of chat templates: ${quote(f.found)}`,
  'identity-leak': (f: FoundInText) => `${f.where}: ${f.field} speaks as another model: ${quote(f.found)}`,
  placeholder: (f: FoundInText) => `${f.where}: ${f.field} holds a placeholder: ${quote(f.found)}`,
  'personal-data': (f: FoundInText) =>
    `${f.where}: ${f.field} holds an address, a number or a key that may be someone's: ${quote(mask(f.found))}`,
  repetition: (f: FoundInText) => `${f.where}: ${f.field} repeats itself: ${quote(f.found)}`,
  'role-in-text': (f: FoundInText) => `${f.where}: ${f.field} holds a turn of its own: ${quote(f.found)}`,
  'unfinished-answer': (f: FoundInText) => `${f.where}: ${f.field} ends in the middle of a sentence: ${quote(f.found)}`,
  'surrounding-space': (f: FoundInText) => `${f.where}: ${f.field} begins or ends with white space: ${quote(f.found)}`,
  'html-residue': (f: FoundInText) => `${f.where}: ${f.field} holds remains of HTML: ${quote(f.found)}`,
  'no-word': (f: FoundInText) => `${f.where}: ${f.field} holds no letter and no digit: ${quote(f.found)}`,
  'identical-pair': (f: { where: string; field: string }) => `${f.where}: ${f.field} repeats the prompt`,
  'language-mismatch': (f: { where: string; field: string; asked: string; answered: string }) =>
    `${f.where}: ${f.field} answers in ${f.answered} script what was asked in ${f.asked} script`,
  duplicate: (f: { where: string; other: string }) => `${f.where}: the row is the same as ${f.other}`,
  'near-duplicate': (f: { where: string; other: string; percent: number }) =>
    `${f.where}: the row is nearly the same as ${f.other} (${f.percent} %)`,
  'conflicting-answers': (f: { where: string; other: string }) =>
    `${f.where}: the row answers otherwise what ${f.other} asks too`,
  'train-test-leak': (f: { where: string; other: string }) =>
    `${f.where}: the row stands in the training data too: ${f.other}`,

  // Mismatches of the proof. `turn` is the index of the message, -1 for the whole row.
  'proof-ids': (f: {
    where: string;
    turn: number;
    token: number;
    ours: number | undefined;
    theirs: number | undefined;
  }) =>
    `${f.where}: the ids must be those of the rendering, got ${f.ours ?? 'none'} instead of ${f.theirs ?? 'none'} at token ${f.token}`,
  'proof-prefix': (f: { where: string; turn: number; token: number; text: string }) =>
    `${f.where}: messages[${f.turn}]: the prompt at inference must be how the trained ids begin, got another token at ${f.token}: ${quote(f.text)}`,
  'proof-end': (f: { where: string; turn: number; token: number; end: string }) =>
    `${f.where}: each answer must end with a trained ${quote(f.end)}, got none after token ${f.token}`,
  'proof-header': (f: { where: string; turn: number; header: string }) =>
    `${f.where}: no header of an answer may follow the last turn, got ${quote(f.header)}`,
  'proof-model-template': (f: {
    where: string;
    turn: number;
    byte: number;
    ours: string;
    theirs: string;
    template: string;
  }) =>
    `${f.where}: messages[${f.turn}]: template ${f.template} differs from the model's own at byte ${f.byte}: ${quote(f.ours)} instead of ${quote(f.theirs)}`,

  'template-mismatch': (f: {
    where: string;
    turn: number;
    template: string;
    byte: number;
    ours: string;
    theirs: string;
  }) =>
    `${f.where}: messages[${f.turn}]: template ${f.template} must render as the model's own chat template does, got ${quote(f.ours)} instead of ${quote(f.theirs)} at byte ${f.byte}. Leave template out to train with the model's own, or set template_mismatch: allow; fettle data proof shows all rows`,

  'bad-rows': (f: {
    problems: readonly string[];
    total: number;
    counts: Readonly<Record<string, number>>;
    remedy: 'bad-rows' | 'overlong';
  }) =>
    [
      ...f.problems.map(clipLine),
      `${count(f.total, 'row')} cannot be used (${ruleCounts(f.counts)}). ${
        f.remedy === 'overlong'
          ? 'Raise cutoff_len, or choose another overlong policy'
          : 'Correct them, or set bad_rows: drop to leave them out'
      }`,
    ].join('\n'),
  'no-usable-row': (f: { datasets: readonly string[]; read: number; counts: Readonly<Record<string, number>> }) =>
    `${f.datasets.join(', ')}: at least one row must remain for training, got none of ${f.read}${
      Object.keys(f.counts).length === 0 ? '' : ` (dropped: ${ruleCounts(f.counts)})`
    }`,
  'validation-takes-all': (f: { valSize: number; rows: number; validationRows: number }) =>
    `val_size: at least one row must remain for training, got ${f.valSize}, which sets aside ${f.validationRows} of ${f.rows}`,

  'recipe-token': (f: { recipe: string; token: string }) =>
    `mask_recipe: ${f.recipe} needs a tokenizer with ${f.token.toUpperCase()}, got one without`,
  'recipe-turn': (f: { recipe: string; what: string }) =>
    `mask_recipe: ${f.recipe} knows turns of a user and an assistant only, got ${f.what}`,

  // The registry.
  'dataset-unknown': (f: {
    key: string;
    name: string;
    registry: string;
    exists: boolean;
    suggestion?: string | undefined;
  }) =>
    `${f.key}: ${quote(f.name)} must be a name in ${f.registry} or the path of a file, got neither${
      f.exists ? '' : ' (there is no such dataset_info.json)'
    }.${f.suggestion === undefined ? '' : ` Did you mean ${quote(f.suggestion)}?`}`,
  'dataset-entry': (f: { file: string; name: string; key: string; expected: string; actual: string }) =>
    `${f.file}: ${quote(f.name)}: ${f.key} must be ${f.expected}, got ${f.actual}`,
  'dataset-path': (f: { file: string; name: string; key: string; path: string }) =>
    `${f.file}: ${quote(f.name)}: ${f.key} must stay inside its folder, got ${quote(f.path)}`,
  'dataset-stage': (f: { name: string; stage: string; needs: 'ranking' | 'no-ranking' }) =>
    `dataset: ${quote(f.name)}: stage ${f.stage} needs a data set ${
      f.needs === 'ranking' ? 'with chosen and rejected answers (ranking: true)' : 'without ranking'
    }, got one ${f.needs === 'ranking' ? 'without' : 'with ranking: true'}`,
  'dataset-source': (f: { name: string; file: string; key: SourceKey; location: string }) =>
    `${f.file}: ${quote(f.name)}: the rows must come from file_name, hf_hub_url or ms_hub_url, got ${f.key} ${quote(f.location)}. ${sourceRemedies[f.key]}`,
  'dataset-media': (f: { file: string; name: string; column: string }) =>
    `${f.file}: ${quote(f.name)}: the rows must be text, got ${f.column}. Fettle trains on text only`,
  'dataset-format': (f: { file: string; fields: readonly string[] }) =>
    `${f.file}: the format of the rows must be told by their fields (instruction and output, conversations, messages, prompt and completion, text), got ${list(
      f.fields,
    )}. Describe them in dataset_info.json (columns, formatting)`,
  'dataset-extension': (f: { file: string; allowed: readonly string[]; actual: string }) =>
    `${f.file}: a data file must end in ${f.allowed.join(', ')}, got ${quote(f.actual)}`,
  'dataset-files': (f: { folder: string; found: readonly string[] }) =>
    `${f.folder}: the data files of a folder or pattern must be of one type, got ${list(f.found)}`,

  'cutoff-beyond-model': (f: { cutoffLength: number; tokens: number; key: string; file: string }) =>
    `cutoff_len: must be at most the model's ${f.tokens} learned positions (${f.key} in ${f.file}), got ${f.cutoffLength}. Lower it, or leave it out`,

  // Notices: said once, nothing stops.
  'cutoff-of-model': (f: { tokens: number; key: string; file: string }) =>
    `cutoff_len: ${f.tokens}, the model's longest sequence (${f.key} in ${f.file})`,
  'cutoff-beyond-training': (f: { cutoffLength: number; tokens: number; key: string; file: string }) =>
    `cutoff_len: ${f.cutoffLength} is longer than the ${f.tokens} tokens that the model knows (${f.key} in ${f.file}): it has never seen such positions. Lower it, or write rope_scaling into config.json`,
  'dataset-known': (f: { name: string; source: string; licence: string }) =>
    `${quote(f.name)}: ${f.source} (licence: ${f.licence})`,
  'dataset-downloaded': (f: { name: string; source: string; files: number }) =>
    `${quote(f.name)}: ${count(f.files, 'file')} of ${f.source} in the cache`,
  'dataset-keys-unknown': (f: {
    registry: string;
    name: string;
    keys: readonly string[];
    suggestion?: string | undefined;
  }) =>
    `${f.registry}: ${quote(f.name)}: keys that are not known and have no effect: ${list(f.keys)}.${
      f.suggestion === undefined ? '' : ` Did you mean ${quote(f.suggestion)}?`
    }`,
  'default-column-used': (f: { name: string; registry: string; column: string; key: string }) =>
    `${f.registry}: ${quote(f.name)}: columns does not name ${f.key}; the field ${quote(f.column)} of the rows is used for it all the same (LLaMA-Factory leaves it out)`,
  'default-tags-used': (f: { name: string; registry: string; tags: readonly string[] }) =>
    `${f.registry}: ${quote(f.name)}: tags does not name ${f.tags.join(', ')}; their defaults are kept (LLaMA-Factory leaves them out)`,
  'columns-unused': (f: { name: string; columns: readonly string[] }) =>
    `${quote(f.name)}: fields that are not used: ${list(f.columns)}`,
  'samples-limited': (f: { name: string; used: number }) =>
    `max_samples: only the first ${count(f.used, 'row')} of ${quote(f.name)} are used; it has more`,
  'rows-sampled': (f: { name: string; used: number; rows: number }) =>
    `num_samples: ${f.used} of the ${count(f.rows, 'row')} of ${quote(f.name)} are used, chosen by the seed`,
  'rows-dropped': (f: {
    total: number;
    read: number;
    counts: Readonly<Record<string, number>>;
    examples: readonly string[];
  }) =>
    [
      `${f.total} of ${count(f.read, 'row')} dropped (${ruleCounts(f.counts)})`,
      ...f.examples.map((line) => `  ${clipLine(line)}`),
    ].join('\n'),
  'prepared-missing': (f: { folder: string }) =>
    `tokenized_path: ${f.folder} holds no prepared data: the rows are tokenised now. Write it with: fettle data prepare`,
  'prepared-differs': (f: { folder: string }) =>
    `tokenized_path: the data in ${f.folder} was made of other rows, settings, tokenizer or template: it is not used, the rows are tokenised now`,
  'template-drops-calls': (f: { template: string; name: string }) =>
    `template ${f.template} does not write calls of tools (${quote(f.name)}); choose one that does`,
  'tools-ignored': (f: { name: string }) =>
    `${quote(f.name)}: the rows name tools, which the template does not write: the model will not see them`,
  'rows-truncated': (f: { total: number; policy: string }) =>
    `${count(f.total, 'row')} shortened (overlong: ${f.policy})`,
};
