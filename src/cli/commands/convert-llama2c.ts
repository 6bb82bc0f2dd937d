/** `fettle convert llama2c`: a llama2.c checkpoint becomes a Hugging Face folder. */
import { UsageError } from '../../errors.ts';
import { convertLlama2c } from '../../export/index.ts';
import { jsonFlag, type Command } from '../command.ts';

export const command: Command = {
  usage: '--checkpoint FILE.bin --tokenizer FILE.bin --output DIR',
  flags: [
    { flags: '--checkpoint <file>', description: "llama2.c's checkpoint (.bin)" },
    { flags: '--tokenizer <file>', description: 'its tokenizer (.bin)' },
    { flags: '--output <folder>', description: 'folder to write' },
    jsonFlag,
  ],
  async run({ command, arguments: extra, options, out }) {
    if (extra[0] !== undefined) throw new UsageError('unexpected-argument', { command, argument: extra[0] });
    const required = (name: string): string => {
      const value = options[name];
      if (typeof value !== 'string' || value === '')
        throw new UsageError('flag-missing', { command, flags: [`--${name}`] });
      return value;
    };
    const output = required('output');
    await convertLlama2c({ checkpoint: required('checkpoint'), tokenizer: required('tokenizer'), output });
    if (options['json'] === true) out.json({ output });
    else out.line(output);
  },
};
