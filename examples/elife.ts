/** Papers with their human reviews from eLife's JATS files (CC BY), for the examples that use them. */
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One paper with what its reviewers wrote. */
export interface Paper {
  readonly id: string;
  readonly title: string;
  /** A line for each paragraph and heading. */
  readonly body: string;
  /** The points of each reviewer; where the letter does not tell them apart, the letter. */
  readonly reviews: readonly string[];
}

const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/** The words of a piece of XML, a line for each paragraph and title. */
function words(xml: string): string {
  return xml
    .replace(
      /<(?:boxed-text|xref|table-wrap|fig|disp-formula)\b[^>]*>[\s\S]*?<\/(?:boxed-text|xref|table-wrap|fig|disp-formula)>/g,
      '',
    )
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
function reviewsOf(letter: string): string[] {
  const parts = letter.split(/^Reviewer #?\d+[^\n]*:?$/m).map((part) => part.trim());
  return (parts.length > 1 ? parts.slice(1) : parts).filter((part) => part !== '');
}

/** The papers of a folder of XML files that have a decision letter, in the order of their names. */
export function readPapers(folder: string): Paper[] {
  return readdirSync(folder)
    .filter((file) => file.endsWith('.xml'))
    .sort()
    .flatMap((name) => {
      const xml = readFileSync(join(folder, name), 'utf8');
      const letter = xml.indexOf('article-type="article-commentary"');
      if (letter < 0) return [];
      return {
        id: basename(name, '.xml'),
        title: words(between(xml, '<article-title>', '</article-title>')),
        body: words(between(xml, '<body>', '</body>')),
        reviews: reviewsOf(words(between(xml, '<body>', '</body>', letter))),
      };
    });
}
