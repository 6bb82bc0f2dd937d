/** Which parameters weight decay pulls on. */

/**
 * Whether Hugging Face's trainer decays a parameter in full tuning: all but biases and the weights of norms
 * (`Trainer.get_decay_parameter_names`: layers of a norm class and names that hold `bias` or `norm`).
 */
export function decaysInFullTuning(name: string): boolean {
  return !name.split('.').some((part) => part === 'bias' || /norm$|^norm|layernorm|^ln_/.test(part));
}
