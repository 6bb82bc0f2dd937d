/** A comparison of models on the same rows as one HTML page that needs nothing else: numbers, pictures, and every row with what differs. */
import { compareTexts as texts } from '../messages/eval.ts';
import { escapeHtml as e } from '../util/index.ts';
import type { AnsweredSystem, Comparison, MetricDifference } from './compare.ts';
import { confusionSvg } from './confusion-chart.ts';
import type { Score } from './scores.ts';
import { type MarkedPart, markDifferences } from './text-difference.ts';

/** Rows beyond this many stand in comparison.jsonl only: a browser cannot show them well. */
const mostRows = 1000;
/** Pixels of a confusion matrix: two stand side by side. */
const matrixWidth = 580;
/** Longer texts are cut on the page; the files hold them whole. */
const mostCharacters = 4000;

const style = `
body { font: 15px/1.6 system-ui, sans-serif; max-width: 76rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
table { border-collapse: collapse; } th, td { padding: .25rem 1rem .25rem 0; text-align: left; border-bottom: 1px solid #e6e9ed; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } small { color: #57606a; display: block; }
svg { max-width: 100%; height: auto; display: block; margin: .6rem 0; } .charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(26rem, 1fr)); gap: 1rem; }
article { border: 1px solid #d0d7de; border-radius: 6px; margin: .7rem 0; padding: .5rem .9rem; } article h3 { font-size: .95rem; margin: 0 0 .3rem; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.55 ui-monospace, monospace; background: #f6f8fa; padding: .5rem .7rem; border-radius: 6px; margin: .2rem 0; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: .8rem; } mark { background: #ffe2c9; color: inherit; border-radius: 2px; }
.better { color: #0a6b3b; font-weight: 600; } .worse { color: #b34700; font-weight: 600; } .filters { display: flex; flex-wrap: wrap; gap: 1rem; margin: .6rem 0; }
summary { cursor: pointer; color: #57606a; }
body:has(#show-changed:checked) article:not(.changed), body:has(#show-better:checked) article:not(.is-better), body:has(#show-worse:checked) article:not(.is-worse) { display: none; }
`;

const clip = (text: string): string =>
  text.length > mostCharacters ? `${text.slice(0, mostCharacters)}${texts.cut(text.length - mostCharacters)}` : text;

const marked = (parts: readonly MarkedPart[]): string =>
  parts.map(({ text, differs }) => (differs ? `<mark>${e(text)}</mark>` : e(text))).join('');

function scoreCell({ value, ci, signature }: Score): string {
  const title = signature === undefined ? '' : ` title="${e(signature)}"`;
  return `<td class="n"${title}>${texts.number(value)}<small>${ci === null ? '' : texts.range(ci)}</small></td>`;
}

function differenceCell(difference: MetricDifference | undefined): string {
  if (difference === undefined) return '<td></td>';
  const { verdict, ci, better, worse, same } = difference;
  const kind = verdict === 'not told apart' ? '' : ` class="${verdict}"`;
  return `<td class="n"><span${kind}>${texts.signed(difference.difference)}</span><small>${texts.range(ci)}</small><small>${texts.rowCounts(better, worse, same)}</small></td>`;
}

function metricTable({ systems, differences }: Comparison): string {
  const scoresOf = ({ scores }: AnsweredSystem): ReadonlyMap<string, Score> => {
    const accuracy: [string, Score][] =
      scores.labels === undefined
        ? []
        : [['accuracy', { value: scores.labels.accuracy, ci: scores.labels.accuracyInterval }]];
    return new Map([...accuracy, ...Object.entries(scores.means), ['sacrebleu', scores.bleu], ['chrF2', scores.chrf]]);
  };
  const [first, ...others] = systems;
  const columns = systems.map(scoresOf);
  const heads = [...systems.map(({ name }) => name), ...others.map(({ name }) => texts.against(name, first!.name))];
  const rows = [...columns[0]!.keys()].map((metric) => {
    const cells = columns.map((scores) => scoreCell(scores.get(metric)!));
    const changes = others.map(({ name }) =>
      differenceCell(differences.find((item) => item.system === name && item.metric === metric)),
    );
    return `<tr><th>${e(metric)}</th>${[...cells, ...changes].join('')}</tr>`;
  });
  const head = heads.map((name) => `<th class="n">${e(name)}</th>`).join('');
  return `<table><tr><th></th>${head}</tr>${rows.join('\n')}</table>`;
}

