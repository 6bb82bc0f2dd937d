/** Tensors in JavaScript memory, as programs take and give them. */
import type { DType } from '../graph/index.ts';

/** Arrays that hold tensor elements. float16 and bfloat16 stand as their 16-bit patterns, bool as 0 or 1 in bytes. */
export type TensorData =
  | Float32Array
  | BigInt64Array
  | Int32Array
  | Uint32Array
  | Uint16Array
  | Int16Array
  | Uint8Array
  | Int8Array;

export interface TensorValue {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: TensorData;
}

/** An f32 tensor over the given array (not copied). */
export function float32(data: Float32Array, shape: readonly number[]): TensorValue {
  return { dtype: 'float32', shape, data };
}

/** An int64 vector or tensor made of plain numbers. */
export function int64(values: ArrayLike<number>, shape: readonly number[] = [values.length]): TensorValue {
  const data = new BigInt64Array(values.length);
  for (let i = 0; i < values.length; i++) data[i] = BigInt(values[i]!);
  return { dtype: 'int64', shape, data };
}
