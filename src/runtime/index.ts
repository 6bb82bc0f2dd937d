export { giveBack } from './garbage.ts';
export { describeRuntime, type RuntimeDescription } from './describe.ts';
export { takesIntegerProductsExactly } from './integer-kernels.ts';
export { float32, int64, type TensorData, type TensorValue } from './tensor.ts';
export {
  allocatorKeepsPages,
  compile,
  compileLowered,
  type CompileOptions,
  type Device,
  Program,
  type WeightLocation,
  type WeightLocator,
} from './program.ts';
