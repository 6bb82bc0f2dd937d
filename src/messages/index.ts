/** The catalogue of all texts: one file per room, keyed by stable code. Codes are unique over all rooms. */
import { chartsMessages } from './charts.ts';
import { cliMessages } from './cli.ts';
import { configMessages } from './config.ts';
import { dataMessages } from './data.ts';
import { endpointMessages } from './endpoint.ts';
import { engineMessages } from './engine.ts';
import { evalMessages } from './eval.ts';
import { exportMessages } from './export.ts';
import { formatsMessages } from './formats.ts';
import { generateMessages } from './generate.ts';
import { hubMessages } from './hub.ts';
import { pkMessages } from './pk.ts';
import { pluginMessages } from './plugins.ts';
import { runMessages } from './run.ts';
import { serverMessages } from './server.ts';
import { tokenizerMessages } from './tokenizer.ts';

export const messages = {
  ...chartsMessages,
  ...cliMessages,
  ...configMessages,
  ...dataMessages,
  ...endpointMessages,
  ...engineMessages,
  ...evalMessages,
  ...exportMessages,
  ...formatsMessages,
  ...generateMessages,
  ...hubMessages,
  ...pkMessages,
  ...pluginMessages,
  ...runMessages,
  ...serverMessages,
  ...tokenizerMessages,
};

export type MessageCode = keyof typeof messages;
export type MessageFields<C extends MessageCode> = Parameters<(typeof messages)[C]>[0];
