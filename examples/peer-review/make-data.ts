/**
 * Makes the data of this example from JATS files of eLife (CC BY): for each passage of a paper what its reviewers say about it, as a review
 * in four aspects with numbered points. `npx tsx examples/peer-review/make-data.ts FOLDER-OF-XML saves/peer-review/data`
 *
 * A language model would condense the reviews (article D). Here rules do: a sentence belongs to the aspect whose words it uses, and
 * to the passages with which it shares rare words, so that the number of points differs from review to review as those of people do.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Paper, readPapers } from '../elife.ts';

const [source, target] = process.argv.slice(2);
if (source === undefined || target === undefined)
  throw new Error('make-data.ts: give the folder of XML files, and where to write');

/** Papers that nothing is trained on. */
const heldOut = 3;
/** Characters of a passage and of a point: what a model of a million weights can read and write. */
const passageLength = 200;
const pointLength = 44;
/** How much a passage and a sentence must share: a word that one passage in n has counts log n - 1. */
const leastShared = 0.7;
const mostPoints = 4;
const emptyItem = '<No related terms>';

/** The first one whose words a sentence uses has it. */
const aspects: readonly (readonly [string, RegExp])[] = [
  [
    'Suggestions for improvement',
    /\b(?:should|could|please|suggest\w*|recommend\w*|needs? to|must|would (?:help|be))\b/i,
  ],
  [
    'Potential reasons for acceptance',
    /\b(?:well|convincing\w*|strong\w*|elegant\w*|clear\w*|thorough\w*|support\w*|good|nice\w*|careful\w*|show\w*|interest\w*|demonstrat\w*|evidence)\b/i,
  ],
  [
    'Potential reasons for rejection',
    /\b(?:however|unclear|not|concern\w*|lack\w*|missing|weak\w*|fail\w*|difficult\w*|problem\w*|although|confus\w*|but)\b/i,
  ],
  ['Significance and novelty', /./],
];
/** In the order of the review. */
const headings = [
  'Significance and novelty',
  'Potential reasons for acceptance',
  'Potential reasons for rejection',
  'Suggestions for improvement',
];

/** Words of the editor's letter that are about no paper. */
const formal =
  /^(?:Thank you for|The (?:following|Reviewing)|Your article|Our goal)|Board of Reviewing|decision letter/;

const sentencesOf = (text: string): string[] => text.replace(/\s+/g, ' ').split(/(?<=[.?!]”?) (?=[“(]?[A-Z])/);

const wordsOf = (text: string): Set<string> => new Set(text.toLowerCase().match(/\p{L}[\p{L}\d-]{2,}/gu));

/** Whole words up to a length. */
function shortened(text: string, length: number): string {
  if (text.length <= length) return text;
  return text.slice(0, text.lastIndexOf(' ', length)).replace(/[\s,;:]+$/, '');
}

function passagesOf({ body }: Paper): string[] {
  const passages: string[] = [];
  let passage = '';
  for (const sentence of sentencesOf(body)) {
    passage = `${passage} ${sentence}`.trim();
    if (passage.length < passageLength) continue;
    passages.push(shortened(passage, passageLength));
    passage = '';
  }
  return passages;
}

interface Row {
  readonly instruction: string;
  readonly output: string;
}

function rowsOf(paper: Paper): Row[] {
  const points = paper.reviews.flatMap(sentencesOf).flatMap((sentence) => {
    const text = sentence.replace(/^\W*\d{1,2}\W+/, '').trim();
    if (text.length < 40 || formal.test(text)) return [];
    return { text, words: wordsOf(text), aspect: aspects.find(([, uses]) => uses.test(text))![0] };
  });
  const passages = passagesOf(paper).map((text) => ({ text, words: wordsOf(text) }));
  const passagesWith = new Map<string, number>();
  for (const { words } of passages) for (const word of words) passagesWith.set(word, (passagesWith.get(word) ?? 0) + 1);
  return passages.map(({ text, words }) => {
    const related = points.filter((point) => {
      let shared = 0;
      for (const word of point.words) {
        if (words.has(word)) shared += Math.max(0, Math.log(passages.length / passagesWith.get(word)!) - 1);
      }
      return shared >= leastShared;
    });
    const sections = headings.map((heading) => {
      const items = related.filter(({ aspect }) => aspect === heading).slice(0, mostPoints);
      const lines = items.map((item, i) => `${i + 1}. ${shortened(item.text, pointLength)}`);
      return `[${heading}]\n${lines.length === 0 ? emptyItem : lines.join('\n')}`;
    });
    return { instruction: text, output: sections.join('\n') };
  });
}

const papers = readPapers(source);
const parts: Readonly<Record<string, readonly Row[]>> = {
  train: papers.slice(heldOut).flatMap(rowsOf),
  test: papers.slice(0, heldOut).flatMap(rowsOf),
};
mkdirSync(target, { recursive: true });
for (const [part, rows] of Object.entries(parts)) {
  writeFileSync(join(target, `${part}.json`), JSON.stringify(rows, null, 1));
  const counts = rows.flatMap(({ output }) =>
    output
      .split(/^\[.*\]\n/m)
      .slice(1)
      .map((items) => items.match(/^\d\. /gm)?.length ?? 0),
  );
  const share = (count: number): string =>
    `${((100 * counts.filter((each) => each === count).length) / counts.length).toFixed(0)} %`;
  console.log(
    `${part}: ${rows.length} reviews; ${Array.from({ length: mostPoints + 1 }, (_, i) => `${i} points: ${share(i)}`).join(', ')}`,
  );
}
