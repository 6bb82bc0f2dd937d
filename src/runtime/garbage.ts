/**
 * Frees the memory of tensors at once. JavaScript's collector sees only their small handles and would leave them for long, and
 * where they then lie in the heap larger ones find no room (NOTES.md).
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import type { TensorValue } from './tensor.ts';

let nowhere: MessagePort | undefined;

/**
 * Gives the memory of tensors back that nobody will read again: they are empty from then on. What is moved to a port that nobody
 * listens to is freed, at once or in the next turn of the event loop.
 */
export function giveBack(values: Iterable<TensorValue | undefined>): void {
  for (const value of values) {
    const buffer = value?.data.buffer;
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) continue;
    if (!nowhere) {
      const { port1, port2 } = new MessageChannel();
      port2.close();
      nowhere = port1;
    }
    nowhere.postMessage(null, [buffer]);
  }
}
