/** Sentences of small reviews: clauses that praise, blame or only tell, from the word lists, by a seeded stream. */
import { RandomStream } from '../../src/util/index.ts';
import {
  adjectives,
  commonEnds,
  days,
  type Domain,
  domains,
  heldOut,
  intensifiers,
  months,
  people,
  streets,
} from './words.ts';

export type Feeling = 'good' | 'bad';

/** Which adjectives may be used: all, those of the training rows, or at least one that those never use. */
export type Vocabulary = 'all' | 'common';

/** Picks from lists by a seeded stream. */
export class Writer {
  readonly random: RandomStream;
  readonly vocabulary: Vocabulary;
  constructor(key: number, vocabulary: Vocabulary = 'all') {
    this.random = new RandomStream(key);
    this.vocabulary = vocabulary;
  }
  pick<T>(list: readonly T[]): T {
    const chosen = list[this.random.nextInt(list.length)];
    if (chosen === undefined) throw new Error('pick: the list must not be empty');
    return chosen;
  }
  chance(share: number): boolean {
    return this.random.next() < share;
  }
  /** `count` different members, in random order. */
  some<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    return Array.from({ length: Math.min(count, rest.length) }, () => {
      const [chosen] = rest.splice(this.random.nextInt(rest.length), 1);
      return chosen as T;
    });
  }
  domain(): Domain {
    return this.pick(domains);
  }
}

/** The first letter large. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** A clause as a sentence. */
export function sentence(text: string): string {
  return `${capital(text)}.`;
}

function other(feeling: Feeling): Feeling {
  return feeling === 'good' ? 'bad' : 'good';
}

/** `count` different adjectives for a part of the domain. */
function describe(writer: Writer, domain: Domain, part: string, feeling: Feeling, count: number): string[] {
  const kind = domain.parts[part] ?? 'any';
  const own: readonly string[] = adjectives[kind][feeling];
  const general: readonly string[] = adjectives.any[feeling];
  const allowed = [...new Set([...own, ...general])].filter(
    (word) => writer.vocabulary === 'all' || !heldOut.has(word),
  );
  return writer.some(allowed, count);
}

function intense(writer: Writer, adjective: string): string {
  return writer.chance(0.35) ? `${writer.pick(intensifiers)} ${adjective}` : adjective;
}

/**
 * A clause that judges one part, for example "the soup was not bland at all" for `good`.
 * @param alone it is a sentence of its own, so that it may be an exclamation or hold a "but"
 */
export function judge(writer: Writer, domain: Domain, part: string, feeling: Feeling, alone = true): string {
  const [first = '', second = ''] = describe(writer, domain, part, feeling, 2);
  const [opposite = ''] = describe(writer, domain, part, other(feeling), 1);
  const whole = writer.pick(domain.whole);
  const the = writer.chance(0.2) ? `the ${part} of the ${whole}` : `the ${part}`;
  const verbs = feeling === 'good' ? ['liked', 'loved', 'enjoyed'] : ['disliked', 'hated', 'regretted'];
  // Each form with its weight: most are straightforward, the rest turn an adjective around.
  const forms: readonly (readonly [number, () => string])[] = [
    [10, () => `${the} was ${intense(writer, first)}`],
    [4, () => `${the} was ${first} and ${second}`],
    [2, () => `${writer.pick(['i', 'we'])} ${writer.pick(verbs)} ${the}`],
    [2, () => `${writer.pick(people)} found ${the} ${intense(writer, first)}`],
    [2, () => `${the} was not ${opposite}${writer.chance(0.5) ? ' at all' : ''}`],
    [1, () => `${the} was far from ${opposite}`],
    [alone ? 1 : 0, () => `${writer.pick(['i', 'we'])} expected ${the} to be ${opposite}, but it was ${first}`],
    [alone ? 1 : 0, () => `what ${article(first)} ${part}`],
  ];
  let at = writer.random.nextInt(forms.reduce((sum, [weight]) => sum + weight, 0));
  const chosen = forms.find(([weight]) => (at -= weight) < 0);
  return (chosen?.[1]() ?? '').replace(/^i /, 'I ').replaceAll(' i ', ' I ');
}

