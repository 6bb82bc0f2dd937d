/** One request and its answer: the body that was read, and JSON or server-sent events that go back. */
import type { ServerResponse } from 'node:http';
import type { RequestFields } from './request-fields.ts';

export class Exchange {
  readonly fields: RequestFields;
  /** Whose turn it takes in the queue. */
  readonly client: string;
  private readonly response: ServerResponse;
  private readonly left = new AbortController();
  private streams = false;

  constructor(fields: RequestFields, client: string, response: ServerResponse) {
    this.fields = fields;
    this.client = client;
    this.response = response;
    response.on('close', () => {
      if (!response.writableFinished) this.left.abort();
    });
    if (response.destroyed) this.left.abort();
  }

  /** Aborted when the client has gone. */
  get signal(): AbortSignal {
    return this.left.signal;
  }

  get isStreaming(): boolean {
    return this.streams;
  }

  json(status: number, value: unknown): void {
    this.response.writeHead(status, { 'content-type': 'application/json' });
    this.response.end(JSON.stringify(value));
  }

  beginStream(): void {
    this.streams = true;
    this.response.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
    this.response.flushHeaders();
  }

  sendPart(value: unknown): void {
    if (!this.response.writableEnded) this.response.write(`data: ${JSON.stringify(value)}\n\n`);
  }

  endStream(): void {
    this.response.end('data: [DONE]\n\n');
  }

  /** Runs pieces of work side by side; where one fails, or the client goes, the others are ended. */
  async together<T>(work: readonly ((signal: AbortSignal) => Promise<T>)[]): Promise<T[]> {
    const failed = new AbortController();
    const signal = AbortSignal.any([this.signal, failed.signal]);
    try {
      return await Promise.all(work.map((each) => each(signal)));
    } catch (error) {
      failed.abort();
      throw error;
    }
  }
}
