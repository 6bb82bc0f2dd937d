/**
 * The HTTP process's hold on the engine process: starts it, hands it jobs, hears its answers, and starts it again once where it
 * dies. Jobs that it had are told that it is gone.
 */
import type { ChildProcess } from 'node:child_process';
import { RunError } from '../errors.ts';
import { spawnModule } from '../run/index.ts';
import { siblingModule } from '../threads/index.ts';
import type { EngineInfo, EngineJob, FromEngine, ToEngine } from './protocol.ts';

/** What a job hears. One of `end` and `failed` comes last. */
export interface JobListener {
  tokens(message: Extract<FromEngine, { type: 'tokens' }>): void;
  prompt(message: Extract<FromEngine, { type: 'prompt' }>): void;
  end(message: Extract<FromEngine, { type: 'end' }>): void;
  failed(reason: { readonly message: string; readonly isUsers: boolean; readonly isGone: boolean }): void;
}

/** A job that runs. */
export interface JobHandle {
  /** Ends it; nothing more is heard of it. */
  abort(): void;
  /** Ends it early; its `end` still comes. */
  finish(): void;
}

/** How the engine is started. */
export type EngineStart = Omit<Extract<ToEngine, { type: 'start' }>, 'type'>;

/** What is said of the engine process. */
export interface EngineEvents {
  /** It died; `again` says whether it is started once more. */
  readonly onDeath?: (what: string, again: boolean) => void;
  readonly onReady?: (info: EngineInfo) => void;
}

/** An engine that dies again so soon is not started a third time. */
const restartAfterMs = 60_000;
/** Characters of the engine's own output that are kept for the message of its death. */
const keptOutput = 2_000;

export class EngineClient {
  private readonly options: EngineStart;
  private readonly events: EngineEvents;
  private child: ChildProcess | undefined;
  private startedAt = 0;
  private isEnding = false;
  private restarts = 0;
  private output = '';
  private broken: string | undefined;
  private readonly listeners = new Map<number, JobListener>();
  private readonly waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  private nextId = 1;
  /** Adapters that were loaded since the start: a new process needs them, too. */
  private readonly adapters: Map<string, string>;
  info: EngineInfo | undefined;

  private constructor(options: EngineStart, events: EngineEvents) {
    this.options = options;
    this.events = events;
    this.adapters = new Map(options.adapters);
  }

  /** Starts the engine; resolves when its model is open. @throws RunError `engine-broken` with what it said. */
  static async start(options: EngineStart, events: EngineEvents = {}): Promise<EngineClient> {
    const client = new EngineClient(options, events);
    await client.open();
    return client;
  }

  get isReady(): boolean {
    return this.info !== undefined && this.child !== undefined;
  }

  /** Of the engine process, while there is one. */
  get processId(): number | undefined {
    return this.child?.pid;
  }

  get adapterNames(): readonly string[] {
    return [...this.adapters.keys()];
  }

  private open(): Promise<void> {
    const child = spawnModule(siblingModule(import.meta.url, 'engine-main'), 'pipe');
    this.child = child;
    this.startedAt = Date.now();
    this.output = '';
    this.broken = undefined;
    const keep = (text: Buffer): void => {
      this.output = (this.output + text.toString()).slice(-keptOutput);
    };
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    return new Promise((resolve, reject) => {
      child.on('message', (message: FromEngine) => {
        if (message.type === 'hello') {
          this.send({ type: 'start', ...this.options, adapters: [...this.adapters] });
        } else if (message.type === 'ready') {
          this.info = message.info;
          this.events.onReady?.(message.info);
          resolve();
        } else if (message.type === 'broken') this.broken = message.message;
        else this.hear(message);
      });
      child.once('exit', (code, signal) => {
        const said = this.broken ?? (this.output.trim().split('\n').at(-1) || `exit ${signal ?? code}`);
        reject(new RunError('engine-broken', { reason: said }));
        this.died(child, said);
      });
    });
  }

  private died(child: ChildProcess, what: string): void {
    if (this.child !== child) return;
    this.child = undefined;
    const wasReady = this.info !== undefined;
    this.info = undefined;
    for (const [id, listener] of this.listeners) {
      this.listeners.delete(id);
      listener.failed({ message: 'the engine has ended', isUsers: false, isGone: true });
    }
    for (const { reject } of this.waiting.values()) reject(new RunError('engine-broken', { reason: what }));
    this.waiting.clear();
    if (this.isEnding || !wasReady) return;
    const again = Date.now() - this.startedAt > restartAfterMs || this.restarts === 0;
    this.events.onDeath?.(what, again);
    if (!again) return;
    this.restarts++;
    this.open().catch(() => undefined);
  }

  private send(message: ToEngine): void {
    if (this.child?.connected === true) this.child.send(message, () => {});
  }

  private hear(message: Exclude<FromEngine, { type: 'hello' | 'ready' | 'broken' }>): void {
    if (message.type === 'done' || (message.type === 'failed' && this.waiting.has(message.id))) {
      const waiting = this.waiting.get(message.id);
      this.waiting.delete(message.id);
      if (message.type === 'done') waiting?.resolve();
      else waiting?.reject(new RunError('engine-refused', { reason: message.message }));
      return;
    }
    const listener = this.listeners.get(message.id);
    if (!listener) return;
    try {
      if (message.type === 'tokens') listener.tokens(message);
      else if (message.type === 'prompt') listener.prompt(message);
      else {
        this.listeners.delete(message.id);
        if (message.type === 'end') listener.end(message);
        else listener.failed({ ...message, isGone: false });
      }
    } catch (error) {
      // one request's trouble must not end the process that serves all
      console.error(error);
      if (this.listeners.delete(message.id)) this.send({ type: 'abort', id: message.id });
      listener.failed({ message: 'the answer could not be read', isUsers: false, isGone: false });
    }
  }

  /** Hands a job over. */
  submit(job: Omit<EngineJob, 'id'>, listener: JobListener): JobHandle {
    const id = this.nextId++;
    if (!this.isReady) {
      queueMicrotask(() => listener.failed({ message: 'the engine is not ready', isUsers: false, isGone: true }));
      return { abort: () => {}, finish: () => {} };
    }
    this.listeners.set(id, listener);
    this.send({ type: 'job', job: { ...job, id } });
    return {
      abort: () => {
        if (this.listeners.delete(id)) this.send({ type: 'abort', id });
      },
      finish: () => {
        if (this.listeners.has(id)) this.send({ type: 'abort', id });
      },
    };
  }

  private ask(message: Extract<ToEngine, { type: 'load' | 'unload' }>): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.isReady) {
        this.waiting.set(message.id, { resolve, reject });
        this.send(message);
      } else reject(new RunError('engine-broken', { reason: 'it is not ready' }));
    });
  }

  /** Lets requests choose an adapter by name. @throws RunError `engine-refused` with the reason. */
  async loadAdapter(name: string, folder: string): Promise<void> {
    await this.ask({ type: 'load', id: this.nextId++, name, folder });
    this.adapters.set(name, folder);
  }

  /** @throws RunError `engine-refused` with the reason. */
  async unloadAdapter(name: string): Promise<void> {
    const folder = this.adapters.get(name);
    // no request may choose it from now on
    this.adapters.delete(name);
    try {
      await this.ask({ type: 'unload', id: this.nextId++, name });
    } catch (error) {
      if (folder !== undefined) this.adapters.set(name, folder);
      throw error;
    }
  }

  /** Ends the engine process. */
  async release(): Promise<void> {
    this.isEnding = true;
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
    });
  }
}
