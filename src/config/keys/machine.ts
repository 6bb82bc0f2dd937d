/** Keys of the machine: device, threads, memory, processes. */
import { z } from 'zod';
import { keysOf, positiveInteger, textList } from '../key.ts';

const key = keysOf('Machine');

export const machineKeys = {
  device: key(z.enum(['cpu', 'webgpu', 'cuda']).default('cpu'), 'Where the arithmetic runs.'),
  compute: key(
    z.enum(['float32', 'int8_careful', 'int8']).default('float32'),
    'Arithmetic of the products with frozen weights: float32, or integers of 8 bits, which are faster and less exact. int8_careful keeps what the rounding of activations leaves, int8 does not and is the fastest. With LoRA on the CPU, on processors whose kernels are exact; the error on the first batch is printed at the start.',
    { aliases: { auto: 'float32' } },
  ),
  threads: key(
    positiveInteger.max(1024).optional(),
    'Threads of the arithmetic. Another number on resume may change the last bits.',
    {
      defaultText: 'the number of cores',
      resume: 'free',
    },
  ),
  memory_limit: key(
    z.number().int().min(1_000_000).optional(),
    'Most memory that the trainer may use: 8GB, 800MB or a number of bytes. 1 GB is 10^9 bytes. A run that goes on keeps the form of its steps, whatever the limit.',
    { reading: 'bytes', defaultText: 'the free memory of the machine', resume: 'free' },
  ),
  detach: key(z.boolean().default(false), 'Let the trainer live on when the terminal closes.', { resume: 'free' }),
  plugins: key(
    textList.default([]),
    'JavaScript files that add templates, converters, metrics and judges by name; they lie in the folder of the configuration or below it.',
    { resume: 'free' },
  ),
};