/** Which metric orders the rows: the label where there is one, else ROUGE-L. */
function leading({ scores }: AnsweredSystem, row: number): number {
  const { labels } = scores;
  if (labels?.predicted[row] === undefined) return scores.rows[row]!['rouge-l']!;
  return Number(labels.predicted[row] === labels.references[row]);
}

function answerBlock({ name, answers, scores }: AnsweredSystem, row: number): string {
  const { predict, label } = answers[row]!;
  const predicted = scores.labels?.predicted[row];
  const given = predicted === undefined ? '' : texts.meaning(predicted);
  const numbers = ['bleu-4', 'rouge-l'].map((metric) => `${metric} ${texts.number(scores.rows[row]![metric]!)}`);
  const about = [...(given === '' ? [] : [given]), ...numbers].join(', ');
  return `<div><strong>${e(name)}</strong> <small>${e(about)}</small><pre>${marked(markDifferences(clip(predict), clip(label)))}</pre></div>`;
}

function rowBlock(systems: readonly AnsweredSystem[], row: number): string {
  const { prompt, label } = systems[0]!.answers[row]!;
  const [first, ...others] = systems.map((system) => leading(system, row));
  const isChanged = systems.some(({ answers }) => answers[row]!.predict !== systems[0]!.answers[row]!.predict);
  const kinds = [
    ...(isChanged ? ['changed'] : []),
    ...(others.some((value) => value > first!) ? ['is-better'] : []),
    ...(others.some((value) => value < first!) ? ['is-worse'] : []),
  ];
  return `<article class="${kinds.join(' ')}"><h3>${texts.row(row)}</h3><details><summary>${texts.prompt}</summary><pre>${e(clip(prompt))}</pre></details>
<div><strong>${texts.label}</strong><pre>${e(clip(label))}</pre></div><div class="answers">${systems.map((system) => answerBlock(system, row)).join('')}</div></article>`;
}

async function pictures({ systems }: Comparison): Promise<string> {
  const { barChart } = await import('../charts/index.ts');
  const names = ['bleu-4', 'rouge-1', 'rouge-2', 'rouge-l'];
  const overview = barChart({
    title: texts.overview,
    categories: names,
    valueLabel: texts.percent,
    series: systems.map(({ name, scores }) => ({
      label: name,
      values: names.map((metric) => scores.means[metric]!.value),
      intervals: names.map((metric) => scores.means[metric]!.ci ?? [0, 0]),
    })),
  });
  const matrices: string[] = [];
  for (const { name, scores } of systems) {
    if (scores.labels !== undefined) matrices.push(await confusionSvg(scores.labels, name, matrixWidth));
  }
  return `${overview}<div class="charts">${matrices.join('\n')}</div>`;
}

/** The whole page. */
export async function comparisonPage(comparison: Comparison): Promise<string> {
  const { systems } = comparison;
  const title = `${texts.title}: ${systems.map(({ name }) => name).join(', ')}`;
  const { length } = systems[0]!.answers;
  const order = Array.from({ length }, (_, row) => row);
  const gain = (row: number): number => {
    const [first, ...others] = systems.map((system) => leading(system, row));
    return Math.max(0, ...others.map((value) => Math.abs(value - first!)));
  };
  const shown = order
    .map((row) => [row, gain(row)] as const)
    .sort(([a, m], [b, n]) => n - m || a - b)
    .slice(0, mostRows)
    .map(([row]) => row);
  const { labels } = systems[0]!.scores;
  const filters = (['all', 'changed', 'better', 'worse'] as const).map(
    (kind) =>
      `<label><input type="radio" name="show" id="show-${kind}"${kind === 'all' ? ' checked' : ''}> ${e(texts.filters[kind])}</label>`,
  );
  const sources = systems.map(({ name, source }) => `<tr><th>${e(name)}</th><td>${e(source)}</td></tr>`).join('');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${e(title)}</title><style>${style}</style></head><body>
<h1>${e(title)}</h1>
<table>${sources}</table>
<h2>${e(texts.numbers)}</h2>${metricTable(comparison)}<p>${e(texts.note(length))}</p>
${labels === undefined ? '' : `<p>${e(texts.mapping(labels.mapping.labels, labels.mapping.rule))}</p>`}
${await pictures(comparison)}
<h2>${e(texts.rows)}</h2><p>${e(texts.rowsNote(shown.length, length))}</p><div class="filters">${filters.join('')}</div>
${shown.map((row) => rowBlock(systems, row)).join('\n')}
</body></html>
`;
}
