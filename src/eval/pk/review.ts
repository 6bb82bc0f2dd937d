/**
 * A structured review -> aspects with their items, as article D compares them: headings name aspects, bullets are items.
 * Without headings everything stands under one aspect without a name.
 */

/** Items by aspect, in the order of the text. */
export type Review = ReadonlyMap<string, readonly string[]>;

/** How reviews are split. */
export interface ReviewForm {
  /** Aspects whose names are headings, however they are decorated; empty: whatever looks like a heading is one. */
  readonly aspects: readonly string[];
  /** What stands under an aspect that has no items. */
  readonly emptyItem: string;
}

/** The aspect of items that stand under no heading. */
export const noAspect = '';

const bullet = /^(\s*)(?:[-*•·–]|\(?\d{1,3}[.)、]|\([a-z]\)|[a-z]\))\s*(?=\S)(.*)$/;

const fold = (text: string): string => text.normalize('NFKC').toLowerCase().replace(/\s+/g, ' ').trim();

/** A line without the marks that set headings off: `## 1. **Aspect**:` is `Aspect`. */
function bare(line: string): string {
  return line
    .trim()
    .replace(
      /^(?:#{1,6}\s+)?(?:[-*•]\s+)?(?:\(?(?:\d{1,2}|[ivx]{1,4}|[一二三四五六七八九十]{1,2})[.)、]\s*)?[*_【<「[]*\s*/i,
      '',
    )
    .replace(/[\s*_】>」\]]*[:：]?[\s*_]*$/, '');
}

interface Heading {
  readonly aspect: string;
  /** What follows on the same line. */
  readonly rest: string;
}

/** A heading with one of the declared names, alone on its line or followed by a colon. */
function declaredHeading(line: string, aspects: ReadonlyMap<string, string>): Heading | undefined {
  const alone = aspects.get(fold(bare(line)));
  if (alone !== undefined) return { aspect: alone, rest: '' };
  const colon = /[:：]/.exec(line);
  if (colon === null) return undefined;
  const aspect = aspects.get(fold(bare(line.slice(0, colon.index))));
  return aspect === undefined ? undefined : { aspect, rest: line.slice(colon.index + 1).replace(/^[\s*_】\]]+/, '') };
}

const headingForms = [/^#{1,6}\s+\S/, /^\*\*[^*]+\*\*\s*[:：]?$/, /^【[^】]+】\s*[:：]?$/, /^\[[^\]]+\]\s*[:：]?$/];
/** A line that ends with a colon is a heading only where it is as short as one. */
const longestHeading = 60;

function freeHeading(line: string): Heading | undefined {
  const trimmed = line.trim();
  const looksSo =
    headingForms.some((form) => form.test(trimmed)) ||
    (/[:：]$/.test(trimmed) && trimmed.length <= longestHeading && !bullet.test(line));
  return looksSo && bare(trimmed) !== '' ? { aspect: bare(trimmed), rest: '' } : undefined;
}

/** Splits the text of a review. An item that stands twice counts once. */
export function parseReview(text: string, { aspects, emptyItem }: ReviewForm): Review {
  const names = new Map(aspects.map((name) => [fold(name), name]));
  const review = new Map<string, string[]>();
  let items: string[] = [];
  let isOpen = false;
  let indent = 0;
  const begin = (aspect: string): void => {
    items = review.get(aspect) ?? [];
    review.set(aspect, items);
    isOpen = false;
  };
  const add = (item: string): void => {
    if (!review.has(noAspect) && review.size === 0) begin(noAspect);
    items.push(item);
    isOpen = true;
  };
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '') {
      isOpen = false;
      continue;
    }
    const heading = aspects.length > 0 ? declaredHeading(line, names) : freeHeading(line);
    if (heading !== undefined) {
      begin(heading.aspect);
      if (heading.rest.trim() !== '') add(heading.rest.trim());
      continue;
    }
    const marked = bullet.exec(line);
    const deeper = marked !== null && items.length > 0 && marked[1]!.length > indent;
    if (marked !== null && !deeper) {
      indent = marked[1]!.length;
      add(marked[2]!.trim());
    } else if (items.length > 0 && (isOpen || deeper)) {
      // A line that goes on, or a point below the point: part of the same item.
      items.push(`${items.pop()!} ${(marked?.[2] ?? line).trim()}`);
      isOpen = true;
    } else {
      indent = 0;
      add(line.trim());
    }
  }
  return cleaned(review, emptyItem);
}

/** A review that is given as aspects with lists of items, or as one text. */
export function reviewOf(value: unknown, form: ReviewForm): Review | undefined {
  if (typeof value === 'string') {
    const written = value.trim();
    if (written.startsWith('{')) {
      try {
        const review = reviewOf(JSON.parse(written) as unknown, form);
        if (review !== undefined) return review;
      } catch {
        // A text that only begins like JSON.
      }
    }
    return parseReview(value, form);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const review = new Map<string, string[]>();
  for (const [aspect, items] of Object.entries(value)) {
    const list: unknown =
      typeof items === 'string' ? [...parseReview(items, { ...form, aspects: [] }).values()].flat() : items;
    if (!Array.isArray(list) || list.some((item) => typeof item !== 'string')) return undefined;
    review.set(aspect, list as string[]);
  }
  return cleaned(review, form.emptyItem);
}

function cleaned(review: ReadonlyMap<string, readonly string[]>, emptyItem: string): Review {
  const empty = fold(emptyItem);
  const result = new Map<string, readonly string[]>();
  for (const [aspect, items] of review) {
    const seen = new Set<string>();
    const kept = items.filter((item) => {
      const folded = fold(item).replace(/[.。]$/, '');
      if (folded === empty || folded === '' || seen.has(folded)) return false;
      seen.add(folded);
      return true;
    });
    if (kept.length > 0 || aspect !== noAspect) result.set(aspect, kept);
  }
  return result;
}
