/** Texts of pairwise comparison. */

/** Ids come from files: shown quoted and clipped. */
function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}

export const pkMessages = {
  'judge-prompt': (f: { file: string; line: number; requirement: string; actual: string }) =>
    `${f.file}:${f.line}: must hold ${f.requirement}, got ${f.actual}`,
  'pk-rows': (f: {
    file: string;
    problems: readonly { line: number; requirement: string; actual: string }[];
    count: number;
  }) =>
    [
      ...f.problems.map((p) => `${f.file}:${p.line}: must hold ${p.requirement}, got ${p.actual}`),
      ...(f.count > f.problems.length ? [`... and ${f.count - f.problems.length} more`] : []),
    ].join('\n'),
  'pk-too-many-rows': (f: { file: string; most: number }) =>
    `${f.file}: must hold at most ${f.most} rows, got more. Set max_samples, or give a part of the file`,
  'pk-file-empty': (f: { file: string }) => `${f.file}: must hold at least one row, got none`,
  'pk-id-twice': (f: { file: string; id: string }) => `${f.file}: every id must stand once, got ${quoted(f.id)} twice`,
  'pk-ids-missing': (f: { file: string; rows: number; withId: number }) =>
    `${f.file}: either all rows or none must have an id, got ${f.withId} of ${f.rows}`,
  'pk-answers-missing': (f: { file: string; missing: readonly string[]; questions: number }) =>
    `${f.file}: must have a row for every question, got none for ${f.missing.length} of ${f.questions} (${f.missing
      .slice(0, 5)
      .map(quoted)
      .join(', ')}${f.missing.length > 5 ? ', ...' : ''}). Set max_samples, or choose the questions that were answered`,
  'pk-questions-missing': (_: Record<string, never>) =>
    'questions: a file of questions must be given where no file of answers holds them, got none',
  'pk-plugin-missing': (f: { name: string; plugin: string; known: readonly string[] }) =>
    `${f.name}: plugin must be a judge that a file of plugins registers, got ${quoted(f.plugin)}${
      f.known.length === 0 ? '. None is registered' : `. Registered: ${f.known.join(', ')}`
    }`,
  'pk-function-answer': (f: { name: string; actual: string }) =>
    `${f.name}: a function must answer with a text, got ${f.actual}`,
  'pk-model-missing': (f: { name: string }) =>
    `${f.name}: model_name_or_path, a server (model), answers or plugin must be given, got none`,
  'pk-judgment-missing': (f: { name: string; file: string }) =>
    `${f.file}: must hold what ${f.name} is asked, got a question that does not stand there. It serves the same answers and prompts only`,
  'pk-review-form': (f: { who: string; id: string }) =>
    `${f.who}: the review of ${quoted(f.id)} must be a text, or aspects with lists of items, got another form`,
  'pk-review-items': (f: { who: string; id: string; count: number; most: number }) =>
    `${f.who}: the review of ${quoted(f.id)} must have at most ${f.most} items, got ${f.count}. Each line without a bullet is an item of its own: set split_reviews: judge for free text`,
  'pk-stopped': (f: { done: number; dir: string }) =>
    `${f.dir}: stopped with ${f.done} answers in the journal. The same command goes on`,
};

const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const range = ([low, high]: readonly [number, number]): string => `${percent(low)} to ${percent(high)}`;
type Range = readonly [number, number];

/** What must be known before a result is believed: its code and fields. */
export type FindingFields =
  | {
      readonly code: 'judgments-unreadable' | 'judgments-cut' | 'papers-without-items';
      readonly count: number;
      readonly of: number;
    }
  | { readonly code: 'judge-favours-place'; readonly form: string; readonly share: number; readonly interval: Range }
  | { readonly code: 'judge-like-chance'; readonly agreement: number; readonly kappa: number; readonly interval: Range }
  | { readonly code: 'judge-says-one-thing'; readonly agreement: number }
  | {
      readonly code: 'length-decides';
      readonly a: string;
      readonly b: string;
      readonly share: number;
      readonly interval: Range;
      readonly controlled: number;
    }
  | {
      readonly code: 'few-questions';
      readonly a: string;
      readonly b: string;
      readonly n: number;
      readonly decided: number;
      readonly detectable: number | null;
      readonly needed: number;
    }
  | { readonly code: 'answers-cut'; readonly system: string; readonly count: number }
  | { readonly code: 'nothing-judged'; readonly a: string; readonly b: string };

