/** Keys of `export`: merging adapters into the base model. */
import { z } from 'zod';
import { keysOf, text } from '../key.ts';

const key = keysOf('Export');

export const exportKeys = {
  export_dir: key(text.optional(), 'Folder of the merged model.', { resume: 'free' }),
  export_size: key(
    z.number().positive().default(5),
    'Largest weight file, in GB (10^9 bytes); fractions are allowed.',
    {
      resume: 'free',
    },
  ),
};
