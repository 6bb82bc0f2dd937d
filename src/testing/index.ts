export { bigramEngine, type BigramOptions } from './bigram-engine.ts';
export { type ModelConfigJson, type TensorShapes, tinyModelShapes, tinyWeight } from './tiny-weights.ts';
export { type TinyModel, writeTinyModel } from './tiny-model.ts';
export {
  decodeBase64Floats,
  differenceFromDigest,
  largestDifference,
  relativeDifference,
  type TensorDigest,
  tensorDigest,
} from './tensor-digest.ts';
