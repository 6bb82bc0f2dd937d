/** A comparison as one HTML page that needs nothing else: verdict, warnings, pictures, figures, and every judgment. */
import { pageTexts as texts, pkTexts } from '../../messages/pk.ts';
import { escapeHtml as e, formatCount } from '../../util/index.ts';
import { groupBars, overallBars, strengthBars, winRates } from './pictures.ts';
import type { PairResult, ParticipantReport, PkResults } from './results.ts';
import type { PointCheck } from './review-points.ts';
import type { Game, Rating } from './whole-answers.ts';

/** What was judged, piece by piece. */
export interface JudgedPieces {
  readonly games: readonly Game[];
  readonly ratings: readonly Rating[];
  readonly checks: readonly PointCheck[];
  /** Question and answers, to be read beside the judgments. */
  readonly questionOf: (id: string) => string;
  readonly answersOf: (system: string, id: string) => readonly string[];
}

/** Judgments beyond this many are left to pk_games.jsonl: a browser cannot show them. */
const mostShown = 500;
/** Longer texts are cut on the page; the files hold them whole. */
const mostCharacters = 6000;

const style = `
body { font: 15px/1.6 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p.verdict { font-size: 1.15rem; font-weight: 600; }
ul.findings { border-left: 4px solid #d55e00; background: #fff4ec; padding: .7rem 1rem .7rem 2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem .25rem 0; text-align: left; border-bottom: 1px solid #e6e9ed; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { max-width: 100%; height: auto; display: block; margin: .6rem 0; }
details { border: 1px solid #d0d7de; border-radius: 6px; margin: .4rem 0; padding: .3rem .8rem; } summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace; background: #f6f8fa; padding: .6rem .8rem; border-radius: 6px; }
.win { color: #0072b2; } .loss { color: #b34700; } .tie, .unreadable { color: #57606a; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; } @media (max-width: 50rem) { .two { grid-template-columns: 1fr; } }
`;

const clip = (text: string): string =>
  text.length > mostCharacters ? `${text.slice(0, mostCharacters)}${texts.cut(text.length - mostCharacters)}` : text;
const pre = (text: string): string => `<pre>${e(clip(text))}</pre>`;
const row = (cells: readonly string[], tag = 'td'): string =>
  `<tr>${cells.map((cell, i) => `<${tag}${i > 0 ? ' class="n"' : ''}>${cell}</${tag}>`).join('')}</tr>`;
const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<table>${row(head.map(e), 'th')}${rows.map((cells) => row(cells)).join('')}</table>`;
const share = (value: number | null | undefined): string =>
  value === null || value === undefined ? '' : pkTexts.percent(value);
const interval = (ends: readonly [number, number] | null): string => (ends === null ? '' : pkTexts.range(ends));
const fixed = (value: number | null, digits: number): string => (value === null ? '' : value.toFixed(digits));

/** The whole page. */
export function comparisonPage(results: PkResults, pieces: JudgedPieces): string {
  const title = `${texts.title}: ${results.systems.map(({ name }) => name).join(', ')}`;
  const charts = [
    overallBars(results),
    ...(results.pairs.length > 1 ? [winRates(results)] : []),
    strengthBars(results),
    ...results.pairs.map((pair) => groupBars(results, pair)),
  ].filter((svg) => svg !== undefined);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${e(title)}</title><style>${style}</style></head><body>
<h1>${e(title)}</h1>
${results.pairs.map((pair) => `<p class="verdict">${e(pkTexts.verdict(pair))}</p>`).join('\n')}
${findings(results)}
${charts.join('\n')}
${figures(results)}
${judgeTable(results)}
${means(results)}
${costs(results)}
${judgments(pieces)}
</body></html>
`;
}

function findings({ findings: list }: PkResults): string {
  return list.length === 0 ? '' : `<ul class="findings">${list.map(({ text }) => `<li>${e(text)}</li>`).join('')}</ul>`;
}

function figures({ pairs }: PkResults): string {
  const line = (pair: PairResult): string[] => [
    e(pkTexts.against(pair.a, pair.b)),
    formatCount(pair.n),
    formatCount(pair.wins),
    formatCount(pair.ties),
    formatCount(pair.losses),
    share(pair.win_rate),
    interval(pair.ci),
    interval(pair.wilson),
    interval(pair.bootstrap),
    e(pkTexts.p(pair.p_value)),
    e(pkTexts.p(pair.p_holm)),
    share(pair.detectable_win_rate),
    formatCount(pair.unreadable),
  ];
  const lengths = pairs.map((pair) => [
    e(pkTexts.against(pair.a, pair.b)),
    fixed(pair.length.mean_lengths[0], 0),
    fixed(pair.length.mean_lengths[1], 0),
    formatCount(pair.length.n),
    share(pair.length.longer_wins),
    interval(pair.length.longer_wins_ci),
    share(pair.length.controlled_win_rate),
  ]);
  return `<h2>${e(texts.figures)}</h2>${table(texts.figureHeads, pairs.map(line))}<p>${e(texts.figuresNote)}</p>
<h2>${e(texts.length)}</h2>${table(texts.lengthHeads, lengths)}<p>${e(texts.lengthNote)}</p>`;
}