/** The text of a finding. */
export function findingText(f: FindingFields): string {
  switch (f.code) {
    case 'judgments-unreadable':
      return `${f.count} of ${f.of} judgments hold no verdict that can be read. They count for nobody; where they are many, the rest is no fair sample.`;
    case 'judgments-cut':
      return `${f.count} of ${f.of} judgments were cut off at judge_max_new_tokens.`;
    case 'papers-without-items':
      return `${f.count} of ${f.of} papers are left out: their human reviews hold no item that could confirm one.`;
    case 'judge-favours-place':
      return f.form === 'aspects'
        ? `The judge favours a place: the human items that it names lie at ${percent(f.share)} of the list on average (95 %: ${range(f.interval)}), where 50 % is fair.`
        : `The judge favours a place: of its verdicts for one side ${percent(f.share)} are for the answer shown first (95 %: ${range(f.interval)}), where 50 % is fair. What both orders agree on still counts; the rest became ties.`;
    case 'judge-like-chance':
      return `The judge does not agree with itself: its verdicts in the two orders are the same in ${percent(f.agreement)}, no more than chance would give (kappa ${f.kappa.toFixed(2)}, 95 %: ${f.interval[0].toFixed(2)} to ${f.interval[1].toFixed(2)}). The win rate says little.`;
    case 'judge-says-one-thing':
      return `The judge says the same of everything (agreement ${percent(f.agreement)}): it does not tell these answers apart.`;
    case 'length-decides':
      return `${f.a} against ${f.b}: the longer answer wins ${percent(f.share)} of the decided questions (95 %: ${range(f.interval)}). With length taken out ${f.a} wins ${percent(f.controlled)}.`;
    case 'few-questions':
      return f.detectable === null
        ? `${f.a} against ${f.b}: ${f.decided} of ${f.n} questions are decided: too few to find any difference. To find a true win rate of 60 % in eight of ten comparisons it takes ${f.needed} questions.`
        : `${f.a} against ${f.b}: ${f.n} questions find a true win rate of ${percent(f.detectable)} or more in eight of ten comparisons. To find 60 % so often it takes ${f.needed}.`;
    case 'answers-cut':
      return `${f.system}: ${f.count} answers were cut off at max_new_tokens, which a judge may hold against it.`;
    case 'nothing-judged':
      return `${f.a} against ${f.b}: no question has a verdict that can be read.`;
  }
}

/** What a verdict is made of, for its sentence. */
interface Verdict {
  readonly a: string;
  readonly b: string;
  readonly n: number;
  readonly win_rate: number | null;
  readonly ci: Range | null;
  readonly p_holm: number;
  readonly better: 'a' | 'b' | null;
}

