/**
 * AdamW (Loshchilov and Hutter, arXiv 1711.05101) in the order of float operations of `torch.optim.AdamW` on the CPU, so
 * that f32 results agree with PyTorch's to the last bits. State is f32, as PyTorch keeps it.
 */
import { type OptimizedTensor, type Optimizer, type OptimizerTensor, restoreTensor } from './optimizer.ts';

/** Settings of AdamW; those left out are PyTorch's defaults, except that nothing decays unless asked. */
export interface AdamWOptions {
  readonly beta1?: number;
  readonly beta2?: number;
  readonly epsilon?: number;
  /** Decoupled weight decay, for the parameters that `decays` says. */
  readonly weightDecay?: number;
  /** Whether a parameter decays; left out: all do. */
  readonly decays?: (name: string) => boolean;
}

interface Slot {
  readonly tensor: OptimizedTensor;
  readonly average: Float32Array;
  readonly squareAverage: Float32Array;
  readonly weightDecay: number;
}

/** Creates AdamW over `tensors`; takes 8 bytes of state per number. */
export function adamw(tensors: readonly OptimizedTensor[], options: AdamWOptions = {}): Optimizer {
  const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0, decays = () => true } = options;
  const slots: Slot[] = tensors.map((tensor) => ({
    tensor,
    average: new Float32Array(tensor.data.length),
    squareAverage: new Float32Array(tensor.data.length),
    weightDecay: decays(tensor.name) ? weightDecay : 0,
  }));
  let stepsTaken = 0;
  return {
    get stepsTaken() {
      return stepsTaken;
    },
    step(learningRate, gradientScale) {
      stepsTaken += 1;
      const stepSize = learningRate / (1 - beta1 ** stepsTaken);
      const correction = Math.sqrt(1 - beta2 ** stepsTaken);
      for (const slot of slots) {
        updateSlot(
          slot,
          1 - learningRate * slot.weightDecay,
          stepSize,
          correction,
          gradientScale,
          beta1,
          beta2,
          epsilon,
        );
      }
    },
    state: () =>
      slots.flatMap(({ tensor, average, squareAverage }): OptimizerTensor[] => [
        { name: `exp_avg.${tensor.name}`, data: average },
        { name: `exp_avg_sq.${tensor.name}`, data: squareAverage },
      ]),
    restore(steps, state) {
      for (const { tensor, average, squareAverage } of slots) {
        restoreTensor(average, `exp_avg.${tensor.name}`, state);
        restoreTensor(squareAverage, `exp_avg_sq.${tensor.name}`, state);
      }
      stepsTaken = steps;
    },
  };
}

/** One pass over one parameter. A product and sum rounded once stand for PyTorch's fused multiply-add. */
function updateSlot(
  slot: Slot,
  decayFactor: number,
  stepSize: number,
  correction: number,
  gradientScale: number,
  beta1: number,
  beta2: number,
  epsilon: number,
): void {
  const { average, squareAverage } = slot;
  const { data, gradient } = slot.tensor;
  const round = Math.fround;
  const decay = round(decayFactor);
  const weight1 = round(1 - beta1);
  const keep2 = round(beta2);
  const weight2 = round(1 - beta2);
  const negativeStep = round(-stepSize);
  // PyTorch divides a tensor by a number as a product with its reciprocal.
  const inverseRoot = round(1 / round(correction));
  const smallest = round(epsilon);
  for (let i = 0; i < data.length; i++) {
    const g = round(gradient[i]! * gradientScale);
    const before = average[i]!;
    const mean = round(before + weight1 * round(g - before));
    const square = round(round(squareAverage[i]! * keep2) + round(weight2 * g) * g);
    average[i] = mean;
    squareAverage[i] = square;
    const denominator = round(round(round(Math.sqrt(square)) * inverseRoot) + smallest);
    data[i] = round(round(data[i]! * decay) + round(round(negativeStep * mean) / denominator));
  }
}
