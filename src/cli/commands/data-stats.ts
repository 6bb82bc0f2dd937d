/** `fettle data stats`: lengths, turns, languages and trained share of data sets, with a histogram as SVG and PNG. */
import { histogram, legendText, svgToPng } from '../../charts/index.ts';
import { type DatasetStats, dataStats, type Notice } from '../../data/index.ts';
import { UsageError } from '../../errors.ts';
import { writeFileAtomically } from '../../formats/index.ts';
import { statsTexts } from '../../messages/cli.ts';
import { formatCount } from '../../util/index.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openDataCommand, printNotices } from '../data-arguments.ts';

const counts = (values: Readonly<Record<string, number>>): string =>
  Object.entries(values)
    .sort((a, b) => b[1] - a[1])
    .map(([name, count]) => `${name} ${formatCount(count)}`)
    .join(', ') || '0';

const summary = ({ min, median, mean, p90, p99, max }: DatasetStats['length']): string =>
  statsTexts.summary({ min, median, mean, p90, p99, max });

/** Writes a drawing, and beside a PNG what the numbers in it stand for where its font lacks a script. @returns the files */
async function writePicture(file: string, svg: string): Promise<string[]> {
  if (/\.svg$/i.test(file)) {
    await writeFileAtomically(file, svg);
    return [file];
  }
  const { png, legend } = await svgToPng(svg);
  await writeFileAtomically(file, png);
  if (legend.length === 0) return [file];
  const legendFile = file.replace(/\.png$/i, '.legend.txt');
  await writeFileAtomically(legendFile, legendText(legend));
  return [file, legendFile];
}

export const command: Command = {
  usage: configUsage,
  flags: [{ flags: '--plot <file>', description: 'write the histogram of lengths to FILE.svg or FILE.png' }, jsonFlag],
  async run(context) {
    const { command, options, out } = context;
    const plot = typeof options['plot'] === 'string' ? options['plot'] : undefined;
    if (plot !== undefined && !/\.(svg|png)$/i.test(plot)) {
      throw new UsageError('flag-value', { command, reason: statsTexts.plotName(plot) });
    }
    const { config, text } = await openDataCommand(context);
    const notices: Notice[] = [];
    const { total, datasets, lengths } = await dataStats(config, text.encoder, notices);
    printNotices(context, notices);
    const pictures: string[] = [];
    if (plot !== undefined) {
      const svg = histogram({
        title: statsTexts.title(config.dataset.join(', ')),
        subtitle: statsTexts.subtitle(total.sequences, total.trained_share),
        values: lengths,
        xLabel: statsTexts.tokens,
        yLabel: statsTexts.sequences,
        marks: [
          { value: total.length.median, label: statsTexts.median(total.length.median) },
          { value: config.cutoff_len, label: `cutoff_len ${config.cutoff_len}` },
        ].filter(({ value }) => value <= Math.max(...lengths.slice(0, 100_000), 1) * 1.5),
      });
      pictures.push(...(await writePicture(plot, svg)));
    }
    if (options['json'] === true) {
      out.json({ ...total, datasets });
      return;
    }
    for (const stats of datasets.length > 1 ? [...datasets, total] : datasets) {
      out.line(out.style('bold', stats === total ? statsTexts.all : stats.dataset));
      out.table([
        [statsTexts.rows, formatCount(stats.rows)],
        [statsTexts.dropped, counts(stats.dropped)],
        [statsTexts.sequences, formatCount(stats.sequences)],
        [statsTexts.tokens, formatCount(stats.tokens)],
        [statsTexts.trained, statsTexts.trainedShare(formatCount(stats.trained_tokens), stats.trained_share)],
        [statsTexts.length, summary(stats.length)],
        [statsTexts.prompt, summary(stats.prompt_length)],
        [statsTexts.response, summary(stats.response_length)],
        [statsTexts.turns, counts(stats.turns)],
        [statsTexts.languages, counts(stats.languages)],
      ]);
    }
    for (const file of pictures) out.line(file);
  },
};
