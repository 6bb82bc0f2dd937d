/**
 * Papers with their human reviews for `pk_form: aspects`, from JATS files of eLife (CC BY):
 * `npx tsx examples/elife-papers.ts FOLDER-OF-XML data/elife` writes questions.jsonl and references.jsonl.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Longest paper in a prompt: some 9,000 tokens. */
const longestPaper = 36_000;

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The words of a piece of XML, a line for each paragraph and title. */
function words(xml: string): string {
  return xml
    .replace(/<(?:boxed-text|xref|table-wrap|fig|disp-formula)\b[^>]*>[\s\S]*?<\/(?:boxed-text|xref|table-wrap|fig|disp-formula)>/g, '')
    .replace(/<\/(?:p|title)>/g, '\n')
    .replace(/<[^>]+>/g, '')
    .replace(/&(#x?[0-9a-f]+|\w+);/gi, (whole, name: string) => {
      if (!name.startsWith('#')) return entities[name] ?? whole;
      return String.fromCodePoint(Number(name.startsWith('#x') ? `0${name.slice(1)}` : name.slice(1)));
    })
    .replace(/[ \t]+/g, ' ')
    .replace(/\n\s*\n+/g, '\n')
    .trim();
}

/** What stands between two marks, from `from` on; empty where one of them is missing. */
function between(text: string, open: string, close: string, from = 0): string {
  const start = text.indexOf(open, from);
  const end = start < 0 ? -1 : text.indexOf(close, start);
  return end < 0 ? '' : text.slice(start + open.length, end);
}

/** The points of each reviewer; the words of the editor before the first one are left out where there are reviewers. */
function reviews(letter: string): string[] {
  const parts = letter.split(/^Reviewer #?\d+[^\n]*:?$/m).map((part) => part.trim());
  return (parts.length > 1 ? parts.slice(1) : parts).filter((part) => part !== '');
}

const [source, output] = process.argv.slice(2);
if (source === undefined || output === undefined)
  throw new Error('two folders must be given: of XML files, and for the result');
const questions: object[] = [];
const references: object[] = [];
for (const name of readdirSync(source)
  .filter((file) => file.endsWith('.xml'))
  .sort()) {
  const xml = readFileSync(join(source, name), 'utf8');
  const letter = xml.indexOf('article-type="article-commentary"');
  if (letter < 0) continue;
  const id = basename(name, '.xml');
  const title = words(between(xml, '<article-title>', '</article-title>'));
  const paper = words(between(xml, '<body>', '</body>')).slice(0, longestPaper);
  questions.push({
    id,
    prompt: `Review this paper. Write each aspect as a line that begins with "## " and below it each point as a line that begins with "- ".\n\n${title}\n\n${paper}`,
  });
  references.push({ id, reviews: reviews(words(between(xml, '<body>', '</body>', letter))) });
}
mkdirSync(output, { recursive: true });
const jsonl = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
writeFileSync(join(output, 'questions.jsonl'), jsonl(questions));
writeFileSync(join(output, 'references.jsonl'), jsonl(references));
console.log(`${questions.length} papers in ${output}`);
