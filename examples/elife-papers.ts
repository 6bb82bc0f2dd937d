/**
 * Papers with their human reviews for `pk_form: aspects`, from JATS files of eLife (CC BY):
 * `npx tsx examples/elife-papers.ts FOLDER-OF-XML data/elife` writes questions.jsonl and references.jsonl.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPapers } from './elife.ts';

/** Longest paper in a prompt: some 9,000 tokens. */
const longestPaper = 36_000;

const [source, output] = process.argv.slice(2);
if (source === undefined || output === undefined)
  throw new Error('two folders must be given: of XML files, and for the result');
const papers = readPapers(source);
const questions = papers.map(({ id, title, body }) => ({
  id,
  prompt: `Review this paper. Write each aspect as a line that begins with "## " and below it each point as a line that begins with "- ".\n\n${title}\n\n${body.slice(0, longestPaper)}`,
}));
const references = papers.map(({ id, reviews }) => ({ id, reviews }));
mkdirSync(output, { recursive: true });
const jsonl = (rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('');
writeFileSync(join(output, 'questions.jsonl'), jsonl(questions));
writeFileSync(join(output, 'references.jsonl'), jsonl(references));
console.log(`${questions.length} papers in ${output}`);
