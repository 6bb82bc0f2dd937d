/** Something that the user should know and that stops nothing. Knows no `node:` module. */
import { messageText } from '../errors.ts';
import type { MessageCode, MessageFields } from '../messages/index.ts';

/** A notice: a stable code, its fields, and the text made from them. */
export interface Notice<C extends MessageCode = MessageCode> {
  readonly code: C;
  readonly fields: MessageFields<C>;
  readonly text: string;
}

/** Makes a notice of a code of the catalogue. */
export function makeNotice<C extends MessageCode>(code: C, fields: MessageFields<C>): Notice<C> {
  return { code, fields, text: messageText(code, fields) };
}
