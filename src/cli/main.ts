#!/usr/bin/env node
/** The program `fettle`. Only this file touches the process: signals, streams, exit code. */
import { lastingOutput } from './closed-output.ts';
import { computesHere, onlyPrints, runCommandLine } from './command-line.ts';
import { describeFailure, INTERRUPTED } from './failure.ts';

let interrupt = (): void => process.exit(INTERRUPTED);
// Schedulers and containers end a program with SIGTERM: a run saves then too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt());

const words = process.argv.slice(2);
// `fettle ... | head` closes the pipe early: that is no failure of ours.
const end = onlyPrints(words) ? (): void => process.exit(0) : undefined;
const output = lastingOutput(process.stdout, process.stderr, end);

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    const failure = describeFailure(error, process.env);
    output.err.write(`${failure.text}\n`);
    process.exit(failure.exitCode);
  });
}

if (computesHere(words)) {
  const { endWithStarter, environmentToStartIn, startAgain } = await import('./start-again.ts');
  const environment = environmentToStartIn(process.env);
  if (environment !== undefined) await startAgain(environment);
  endWithStarter();
}

const exitCode = await runCommandLine(words, {
  out: output.out,
  err: output.err,
  input: process.stdin,
  env: process.env,
  onInterrupt: (handler) => {
    interrupt = handler;
  },
});
// What a command left open (a worker, a socket) must not keep the terminal waiting; a pipe is emptied first.
process.exitCode = exitCode;
await output.emptied();
process.exit(exitCode);
