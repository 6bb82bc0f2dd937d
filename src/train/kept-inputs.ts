/** The inputs of the layers between the forward and the backward pass: in memory, in half of it, or in a file. */
import { randomUUID } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { bfloat16ToFloat32, cachePath, float32ToBfloat16 } from '../formats/index.ts';

import { giveBack, type TensorValue } from '../runtime/index.ts';
import type { KeptIn } from './plan-form.ts';

/** A pile of f32 tensors: what was put last comes first. */
export interface KeptInputs {
  put(value: TensorValue): void;
  /** Puts a tensor that nobody else will read. */
  move(value: TensorValue): void;
  take(): TensorValue;
  /** Frees what is left. */
  close(): void;
}

/** A pile of the kind. */
export function keepInputs(keptIn: KeptIn): KeptInputs {
  if (keptIn === 'disk') return onDisk();
  const halves = keptIn === 'bfloat16';
  const pile: TensorValue[] = [];
  const put = (value: TensorValue): void => void pile.push(halves ? toHalf(value) : value);
  return {
    put,
    move: (value) => {
      put(value);
      if (halves) giveBack([value]);
    },
    take: () => {
      const value = pile.pop()!;
      if (!halves) return value;
      const values = fromHalf(value);
      giveBack([value]);
      return values;
    },
    close: () => giveBack(pile.splice(0)),
  };
}

function toHalf({ shape, data }: TensorValue): TensorValue {
  const words = new Uint16Array(data.length);
  float32ToBfloat16(data as Float32Array, words);
  return { dtype: 'bfloat16', shape, data: words };
}

function fromHalf({ shape, data }: TensorValue): TensorValue {
  const values = new Float32Array(data.length);
  bfloat16ToFloat32(data as Uint16Array, values);
  return { dtype: 'float32', shape, data: values };
}

/** A file without a name where the system allows it, so that nothing is left even if the process is killed. */
function onDisk(): KeptInputs {
  const folder = cachePath('kept');
  mkdirSync(folder, { recursive: true });
  const path = join(folder, randomUUID());
  const file = openSync(path, 'w+');
  let named = true;
  const unname = (): void => {
    if (!named) return;
    try {
      unlinkSync(path);
      named = false;
    } catch {
      // Windows keeps the name of an open file: it goes when the file is closed
    }
  };
  unname();
  const pile: { shape: readonly number[]; offset: number; length: number }[] = [];
  let end = 0;
  const put = ({ shape, data }: TensorValue): void => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done, bytes.length - done, end + done);
    pile.push({ shape, offset: end, length: bytes.length });
    end += bytes.length;
  };
  return {
    put,
    move: (value) => {
      put(value);
      giveBack([value]);
    },
    take: () => {
      const { shape, offset, length } = pile.pop()!;
      end = offset;
      const data = new Float32Array(length / 4);
      const bytes = new Uint8Array(data.buffer);
      for (let done = 0; done < length;) {
        const count = readSync(file, bytes, done, length - done, offset + done);
        if (count === 0) throw new Error(`${path} has become shorter`);
        done += count;
      }
      return { dtype: 'float32', shape, data };
    },
    close: () => {
      closeSync(file);
      unname();
    },
  };
}