const smallest = (p: number): string => (p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`);

/** Words of charts, report and terminal. */
export const pkTexts = {
  against: (a: string, b: string) => `${a} against ${b}`,
  winsOf: (name: string) => `${name} wins`,
  firstWins: 'the first wins',
  secondWins: 'the second wins',
  tie: 'tie',
  overall: 'all',
  allPairs: 'Wins, ties and losses',
  byAspect: 'by aspect',
  byGroup: 'by category and turn',
  noHeading: '(no heading)',
  papers: 'papers',
  questions: 'questions',
  answers: 'answers',
  winRate: 'win rate (a tie counts half)',
  winRates: 'Win rates with 95 % intervals',
  winRatesNote: 'An interval that reaches over 50 % says that no system is shown to be better.',
  strength: 'strength (log-odds)',
  strengths: 'Strengths by Bradley and Terry',
  strengthsNote: 'A difference of 1 wins 73 %; the mean is 0; 95 % intervals by bootstrap over questions.',
  judgedBy: (title: string) => `judged by ${title}`,
  percent,
  range,
  p: smallest,
  /** The result in one sentence. */
  verdict: (v: Verdict) => {
    if (v.win_rate === null || v.ci === null) return `${v.a} against ${v.b}: nothing could be judged.`;
    const figures = `${v.a} wins ${percent(v.win_rate)} (95 %: ${range(v.ci)}, ${smallest(v.p_holm)}, n = ${v.n})`;
    return v.better === null
      ? `Neither is shown to be better: ${figures}.`
      : `${v.better === 'a' ? v.a : v.b} is better: ${figures}.`;
  },
  answering: (name: string, done: number, total: number) => `${name} answers ${done} of ${total}`,
  judging: (done: number, total: number) => `judging ${done} of ${total}`,
  counts: (wins: number, ties: number, losses: number) => `${wins} won, ${ties} tied, ${losses} lost`,
  agreement: 'both orders agree',
  spent: (asked: number, remembered: number, tokens: string, cost: number | null) =>
    `${asked} answers asked, ${remembered} from the journal, ${tokens} tokens${cost === null ? '' : `, ${cost.toFixed(4)} paid`}`,
  stopping: 'Stopping: what is under way is finished and kept. Ctrl-C again ends at once.',
  goOn: (command: string) => `Go on with: ${command}`,
  files: (dir: string) => `Report and judgments: ${dir}`,
};

/** Words of the HTML report. */
export const pageTexts = {
  title: 'Pairwise comparison',
  figures: 'Figures',
  figureHeads: [
    'systems',
    'n',
    'wins',
    'ties',
    'losses',
    'win rate',
    '95 % interval',
    'Wilson',
    'bootstrap',
    'sign test',
    'Holm',
    'findable',
    'unreadable',
  ],
  figuresNote:
    "A win counts only where both orders agree; a tie counts half. The interval reaches over Wilson's (with the ties' smaller variance) and the bootstrap's over questions. A system is called better only where the interval leaves 50 % out and the sign test, adjusted for the number of pairs by Holm, is below 0.05. Findable: the true win rate that eight of ten such comparisons would find; empty where fewer than eight questions are decided, which find none.",
  length: 'Length',
  lengthHeads: [
    'systems',
    'characters of the first',
    'of the second',
    'decided',
    'longer wins',
    '95 % interval',
    'win rate without length',
  ],
  lengthNote:
    'The last column is the win rate of the first at equal length by a logistic model, as in AlpacaEval 2 but without its term for the difficulty of a question.',
  judge: 'judge',
  consistency: 'The judge',
  consistencyNote:
    'Beyond chance: 1 where the two orders always agree, 0 where they agree as often as those of a judge that does not look at what it judges. A place that is favoured lies far from 50 %.',
  audited: 'judged in both orders',
  kappa: 'agreement beyond chance (kappa)',
  firstPlace: 'verdicts for the answer shown first',
  meanPlace: 'mean place of the matching human item',
  sameMatch: 'both looks name the same human item',
  ratings: 'Ratings',
  ratingHeads: ['system', 'mean', '95 % interval', 'n'],
  confirmed: 'Confirmed items',
  confirmedHeads: ['system', 'share confirmed', '95 % interval', 'items'],
  cost: 'Cost',
  costHeads: [
    'who',
    'what',
    'asked now',
    'from the journal',
    'requests',
    'prompt tokens',
    'answer tokens',
    'paid now',
    'paid before',
  ],
  judgments: 'Judgments',
  turn: 'turn',
  shownFirst: (name: string, verdict: string) => `${name} shown first: ${verdict}`,
  isConfirmed: 'confirmed',
  isNotConfirmed: 'not confirmed',
  cut: (characters: number) => ` ... (${characters} more characters in pk_games.jsonl)`,
  more: (count: number) => `The first ones; ${count} more stand in pk_games.jsonl.`,
};
