/** `fettle download`: a model or a data set of a hub into the cache on this machine. */
import { UsageError } from '../../errors.ts';
import { downloadDataset, downloadModel, hubOf } from '../../hub/index.ts';
import { downloadTexts } from '../../messages/cli.ts';
import { jsonFlag, type Command } from '../command.ts';
import { downloadProgress } from '../config-arguments.ts';

export const command: Command = {
  usage: 'NAME',
  flags: [
    { flags: '--dataset', description: 'a data set, not a model' },
    { flags: '--hub <name>', description: 'huggingface or modelscope (default: as USE_MODELSCOPE_HUB says)' },
    { flags: '--revision <name>', description: 'branch, tag or commit of a model' },
    { flags: '--subset <name>', description: 'subset of a data set' },
    { flags: '--split <name>', description: 'split of a data set (default train)' },
    jsonFlag,
  ],
  notes: [
    "Files go where the hubs' own tools keep them: HF_HUB_CACHE or HF_HOME, MODELSCOPE_CACHE. HF_ENDPOINT and",
    'MODELSCOPE_ENDPOINT name mirrors, HF_TOKEN and MODELSCOPE_API_TOKEN give access to what is not public.',
    'A broken download is continued.',
  ],
  async run(context) {
    const { command, arguments: names, options, out } = context;
    const [name, extra] = names;
    if (extra !== undefined) throw new UsageError('unexpected-argument', { command, argument: extra, allowed: 'NAME' });
    if (name === undefined) throw new UsageError('flag-missing', { command, flags: ['NAME'] });
    const text = (key: string): string | undefined => {
      const value = options[key];
      return typeof value === 'string' && value !== '' ? value : undefined;
    };
    const hub = text('hub') ?? hubOf({});
    if (hub !== 'huggingface' && hub !== 'modelscope') {
      throw new UsageError('flag-value', { command, reason: downloadTexts.hub(hub) });
    }
    const progress = downloadProgress(context);
    if (options['dataset'] === true) {
      const part = { subset: text('subset'), split: text('split') };
      const files = await downloadDataset(name, hub, part, progress).finally(progress.end);
      if (options['json'] === true) out.json({ files });
      else for (const file of files) out.line(file);
      return;
    }
    const folder = await downloadModel(name, hub, text('revision'), progress).finally(progress.end);
    if (options['json'] === true) out.json({ folder });
    else out.line(folder);
  },
};
