/** The table of all commands: one line here and one file in `commands/` make a command. */
import type { CommandEntry } from './command.ts';

/** Every command, in the order of the help. */
export const commands: readonly CommandEntry[] = [
  {
    name: 'export',
    summary: 'Merge adapters into the base model and write it as safetensors',
    load: () => import('./commands/export.ts'),
  },
  {
    name: 'convert llama2c',
    summary: 'Turn a llama2.c checkpoint into a Hugging Face folder',
    load: () => import('./commands/convert-llama2c.ts'),
  },
  {
    name: 'doctor',
    summary: 'Show what this machine offers',
    load: () => import('./commands/doctor.ts'),
  },
];
