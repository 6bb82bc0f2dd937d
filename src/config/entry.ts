/** A setting as it stands in a file, on the command line or in options of the API, with the place to name in errors. */
import type { WrittenValue } from './coerce.ts';

/** Where the value of a key comes from. */
export type SettingOrigin = 'file' | 'command-line' | 'options';

/** One written setting. */
export interface Entry extends WrittenValue {
  readonly key: string;
  readonly origin: SettingOrigin;
  /** Place of the key: for an unknown key. */
  readonly keyWhere: string;
  /** Place of the value: for a wrong value. */
  readonly where: string;
}
