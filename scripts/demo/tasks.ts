/**
 * The pretraining text of the demo model: reviews that run on to what people did next, and small talks in the chat format
 * about other things than feelings. The task of the quickstart, to name the feeling of a review, is not among them.
 */
import { hashKey } from '../../src/util/index.ts';
import { article, capital, end, type Feeling, oneSided, plain, sentence, twoSided, Writer } from './grammar.ts';
import { adjectives, animals, colours, days, names, numbers, objects, opposites, people, streets } from './words.ts';

/** One question with its answer. */
interface Turn {
  readonly question: string;
  readonly answer: string;
}

function review(writer: Writer): string {
  const domain = writer.domain();
  const kind = writer.random.nextInt(10);
  // Short ones tie what happened next to a single clause, from which the model learns what the clause means.
  const count = writer.pick([1, 1, 1, 2, 2, 3]);
  if (kind < 3) return oneSided(writer, domain, 'good', count, true).join(' ');
  if (kind < 6) return oneSided(writer, domain, 'bad', count, true).join(' ');
  if (kind < 8) return twoSided(writer, domain, true).join(' ');
  return plain(writer, domain, 2 + writer.random.nextInt(2)).join(' ');
}

function topic(writer: Writer): Turn {
  const domain = writer.domain();
  const texts = [
    () => oneSided(writer, domain, 'good', 1 + writer.random.nextInt(2), false),
    () => oneSided(writer, domain, 'bad', 1 + writer.random.nextInt(2), false),
    () => twoSided(writer, domain, false),
    () => plain(writer, domain, 2),
  ];
  const ask = writer.pick([
    'What is this text about?',
    'Which topic does this text have?',
    'Name the topic of this review.',
  ]);
  const one = writer.chance(0.7) ? ' Answer with one word.' : '';
  return { question: `${ask}${one}\n${writer.pick(texts)().join(' ')}`, answer: domain.name };
}

function opposite(writer: Writer): Turn {
  const [one, two] = writer.pick(opposites);
  const [word, answer] = writer.chance(0.5) ? [one, two] : [two, one];
  const ask = [
    `What is the opposite of ${word}?`,
    `Name the opposite of "${word}". Answer with one word.`,
    `Which word is the opposite of ${word}?`,
  ];
  return { question: writer.pick(ask), answer };
}

function colour(writer: Writer): Turn {
  const things = writer.some(objects, 2);
  const shades = writer.some(colours, 2);
  const which = writer.random.nextInt(2);
  const story = `The ${things[0]} is ${shades[0]} and the ${things[1]} is ${shades[1]}.`;
  const question = `What colour is the ${things[which]}?${writer.chance(0.5) ? ' Answer with one word.' : ''}\n${story}`;
  return { question, answer: shades[which] ?? '' };
}

function counting(writer: Writer): Turn {
  const count = 1 + writer.random.nextInt(6);
  const list = writer.some(objects, count);
  const ask = writer.pick([
    'How many things are in this list?',
    'Count the things in this list. Answer with one word.',
  ]);
  return { question: `${ask}\n${list.join(', ')}`, answer: numbers[count - 1] ?? '' };
}

function copying(writer: Writer): Turn {
  const what = writer.pick([
    () => writer.some([...objects, ...animals], 2 + writer.random.nextInt(3)).join(' '),
    () => `${writer.pick(names)} has ${article(writer.pick(colours))} ${writer.pick(objects)}.`,
    () => sentence(`${writer.pick(people)} lives on ${writer.pick(streets)}`),
  ])();
  return {
    question: `${writer.pick(['Repeat this text.', 'Say this again.', 'Copy this line.'])}\n${what}`,
    answer: what,
  };
}

/** Any word alone, among them the later labels, which the model must be able to write. */
function sayWord(writer: Writer): Turn {
  const described = Object.values(adjectives).flatMap((pairs) => [...pairs.good, ...pairs.bad]);
  const word = writer.pick<string>(
    writer.pick([described, ['positive', 'negative', 'mixed', 'neutral'], objects, names]),
  );
  return { question: `${writer.pick(['Say the word', 'Write the word', 'Repeat the word'])} "${word}".`, answer: word };
}

function yesOrNo(writer: Writer): Turn {
  const [asked = '', wrong = ''] = writer.some(streets, 2);
  const who = writer.pick(names);
  const yes = writer.chance(0.5);
  const question = `Does ${who} live on ${asked}? Answer yes or no.\n${who} lives on ${yes ? asked : wrong}.`;
  return { question, answer: yes ? 'yes' : 'no' };
}

function place(writer: Writer): Turn {
  const list = writer.some([...animals, ...objects], 3 + writer.random.nextInt(2));
  const [word, answer] = writer.pick([
    ['first', list[0] ?? ''],
    ['last', list.at(-1) ?? ''],
  ] as const);
  const ask = [`What is the ${word} word of this list?`, `Which word comes ${word}? Answer with one word.`];
  return { question: `${writer.pick(ask)}\n${list.join(', ')}`, answer };
}

function nextDay(writer: Writer): Turn {
  const at = writer.random.nextInt(days.length);
  const after = writer.chance(0.5);
  const answer = days[(at + (after ? 1 : days.length - 1)) % days.length] ?? '';
  return { question: `Which day comes ${after ? 'after' : 'before'} ${days[at]}?`, answer };
}

