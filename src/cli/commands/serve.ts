/** `fettle serve`: the model behind an OpenAI-compatible address, until Ctrl-C. */
import { serveTexts } from '../../messages/server.ts';
import { startServer } from '../../server/index.ts';
import { type Command, configUsage, jsonFlag } from '../command.ts';
import { openCommandConfig } from '../config-arguments.ts';
import { INTERRUPTED } from '../failure.ts';

export const command: Command = {
  usage: configUsage,
  flags: [jsonFlag],
  notes: [
    'Example:',
    '  fettle serve model_name_or_path=models/base adapter_name_or_path=saves/run port=8000',
    'Clients take http://127.0.0.1:8000/v1 as the base URL of OpenAI. Only this machine may ask unless host is set.',
  ],
  async run(context) {
    const { out, err, options } = context;
    const { config } = await openCommandConfig(context, ['model_name_or_path']);
    const json = options['json'] === true;
    let starts = 0;
    err.line(err.style('dim', serveTexts.opening(config.base_model_name!)));
    const server = await startServer(config, {
      onDeath: (what, again) => err.line(err.style('red', serveTexts.died(what, again))),
      onReady: () => {
        if (starts++ > 0) err.line(err.style('green', serveTexts.ready));
      },
    });
    const isOpen = (config.api_key ?? process.env['FETTLE_API_KEY'] ?? '') === '';
    const isLocal = ['127.0.0.1', '::1', 'localhost'].includes(config.host);
    if (isOpen && !isLocal) err.line(err.style('yellow', serveTexts.open));
    if (json) out.json({ url: server.url, model: server.modelName });
    else out.line(serveTexts.listening(server.url, server.modelName));
    await new Promise<void>((resolve) => context.onInterrupt(resolve));
    await server.close();
    return INTERRUPTED;
  },
};