function judgeTable({ order, form, judge }: PkResults): string {
  if (order === null) return '';
  const rows = [
    [texts.judge, e(judge.title)],
    [texts.audited, formatCount(order.n)],
    [pkTexts.agreement, `${share(order.agreement)} (${interval(order.agreement_ci)})`],
    [
      texts.kappa,
      `${fixed(order.kappa, 2)}${order.kappa_ci === null ? '' : ` (${fixed(order.kappa_ci[0], 2)} to ${fixed(order.kappa_ci[1], 2)})`}`,
    ],
    [
      form === 'aspects' ? texts.meanPlace : texts.firstPlace,
      `${share(order.first_place)} (${interval(order.first_place_ci)})`,
    ],
    ...(order.same_match === undefined ? [] : [[texts.sameMatch, share(order.same_match)]]),
  ];
  return `<h2>${e(texts.consistency)}</h2><table>${rows.map((cells) => row([e(cells[0]!), cells[1]!])).join('')}</table><p>${e(texts.consistencyNote)}</p>`;
}

function means({ means: list, form }: PkResults): string {
  if (list.length === 0) return '';
  const show = (value: number): string => (form === 'aspects' ? pkTexts.percent(value) : value.toFixed(2));
  const rows = list.map(({ system, mean, ci, n }) => [
    e(system),
    mean === null ? '' : show(mean),
    ci === null ? '' : `${show(ci[0])} to ${show(ci[1])}`,
    formatCount(n),
  ]);
  const [title, head] =
    form === 'aspects' ? [texts.confirmed, texts.confirmedHeads] : [texts.ratings, texts.ratingHeads];
  return `<h2>${e(title)}</h2>${table(head, rows)}`;
}

function costs({ systems, judge }: PkResults): string {
  const line = (who: ParticipantReport): string[] => [
    e(who.name),
    e(`${who.kind}: ${who.title}`),
    formatCount(who.asked),
    formatCount(who.remembered),
    formatCount(who.tries),
    formatCount(who.promptTokens + who.rememberedPromptTokens),
    formatCount(who.completionTokens + who.rememberedCompletionTokens),
    fixed(who.cost, 4),
    fixed(who.rememberedCost, 4),
  ];
  return `<h2>${e(texts.cost)}</h2>${table(texts.costHeads, [...systems, judge].map(line))}`;
}

function answersOf(pieces: JudgedPieces, names: readonly string[], question: string, turn: number): string {
  const one = (name: string): string =>
    `<div><b>${e(name)}</b>${pre(pieces.answersOf(name, question)[turn - 1] ?? '')}</div>`;
  return `${pre(pieces.questionOf(question))}<div class="two">${names.map(one).join('')}</div>`;
}

function judgments(pieces: JudgedPieces): string {
  const blocks = [
    ...pieces.games.map((game) => {
      const [one, two] = game.judgments;
      const head = `${game.question}${game.turn > 1 ? `, ${texts.turn} ${game.turn}` : ''}: ${pkTexts.against(game.a, game.b)}`;
      return details(
        head,
        game.outcome,
        `${answersOf(pieces, [game.a, game.b], game.question, game.turn)}<div class="two"><div><b>${e(texts.shownFirst(game.a, one.verdict))}</b>${pre(one.text)}</div><div><b>${e(texts.shownFirst(game.b, two.verdict))}</b>${pre(two.text)}</div></div>`,
      );
    }),
    ...pieces.ratings.map((rating) =>
      details(
        `${rating.question}${rating.turn > 1 ? `, ${texts.turn} ${rating.turn}` : ''}: ${rating.system}`,
        rating.rating === null ? 'unreadable' : String(rating.rating),
        `${answersOf(pieces, [rating.system], rating.question, rating.turn)}${pre(rating.judgment.text)}`,
      ),
    ),
    ...pieces.checks.map((check) =>
      details(
        `${check.question}, ${check.system}${check.aspect === '' ? '' : `, ${check.aspect}`}: ${check.item.slice(0, 160)}`,
        check.confirmed ? texts.isConfirmed : texts.isNotConfirmed,
        `${pre(check.item)}<div class="two">${check.judgments.map(({ text }) => pre(text)).join('')}</div>`,
      ),
    ),
  ];
  const shown = blocks.slice(0, mostShown);
  const rest = blocks.length - shown.length;
  const more = rest > 0 ? `<p>${e(texts.more(rest))}</p>` : '';
  return `<h2>${e(texts.judgments)} (${formatCount(blocks.length)})</h2>${more}${shown.join('\n')}`;
}

function details(title: string, outcome: string, body: string): string {
  const kind = /^(?:win|tie|loss|unreadable)$/.test(outcome) ? outcome : 'tie';
  return `<details><summary>${e(title)} <span class="${kind}">${e(outcome)}</span></summary>${body}</details>`;
}
