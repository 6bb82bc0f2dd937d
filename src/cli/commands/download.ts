/** `fettle download`: a model or a data set of a hub into the cache on this machine. */
import { UsageError } from '../../errors.ts';
import { downloadDataset, downloadModel, type HubName, type HubOptions } from '../../hub/index.ts';
import { downloadTexts } from '../../messages/cli.ts';
import { jsonFlag, type Command } from '../command.ts';

/** Progress is told once for each so many bytes. */
const bytesPerLine = 256 * 1024 * 1024;

export const command: Command = {
  usage: 'NAME',
  flags: [
    { flags: '--dataset', description: 'a data set, not a model' },
    { flags: '--hub <name>', description: 'huggingface (default) or modelscope' },
    { flags: '--revision <name>', description: 'branch, tag or commit of a model' },
    { flags: '--subset <name>', description: 'subset of a data set' },
    { flags: '--split <name>', description: 'split of a data set (default train)' },
    jsonFlag,
  ],
  notes: [
    'The cache is FETTLE_CACHE/hub, else ~/.cache/fettle/hub. HF_ENDPOINT and MODELSCOPE_ENDPOINT name mirrors,',
    'HF_TOKEN and MODELSCOPE_API_TOKEN give access to what is not public. A broken download is continued.',
  ],
  async run({ command, arguments: names, options, out, err, env }) {
    const [name, extra] = names;
    if (extra !== undefined) throw new UsageError('unexpected-argument', { command, argument: extra });
    if (name === undefined) throw new UsageError('flag-missing', { command, flags: ['NAME'] });
    const text = (key: string): string | undefined => {
      const value = options[key];
      return typeof value === 'string' && value !== '' ? value : undefined;
    };
    const hub = text('hub') ?? 'huggingface';
    if (hub !== 'huggingface' && hub !== 'modelscope') {
      throw new UsageError('flag-value', { command, reason: downloadTexts.hub(hub) });
    }
    const told = new Map<string, number>();
    const hubOptions: HubOptions = {
      env,
      onProgress(path, bytes, total) {
        const lines = Math.floor(bytes / bytesPerLine);
        if (lines === (told.get(path) ?? 0) && bytes < total) return;
        told.set(path, lines);
        err.line(downloadTexts.progress(path, bytes, total));
      },
    };
    if (options['dataset'] === true) {
      const files = await downloadDataset(
        name,
        hub satisfies HubName,
        { subset: text('subset'), split: text('split') },
        hubOptions,
      );
      if (options['json'] === true) out.json({ files });
      else for (const file of files) out.line(file);
      return;
    }
    const folder = await downloadModel(name, hub, text('revision'), hubOptions);
    if (options['json'] === true) out.json({ folder });
    else out.line(folder);
  },
};
