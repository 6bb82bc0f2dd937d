/** Keys of mixed precision: accepted for the sake of files written for GPUs; the CPU computes in f32. */
import { z } from 'zod';
import { keysOf } from '../key.ts';

const key = keysOf('Machine');
const precision = () =>
  key(z.boolean().default(false), 'Accepted; the arithmetic is f32 on the CPU.', { resume: 'free' });

export const precisionKeys = {
  bf16: precision(),
  fp16: precision(),
  pure_bf16: precision(),
  bf16_full_eval: precision(),
  fp16_full_eval: precision(),
  fp8: precision(),
};
