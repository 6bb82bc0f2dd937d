/** A YAML or JSON text -> its top-level settings with line and column. JSON is read as the YAML that it is. */
import { type ErrorCode, isAlias, isMap, isScalar, LineCounter, parseDocument } from 'yaml';
import type { ConfigProblem, SyntaxFault } from '../messages/config.ts';
import type { Entry } from './entry.ts';

/** Aliases may repeat values, but not blow a small file up into gigabytes: no configuration needs more than a few. */
export const MAX_ALIASES = 100;

/** The settings of a file, or what is wrong with it. */
export interface ParsedEntries {
  readonly entries: readonly Entry[];
  readonly problems: readonly ConfigProblem[];
}

/** Deepest nesting of brackets; the parser is recursive and a hostile file would exhaust its stack. */
const MAX_DEPTH = 64;

/** Most lines with syntax errors that are told: one mistake makes the parser stumble over much that follows. */
const MAX_SYNTAX_ERRORS = 3;

/** Offset of the first bracket that is nested too deeply, quotes and comments not considered; -1 where there is none. */
function tooDeepAt(text: string): number {
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '[' || c === '{') depth++;
    else if ((c === ']' || c === '}') && depth > 0) depth--;
    if (depth > MAX_DEPTH) return i;
  }
  return -1;
}

/** What a value is called in an error. */
function nodeKind(node: unknown): string {
  if (node === null || node === undefined) return 'nothing';
  if (Array.isArray(node)) return 'a list';
  return typeof node === 'object' ? 'a mapping' : `the ${typeof node} ${JSON.stringify(node)}`;
}

/** The parser's codes in our words. */
const faults: Readonly<Partial<Record<ErrorCode, SyntaxFault>>> = {
  BAD_INDENT: 'indentation',
  MISSING_CHAR: 'not-closed',
  BLOCK_AS_IMPLICIT_KEY: 'key-value',
  BLOCK_IN_FLOW: 'key-value',
  KEY_OVER_1024_CHARS: 'key-value',
  MULTILINE_IMPLICIT_KEY: 'key-value',
  TAB_AS_INDENT: 'tab',
  BAD_SCALAR_START: 'reserved-start',
  MULTIPLE_DOCS: 'one-document',
  ALIAS_PROPS: 'alias',
  BAD_ALIAS: 'alias',
  BAD_DQ_ESCAPE: 'escape',
};

/** A bracket that is never closed is told as wrong indentation. */
function faultOf({ code, message }: { readonly code: ErrorCode; readonly message: string }): SyntaxFault {
  return code === 'BAD_INDENT' && /and end with a/.test(message) ? 'not-closed' : (faults[code] ?? 'yaml');
}

/** Longest piece of a line that an error shows. */
const MAX_SHOWN = 60;

/** The line at an offset, from the offset on where something stands there. */
function lineAt(text: string, offset: number): string {
  const end = text.indexOf('\n', offset);
  const rest = text.slice(offset, end < 0 ? undefined : end).trim();
  const start = text.lastIndexOf('\n', offset - 1) + 1;
  const line = rest === '' ? text.slice(start, offset).trim() : rest;
  return line.length > MAX_SHOWN ? `${line.slice(0, MAX_SHOWN)}...` : line;
}

/** Reads the settings of one document. `file` is named in every place. */
export function parseEntries(text: string, file: string): ParsedEntries {
  const lines = new LineCounter();
  const place = (offset: number | undefined): string => {
    const { line, col } = lines.linePos(offset ?? 0);
    return `${file}:${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const deep = tooDeepAt(text);
  if (deep >= 0) {
    lines.addNewLine(0);
    for (let i = text.indexOf('\n'); i >= 0 && i < deep; i = text.indexOf('\n', i + 1)) lines.addNewLine(i + 1);
    return {
      entries: [],
      problems: [{ code: 'config-too-deep', fields: { where: place(deep), maxDepth: MAX_DEPTH } }],
    };
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: true, uniqueKeys: true });
  const exhausted = document.errors.find((error) => error.code === 'RESOURCE_EXHAUSTION');
  if (exhausted !== undefined) {
    // Blocks nested by indentation.
    const where = place(exhausted.pos[0]);
    return { entries: [], problems: [{ code: 'config-too-deep', fields: { where, maxDepth: MAX_DEPTH } }] };
  }
  const problems: ConfigProblem[] = [];
  const toldLines = new Set<number>();
  for (const error of document.errors) {
    const { line } = lines.linePos(error.pos[0]);
    if (error.code !== 'DUPLICATE_KEY') {
      if (toldLines.has(line) || toldLines.size === MAX_SYNTAX_ERRORS) continue;
      toldLines.add(line);
    }
    const where = place(error.pos[0]);
    const key = /^[^\s:]+/.exec(text.slice(error.pos[0]))?.[0] ?? '';
    problems.push(
      error.code === 'DUPLICATE_KEY'
        ? { code: 'duplicate-key', fields: { where, key: key.replace(/^["']|["']$/g, '') } }
        : {
            code: 'config-syntax',
            fields: { where, fault: faultOf(error), actual: lineAt(text, error.pos[0]) },
          },
    );
  }
  if (document.errors.some((error) => error.code !== 'DUPLICATE_KEY')) return { entries: [], problems };
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return { entries: [], problems };
  if (!isMap(root)) {
    const actual = nodeKind(document.toJS({ maxAliasCount: MAX_ALIASES }));
    problems.push({ code: 'config-not-a-mapping', fields: { where: `${file}:1:1`, actual } });
    return { entries: [], problems };
  }
  const entries: Entry[] = [];
  for (const pair of root.items) {
    const keyNode = pair.key;
    const keyWhere = place(keyNode.range[0]);
    const key = isScalar(keyNode) ? (keyNode.source ?? String(keyNode.value)) : nodeKind(keyNode.toJSON());
    const node = pair.value;
    const where = node === null ? keyWhere : place(node.range[0]);
    const target = isAlias(node) ? node.resolve(document) : node;
    const source = isScalar(target) && target.source !== undefined ? target.source : undefined;
    let value: unknown = null;
    try {
      value = node === null ? null : node.toJS(document, { maxAliasCount: MAX_ALIASES });
    } catch (error) {
      problems.push(
        error instanceof ReferenceError && !/unresolved/i.test(error.message)
          ? { code: 'too-many-aliases', fields: { where, maxAliases: MAX_ALIASES } }
          : { code: 'config-syntax', fields: { where, fault: 'alias', actual: lineAt(text, node?.range[0] ?? 0) } },
      );
      continue;
    }
    entries.push({ key, value, source, origin: 'file', keyWhere, where });
  }
  return { entries, problems };
}