/** A sentence on what followed. */
export function end(writer: Writer, domain: Domain, feeling: Feeling): string {
  const own = feeling === 'good' ? domain.goodEnds : domain.badEnds;
  return writer.pick(writer.chance(0.3) ? own : commonEnds[feeling]);
}

/** A sentence without any judgement. */
export function fact(writer: Writer, domain: Domain): string {
  const whole = writer.pick(domain.whole);
  const forms: readonly (() => string)[] = [
    () => writer.pick(domain.facts),
    () => writer.pick(domain.facts),
    () => writer.pick(domain.facts),
    () => `we talked about it on ${writer.pick(days)} with ${writer.pick(people)}`,
    () => `I first heard of the ${whole} in ${writer.pick(months)}`,
    () => `the ${whole} does not belong to ${writer.pick(people)}`,
    () => `the office of the ${whole} is on ${writer.pick(streets)}`,
    () => `${writer.pick(people)} told me about the ${whole} in ${writer.pick(months)}`,
    () => `it is not on ${writer.pick(streets)} but on ${writer.pick(streets)}`,
  ];
  return writer.pick(forms)();
}

/** "a" or "an" and the word. */
export function article(word: string): string {
  return `${/^[aeiou]/.test(word) ? 'an' : 'a'} ${word}`;
}

/** Two clauses of opposite feeling in one sentence, in either order. */
export function contrast(writer: Writer, domain: Domain): string {
  const [one = '', two = ''] = writer.some(Object.keys(domain.parts), 2);
  const feeling = writer.pick<Feeling>(['good', 'bad']);
  const first = judge(writer, domain, one, feeling, false);
  const second = judge(writer, domain, two, other(feeling), false);
  const forms = [
    `${first}, but ${second}`,
    `although ${first}, ${second}`,
    `${first}, yet ${second}`,
    `while ${first}, ${second}`,
  ];
  return writer.pick(forms);
}

/** A review that only praises or only blames, of `count` judging sentences, with facts between and an end perhaps. */
export function oneSided(writer: Writer, domain: Domain, feeling: Feeling, count: number, withEnd: boolean): string[] {
  const parts = writer.some(Object.keys(domain.parts), count);
  const sentences = parts.map((part) => judge(writer, domain, part, feeling));
  if (writer.chance(0.3)) sentences.splice(writer.random.nextInt(sentences.length + 1), 0, fact(writer, domain));
  if (withEnd) sentences.push(end(writer, domain, feeling));
  return sentences.map(sentence);
}

/** A review that praises one part and blames another, in one sentence or in two. */
export function twoSided(writer: Writer, domain: Domain, withEnd: boolean): string[] {
  let sentences: string[];
  if (writer.chance(0.6)) {
    sentences = [contrast(writer, domain)];
  } else {
    const [one = '', two = ''] = writer.some(Object.keys(domain.parts), 2);
    const feeling = writer.pick<Feeling>(['good', 'bad']);
    sentences = [judge(writer, domain, one, feeling), judge(writer, domain, two, other(feeling))];
  }
  if (writer.chance(0.35)) sentences.splice(writer.random.nextInt(sentences.length + 1), 0, fact(writer, domain));
  if (withEnd) {
    const tail = ['I do not know if I would choose it again', 'So I am of two minds', 'It has two sides'];
    sentences.push(writer.pick(tail));
  }
  return sentences.map(sentence);
}

/** A note of facts only. */
export function plain(writer: Writer, domain: Domain, count: number): string[] {
  const facts = new Set<string>();
  while (facts.size < count) facts.add(sentence(fact(writer, domain)));
  return [...facts];
}
