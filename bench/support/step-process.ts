/** A child process that runs training steps on request, ours or the peer's: one JSON line in, one out. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface, type Interface } from 'node:readline';

/** Token ids and labels (-100 where nothing is trained) of the rows of one batch, without padding. */
export interface Batch {
  readonly ids: readonly (readonly number[])[];
  readonly labels: readonly (readonly number[])[];
}

/** What one step took. */
export interface StepReport {
  readonly seconds: number;
  readonly loss: number;
  /** VmHWM of the process so far. */
  readonly peakBytes: number;
}

/** A running child. */
export class StepProcess {
  readonly name: string;
  /** What the child said of itself when it was ready. */
  ready: Readonly<Record<string, unknown>> = {};
  private readonly child: ChildProcess;
  private readonly answers: AsyncIterator<string>;
  private readonly lines: Interface;

  private constructor(name: string, child: ChildProcess) {
    this.name = name;
    this.child = child;
    // A child that died says why on standard error; the next answer reports it.
    child.stdin!.on('error', () => {});
    this.lines = createInterface({ input: child.stdout! });
    this.answers = this.lines[Symbol.asyncIterator]();
  }

  /** Starts a command and waits until it says that it is ready. */
  static async start(
    name: string,
    command: readonly string[],
    environment: NodeJS.ProcessEnv = {},
  ): Promise<StepProcess> {
    const [program, ...args] = command;
    const child = spawn(program!, args, {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, ...environment },
    });
    const process_ = new StepProcess(name, child);
    process_.ready = (await process_.answer()) as Record<string, unknown>;
    return process_;
  }

  private async answer(): Promise<unknown> {
    const { value, done } = await this.answers.next();
    if (done === true) throw new Error(`${this.name}: the process ended before it answered`);
    return JSON.parse(value);
  }

  async step(batch: Batch): Promise<StepReport> {
    return (await this.ask({ do: 'step', batch })) as StepReport;
  }

  /** Sends one request and waits for its answer. */
  async ask(request: object): Promise<unknown> {
    this.child.stdin!.write(`${JSON.stringify(request)}\n`);
    return this.answer();
  }

  /** Asks the child to end and waits for it. */
  async quit(): Promise<void> {
    const ended = this.child.exitCode === null ? once(this.child, 'exit') : undefined;
    this.child.stdin!.end(`${JSON.stringify({ do: 'quit' })}\n`);
    await ended;
    this.lines.close();
  }
}
