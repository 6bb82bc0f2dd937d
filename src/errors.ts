/**
 * The error classes. Every error has a stable `code` and typed `fields`; its English text is made from them by the
 * catalogue in `messages/`, the one place where texts stand, so that other languages can follow.
 */
import { messages, type MessageCode, type MessageFields } from './messages/index.ts';

/** The English text of a message code with its fields. */
export function messageText<C extends MessageCode>(code: C, fields: MessageFields<C>): string {
  const render = messages[code] as (fields: MessageFields<C>) => string;
  return render(fields);
}

/** Base of all errors that a user can meet. `exitCode` is what the command line ends with. */
export class FettleError<C extends MessageCode = MessageCode> extends Error {
  readonly code: C;
  readonly fields: MessageFields<C>;
  readonly exitCode: number = 1;
  constructor(code: C, fields: MessageFields<C>, options?: { cause?: unknown }) {
    super(messageText(code, fields), options);
    this.name = new.target.name;
    this.code = code;
    this.fields = fields;
  }
}

/** A graph was built with shapes or dtypes that do not fit. */
export class ShapeError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** One or more settings are wrong; the text lists all of them. */
export class ConfigError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** Rows of a data set are wrong. */
export class DataError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** A file or folder cannot be read or written: missing, not allowed, disk full. */
export class FileError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** The bytes of a file are not what its format says. */
export class FormatError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** Asked for something that this version, processor or platform does not do. */
export class UnsupportedError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** The inference runtime failed or gave something unusable. */
export class BackendError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** A run folder, a lock or a process is not in the state that was asked for. */
export class RunError<C extends MessageCode = MessageCode> extends FettleError<C> {}
/** A command line that cannot be understood: unknown command or flag. Ends with exit code 2. */
export class UsageError<C extends MessageCode = MessageCode> extends FettleError<C> {
  override readonly exitCode = 2;
}
