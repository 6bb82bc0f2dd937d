/**
 * How many requests are under way at once. The number is halved when the server says "too many" and grows by one with
 * every 50 answers (additive increase, multiplicative decrease); all requests share one pause.
 */
import type { Clock } from './clock.ts';

/** Answers after which one more request may be under way. */
const answersPerStep = 50;

/** A place among the requests under way. */
export interface Place {
  /** How often the number had been lowered when this request began. */
  readonly lowerings: number;
}

/** The gate that every request passes. */
export class Pace {
  readonly most: number;
  private readonly clock: Clock;
  private limit: number;
  private running = 0;
  private answers = 0;
  private lowerings = 0;
  private pauseEnd = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(most: number, clock: Clock) {
    this.most = most;
    this.limit = most;
    this.clock = clock;
  }

  /** Requests that may be under way now. */
  get allowed(): number {
    return this.limit;
  }

  /** Waits for a place and for the end of the pause. Each place must be given back with `leave`. */
  async enter(signal?: AbortSignal): Promise<Place> {
    while (this.running >= this.limit) await this.waitForPlace(signal);
    this.running++;
    try {
      for (let rest = this.rest(); rest > 0; rest = this.rest()) await this.clock.sleep(rest, signal);
      signal?.throwIfAborted();
    } catch (error) {
      this.leave();
      throw error;
    }
    return { lowerings: this.lowerings };
  }

  /** Gives a place back. */
  leave(): void {
    this.running--;
    if (this.running < this.limit) this.waiting.shift()?.();
  }

  /** An answer came. */
  succeeded(): void {
    this.answers++;
    if (this.answers % answersPerStep === 0 && this.limit < this.most) {
      this.limit++;
      this.waiting.shift()?.();
    }
  }

  /** The server said "too many": requests of one moment lower the number once. */
  throttled(place: Place): void {
    if (place.lowerings < this.lowerings) return;
    this.lowerings++;
    this.limit = Math.max(1, Math.floor(this.limit / 2));
    this.answers = 0;
  }

  /** Nobody begins a request for so long. */
  pause(ms: number): void {
    this.pauseEnd = Math.max(this.pauseEnd, this.clock.now() + ms);
  }

  private rest(): number {
    return this.pauseEnd - this.clock.now();
  }

  private async waitForPlace(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal?.removeEventListener('abort', stop);
        resolve();
      };
      const stop = (): void => {
        const at = this.waiting.indexOf(go);
        if (at >= 0) this.waiting.splice(at, 1);
        reject(signal!.reason as Error);
      };
      this.waiting.push(go);
      signal?.addEventListener('abort', stop, { once: true });
    });
  }
}
