/**
 * The few messages between a trainer and the process that started it, until the run folder tells everything; and errors
 * on their way between them.
 */
import {
  BackendError,
  ConfigError,
  DataError,
  FettleError,
  FileError,
  FormatError,
  RunError,
  ShapeError,
  UnsupportedError,
  UsageError,
} from '../errors.ts';
import type { FettleConfig } from '../config/index.ts';
import { messages, type MessageCode } from '../messages/index.ts';
import type { ProcessIdentity, TrainEvent } from '../run/index.ts';

/** The first and only message to a trainer. */
export interface StartRequest {
  readonly type: 'start';
  readonly folder: string;
  readonly config: FettleConfig;
  /** Keys of the config that somebody wrote. */
  readonly given: readonly string[];
  /** Whose death ends the trainer; null where nobody's does (`--detach`). */
  readonly owner: ProcessIdentity | null;
}

/** An error as it travels. */
export interface SentError {
  readonly name: string;
  readonly code: string | null;
  readonly fields: unknown;
  readonly message: string;
  readonly stack: string | null;
}

/** What a trainer tells its starter. */
export type TrainerMessage =
  | { readonly type: 'ready' }
  | { readonly type: 'event'; readonly event: TrainEvent }
  /** The run has begun: `events.jsonl` tells the rest from this byte on. */
  | { readonly type: 'accepted'; readonly eventsFrom: number }
  | { readonly type: 'error'; readonly error: SentError };

const errorClasses = {
  BackendError,
  ConfigError,
  DataError,
  FettleError,
  FileError,
  FormatError,
  RunError,
  ShapeError,
  UnsupportedError,
  UsageError,
};

/** An error made ready to travel. */
export function sendableError(error: unknown): SentError {
  if (error instanceof FettleError) {
    const { name, code, fields, message, stack } = error;
    return { name, code, fields, message, stack: stack ?? null };
  }
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  return { name, code: null, fields: null, message, stack: stack ?? null };
}

/** The error that arrived: of its class where it is one of ours, its text made anew from its fields. */
export function receivedError(sent: SentError): Error {
  const Class = Object.hasOwn(errorClasses, sent.name)
    ? errorClasses[sent.name as keyof typeof errorClasses]
    : undefined;
  if (Class === undefined || sent.code === null || !Object.hasOwn(messages, sent.code)) {
    const error = new RunError('internal-error', { text: `${sent.name}: ${sent.message}` });
    if (sent.stack !== null) error.stack = sent.stack;
    return error;
  }
  return new Class(sent.code as MessageCode, sent.fields as never);
}
