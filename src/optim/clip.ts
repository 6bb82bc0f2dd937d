/** Gradient clipping by the global norm (Pascanu et al., arXiv 1211.5063), as `torch.nn.utils.clip_grad_norm_` does it. */
import type { OptimizedTensor } from './optimizer.ts';

/** Keeps the factor finite where the norm is 0; PyTorch's constant. */
const CLIP_EPSILON = 1e-6;

/** The L2 norm over all gradients together, summed in f64 in the order of the tensors. */
export function globalGradientNorm(tensors: readonly Pick<OptimizedTensor, 'gradient'>[]): number {
  let total = 0;
  for (const { gradient } of tensors) {
    let sum = 0;
    for (let i = 0; i < gradient.length; i++) {
      const g = gradient[i]!;
      sum += g * g;
    }
    total += sum;
  }
  return Math.sqrt(total);
}

/** What clipping multiplies the gradients by: min(1, maxNorm / (norm + 1e-6)); 1 where `maxNorm` is 0 (no clipping). */
export function clipFactor(norm: number, maxNorm: number): number {
  return maxNorm > 0 ? Math.min(1, maxNorm / (norm + CLIP_EPSILON)) : 1;
}
