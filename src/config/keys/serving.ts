/** Keys of `serve`: where it listens, who may ask, and how much at once. */
import { z } from 'zod';
import { keysOf, positiveInteger, text } from '../key.ts';

const key = keysOf('Serving');
const free = { resume: 'free' } as const;

export const servingKeys = {
  host: key(text.default('127.0.0.1'), 'Address to listen on; 0.0.0.0 lets other machines in: set api_key then.', free),
  port: key(z.number().int().min(0).max(65_535).default(8000), 'Port to listen on; 0 takes a free one.', free),
  api_key: key(text.optional(), 'Key that requests must carry as "Authorization: Bearer KEY"; several with commas.', {
    ...free,
    defaultText: 'FETTLE_API_KEY, else none',
  }),
  served_model_name: key(text.optional(), 'Name of the model in requests.', {
    ...free,
    defaultText: 'the name of the folder of the last adapter, else of the model',
  }),
  adapters: key(
    z.record(z.string(), text).default({}),
    'Adapters beside the model, by name: requests choose one as their model.',
    free,
  ),
  adapter_dir: key(text.optional(), 'Folder from which adapters may be loaded while the server runs.', {
    ...free,
    defaultText: 'none may',
  }),
  max_rows: key(positiveInteger.max(1024).default(16), 'Answers that are computed at the same time.', free),
  max_waiting: key(positiveInteger.max(1_000_000).default(256), 'Prompts that may wait for their turn.', free),
  request_timeout: key(z.number().positive().max(86_400).default(600), 'Seconds that an answer may take.', free),
  max_body_size: key(z.number().int().min(1_000_000).default(8_000_000), 'Largest body of a request.', {
    ...free,
    reading: 'bytes',
  }),
  max_connections: key(positiveInteger.max(100_000).default(1024), 'Connections at the same time.', free),
};
