#!/usr/bin/env node
/** The program `fettle`. Only this file touches the process: signals, streams, exit code. */
import { computesHere, runCommandLine } from './command-line.ts';
import { describeFailure, INTERRUPTED } from './failure.ts';

let interrupt = (): void => process.exit(INTERRUPTED);
// Schedulers and containers end a program with SIGTERM: a run saves then too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt());

// `fettle ... | head` closes the pipe early: that is no failure of ours.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
}

for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: unknown) => {
    const failure = describeFailure(error, process.env);
    process.stderr.write(`${failure.text}\n`);
    process.exit(failure.exitCode);
  });
}

if (computesHere(process.argv.slice(2))) {
  const { endWithStarter, environmentToStartIn, startAgain } = await import('./start-again.ts');
  const environment = environmentToStartIn(process.env);
  if (environment !== undefined) await startAgain(environment);
  endWithStarter();
}

const exitCode = await runCommandLine(process.argv.slice(2), {
  out: process.stdout,
  err: process.stderr,
  input: process.stdin,
  env: process.env,
  onInterrupt: (handler) => {
    interrupt = handler;
  },
});
// What a command left open (a worker, a socket) must not keep the terminal waiting; a pipe is emptied first.
process.exitCode = exitCode;
process.stdout.write('', () => process.stderr.write('', () => process.exit(exitCode)));
