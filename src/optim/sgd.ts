/** Stochastic gradient descent with momentum, Nesterov's form and coupled decay, in the order of `torch.optim.SGD`. */
import { type OptimizedTensor, type Optimizer, restoreTensor } from './optimizer.ts';

/** Settings of SGD; those left out are PyTorch's defaults. */
export interface SgdOptions {
  readonly momentum?: number;
  readonly dampening?: number;
  readonly nesterov?: boolean;
  /** Added to the gradient (not decoupled), for the parameters that `decays` says. */
  readonly weightDecay?: number;
  /** Whether a parameter decays; left out: all do. */
  readonly decays?: (name: string) => boolean;
}

/**
 * Creates SGD over `tensors`; takes 4 bytes of state per number where there is momentum, else none.
 * @throws RangeError if `nesterov` is asked for without momentum or with dampening, as PyTorch does.
 */
export function sgd(tensors: readonly OptimizedTensor[], options: SgdOptions = {}): Optimizer {
  const { momentum = 0, dampening = 0, nesterov = false, weightDecay = 0, decays = () => true } = options;
  if (nesterov && (momentum <= 0 || dampening !== 0)) {
    throw new RangeError('nesterov needs a momentum above 0 and no dampening');
  }
  const buffers = momentum === 0 ? [] : tensors.map((tensor) => new Float32Array(tensor.data.length));
  let stepsTaken = 0;
  return {
    get stepsTaken() {
      return stepsTaken;
    },
    step(learningRate, gradientScale) {
      const round = Math.fround;
      const rate = round(-learningRate);
      const keep = round(momentum);
      // The first step copies the gradient into the buffer: no dampening then, as in PyTorch.
      const first = stepsTaken === 0;
      const take = round(1 - dampening);
      for (const [index, { name, data, gradient }] of tensors.entries()) {
        const decay = decays(name) ? round(weightDecay) : 0;
        const buffer = buffers[index];
        for (let i = 0; i < data.length; i++) {
          let g = round(gradient[i]! * gradientScale);
          if (decay !== 0) g = round(g + data[i]! * decay);
          if (buffer !== undefined) {
            const moved = first ? g : round(round(buffer[i]! * keep) + g * take);
            buffer[i] = moved;
            g = nesterov ? round(g + moved * keep) : moved;
          }
          data[i] = round(data[i]! + g * rate);
        }
      }
      stepsTaken += 1;
    },
    state: () => buffers.map((data, index) => ({ name: `momentum_buffer.${tensors[index]!.name}`, data })),
    restore(steps, state) {
      for (const [index, buffer] of buffers.entries()) {
        restoreTensor(buffer, `momentum_buffer.${tensors[index]!.name}`, state);
      }
      stepsTaken = steps;
    },
  };
}