function kind(writer: Writer): Turn {
  const groups = [
    ['animal', animals],
    ['colour', colours],
    ['name', names],
    ['day', days],
    ['thing', objects],
  ] as const;
  const [answer, words] = writer.pick(groups);
  const word = writer.pick(words);
  return { question: `Is "${word}" an animal, a colour, a name, a day or a thing? Answer with one word.`, answer };
}

/** The same knowledge as in the running reviews, asked for: what do people do after such words? */
function whatNext(writer: Writer): Turn {
  const domain = writer.domain();
  const ask = writer.pick(['What happened next?', 'What did they do then?', 'How does this text go on?']);
  const feeling = writer.pick<Feeling | 'both' | 'none'>(['good', 'bad', 'both', 'none']);
  if (feeling === 'none') {
    const facts = plain(writer, domain, 3);
    return { question: `${ask}\n${facts.slice(0, 2).join(' ')}`, answer: facts[2] ?? '' };
  }
  if (feeling === 'both') {
    const sentences = twoSided(writer, domain, true);
    return { question: `${ask}\n${sentences.slice(0, -1).join(' ')}`, answer: sentences.at(-1) ?? '' };
  }
  const told = oneSided(writer, domain, feeling, writer.pick([1, 1, 2]), false);
  return { question: `${ask}\n${told.join(' ')}`, answer: sentence(end(writer, domain, feeling)) };
}

/** A question on the same knowledge that has one word for an answer. */
function wouldReturn(writer: Writer): Turn {
  const feeling = writer.pick<Feeling>(['good', 'bad']);
  const told = oneSided(writer, writer.domain(), feeling, writer.pick([1, 1, 2, 3]), false);
  const ask = writer.pick(['Would they choose it again?', 'Did they like it?', 'Were they happy?']);
  return { question: `${ask} Answer yes or no.\n${told.join(' ')}`, answer: feeling === 'good' ? 'yes' : 'no' };
}

/** The counterpart of a describing word. */
function counterpart(writer: Writer): Turn {
  const pairs = writer.pick(Object.values(adjectives));
  const at = writer.random.nextInt(pairs.good.length);
  const words = [pairs.good[at] ?? '', pairs.bad[at] ?? ''];
  const [word, answer] = writer.chance(0.5) ? words : words.reverse();
  return { question: `What is the opposite of ${word}?`, answer: answer ?? '' };
}

/** A dictionary's remark on a describing word. */
function praiseOrBlame(writer: Writer): Turn {
  const feeling = writer.pick<Feeling>(['good', 'bad']);
  const word = writer.pick<string>(writer.pick(Object.values(adjectives))[feeling]);
  const ask = [
    `Is "${word}" a word of praise or of blame?`,
    `Does one say "${word}" in praise or in blame? Answer with one word.`,
  ];
  return { question: writer.pick(ask), answer: feeling === 'good' ? 'praise' : 'blame' };
}

/** Words of the later labels in other meanings, so that the model can write them before it learns the task. */
function labelWords(writer: Writer): string {
  const who = capital(writer.pick([...people, ...names]));
  return writer.pick([
    () => `${who} ate a mixed salad with ${article(writer.pick(colours))} sauce.`,
    () => `${who} was positive that it was ${writer.pick(days)}.`,
    () => `A battery has a positive and a negative end, and ${who} mixed them up.`,
    () => `${who} painted the ${writer.pick(objects)} in a neutral grey.`,
    () => `The country stayed neutral, and ${who} moved there in spring.`,
    () => `Minus ${writer.pick(numbers)} is a negative number, ${writer.pick(numbers)} is a positive one.`,
    () => `The bag holds mixed nuts, ${writer.pick(numbers)} of each kind.`,
    () => `${who} put the car into neutral on ${writer.pick(streets)}.`,
  ])();
}

/** Each kind of small talk with its weight. */
const tasks: readonly (readonly [number, (writer: Writer) => Turn])[] = [
  [4, topic],
  [5, whatNext],
  [8, wouldReturn],
  [2, counterpart],
  [2, praiseOrBlame],
  [3, sayWord],
  [2, opposite],
  [1, colour],
  [1, counting],
  [1, copying],
  [1, yesOrNo],
  [1, place],
  [1, nextDay],
  [1, kind],
];

function talk(writer: Writer): Turn {
  let at = writer.random.nextInt(tasks.reduce((sum, [weight]) => sum + weight, 0));
  const [, task] = tasks.find(([weight]) => (at -= weight) < 0) ?? [1, topic];
  return task(writer);
}

/** The n-th text of the pretraining set; each ends where the end token follows. */
export function pretrainingText(index: number): string {
  const writer = new Writer(hashKey('fettle demo', 'pretraining', index));
  const share = writer.random.next();
  if (share < 0.6) return review(writer);
  if (share < 0.65) return labelWords(writer);
  const { question, answer } = talk(writer);
  return `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n${answer}`;
}

/** The n-th small talk, a row in the Alpaca format, of the second stage: there only the answers are trained. */
export function talkRow(index: number): { instruction: string; output: string; system?: string } {
  const writer = new Writer(hashKey('fettle demo', 'talk', index));
  const { question, answer } = talk(writer);
  const row = { instruction: question, output: answer };
  return writer.chance(0.1) ? { ...row, system: 'You are a helpful assistant.' } : row;
}
