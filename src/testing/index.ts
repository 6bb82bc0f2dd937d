export { type ModelConfigJson, type TensorShapes, tinyModelShapes, tinyWeight } from './tiny-weights.ts';
export {
  decodeBase64Floats,
  differenceFromDigest,
  largestDifference,
  relativeDifference,
  type TensorDigest,
} from './tensor-digest.ts';
