/** A thread that tokenises groups of examples (`encode-pool.ts`). */
import { parentPort, workerData } from 'node:worker_threads';
import type { EncodeReply, EncodeRequest, EncodeWorkerData } from './encode-pool.ts';
import { encoderOfPlan } from './encoder-plan.ts';
import type { Example } from './example.ts';
import { buffersOf, packRows, type UnpackedRow } from './packed-rows.ts';
import { encodeExample } from './read-rows.ts';

const { plan, settings } = workerData as EncodeWorkerData;
const encoder = encoderOfPlan(plan);

/** Undefined where the encoder throws: the main thread then meets the same error with the row at hand. */
function encode(example: Example): UnpackedRow {
  try {
    return encodeExample(example, encoder, settings);
  } catch {
    return undefined;
  }
}

parentPort?.on('message', ({ id, examples }: EncodeRequest) => {
  const rows = packRows((JSON.parse(examples) as Example[]).map(encode));
  const reply: EncodeReply = { id, rows };
  parentPort?.postMessage(reply, buffersOf(rows));
});
