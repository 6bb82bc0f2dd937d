/** `fettle plan`: memory and time of a run before it starts, and the longest rows and largest batches that fit. */
import { type PendingDownload, withLocalModels, withOutline } from '../../hub/index.ts';
import type { RemoteFiles } from '../../formats/index.ts';
import { planLabels, planTexts } from '../../messages/cli.ts';
import { planTraining } from '../../train/index.ts';
import { formatBytes } from '../../util/index.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { planValue } from '../train-view.ts';

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag, { flags: '--time', description: 'run three steps and say how long one takes' }],
  notes: [
    'Without a data set the plan is that of full rows of cutoff_len tokens. Of a model on a hub only the headers of its',
    'weights are read, unless steps are timed.',
  ],
  async run(context) {
    const { out, err, options } = context;
    const timed = options['time'] === true;
    let remote: RemoteFiles = new Map();
    let download: PendingDownload | undefined;
    const { config, given } = await openCommandConfig(context, ['model_name_or_path'], async (loaded, hub) => {
      if (timed) return withLocalModels(loaded.config, hub);
      const outlined = await withOutline(loaded.config, hub);
      ({ remote, download } = outlined);
      return outlined.config;
    });
    if (timed && config.dataset.length === 0) err.line(err.style('yellow', planTexts.noData));
    if (err.isTty) err.line(err.style('dim', planTexts.searching));
    const plan = await planTraining(config, {
      timed,
      remote,
      isGiven: (key) => given.some((name) => name === key),
      onNotice: (text) => err.line(err.style('yellow', text)),
    });
    if (download !== undefined) err.line(err.style('dim', planTexts.download(download)));
    if (options['json'] === true) {
      out.json(plan);
      return;
    }
    const { fits, seconds_per_step: seconds, ...numbers } = plan;
    out.table([
      ...Object.entries(numbers).map(([name, value]): [string, string] => [
        planLabels[name] ?? name.replaceAll('_', ' '),
        planValue({ name, value }),
      ]),
      ...(seconds === null ? [] : [[planLabels['seconds_per_step']!, `${seconds.toFixed(3)} s`] as const]),
    ]);
    const [peak, limit] = [formatBytes(plan.peak_memory_bytes), formatBytes(plan.memory_limit_bytes)];
    out.line(
      fits ? out.style('green', planTexts.fits(peak, limit)) : out.style('red', planTexts.tooLarge(peak, limit)),
    );
  },
};
