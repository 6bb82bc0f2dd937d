/** Worker threads that tokenise groups of examples. What they give is what the encoder gives here, in the order asked for. */
import type { Worker } from 'node:worker_threads';
import { siblingModule, startWorker } from '../threads/index.ts';
import type { EncoderPlan } from './encoder-plan.ts';
import type { Example } from './example.ts';
import { type PackedRows, type UnpackedRow, unpackRows } from './packed-rows.ts';
import type { LengthSettings } from './read-rows.ts';

/** What a worker is started with. */
export interface EncodeWorkerData {
  readonly plan: EncoderPlan;
  readonly settings: LengthSettings;
}

/** A group on its way to a worker: its examples as JSON text. */
export interface EncodeRequest {
  readonly id: number;
  readonly examples: string;
}

/** The group on its way back. */
export interface EncodeReply {
  readonly id: number;
  readonly rows: PackedRows;
}

interface Waiting {
  readonly resolve: (rows: UnpackedRow[]) => void;
  readonly reject: (error: unknown) => void;
}

export class EncodePool {
  private readonly workers: Worker[] = [];
  private readonly waiting = new Map<number, Waiting>();
  private nextId = 0;
  private failure: Error | undefined;

  /** Starts `count` threads; they take requests at once and answer when they are ready. */
  constructor(count: number, data: EncodeWorkerData) {
    for (let i = 0; i < count; i++) {
      const worker = startWorker(siblingModule(import.meta.url, 'encode-worker'), data);
      worker.on('message', ({ id, rows }: EncodeReply) => {
        const waiter = this.waiting.get(id)!;
        this.waiting.delete(id);
        waiter.resolve(unpackRows(rows));
      });
      // A thread that ends has nothing to say of its groups any more.
      worker.on('error', (error: Error) => this.fail(error));
      this.workers.push(worker);
    }
  }

  private fail(error: Error): void {
    this.failure = error;
    for (const { reject } of this.waiting.values()) reject(error);
    this.waiting.clear();
  }

  /** Groups that the threads have not answered yet. */
  get pending(): number {
    return this.waiting.size;
  }

  /** Tokenises a group. Groups go to the threads in turn. */
  encode(examples: readonly Example[]): Promise<UnpackedRow[]> {
    if (this.failure !== undefined) return Promise.reject(this.failure);
    const id = this.nextId++;
    const request: EncodeRequest = { id, examples: JSON.stringify(examples) };
    const reply = new Promise<UnpackedRow[]>((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.workers[id % this.workers.length]!.postMessage(request);
    return reply;
  }

  /** Ends the threads. */
  async close(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.terminate()));
  }
}
