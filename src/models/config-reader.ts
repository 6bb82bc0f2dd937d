/** Reads `config.json` of a checkpoint field by field; every error names the file and the field. */
import { FormatError, UnsupportedError } from '../errors.ts';

/** Above any real model; keeps a hostile file from asking for absurd sizes. */
const maxSize = 2 ** 24;

export class ConfigReader {
  readonly file: string;
  readonly json: Readonly<Record<string, unknown>>;

  /** @param file name for error texts; @param json the parsed file. */
  constructor(file: string, json: unknown) {
    this.file = file;
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new FormatError('model-config-field', {
        file,
        field: '(whole file)',
        requirement: 'an object',
        actual: typeof json,
      });
    }
    this.json = json as Record<string, unknown>;
  }

  private fail(field: string, requirement: string): never {
    const actual = JSON.stringify(this.json[field]) ?? 'nothing';
    throw new FormatError('model-config-field', { file: this.file, field, requirement, actual: actual.slice(0, 80) });
  }

  /** A positive integer; `fallback` where the field is absent or null. */
  size(field: string, fallback?: number): number {
    const value = this.json[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > maxSize) {
      this.fail(field, `an integer from 1 to ${maxSize}`);
    }
    return value;
  }

  /** A finite positive number. */
  positive(field: string, fallback?: number): number {
    const value = this.json[field] ?? fallback;
    if (typeof value !== 'number' || !(value > 0) || !Number.isFinite(value)) this.fail(field, 'a positive number');
    return value;
  }

  boolean(field: string, fallback: boolean): boolean {
    const value = this.json[field] ?? fallback;
    if (typeof value !== 'boolean') this.fail(field, 'true or false');
    return value;
  }

  text(field: string, fallback?: string): string {
    const value = this.json[field] ?? fallback;
    if (typeof value !== 'string') this.fail(field, 'a text');
    return value;
  }

  /** The object at `field` as a reader of its own; undefined where absent or null. */
  object(field: string): ConfigReader | undefined {
    const value = this.json[field];
    if (value === undefined || value === null) return undefined;
    return new ConfigReader(`${this.file}: ${field}`, value);
  }

  /** The list of texts at `field`; undefined where absent or null. */
  texts(field: string, length: number): readonly string[] | undefined {
    const value = this.json[field];
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value) || value.length !== length || !value.every((item) => typeof item === 'string')) {
      this.fail(field, `a list of ${length} texts`);
    }
    return value;
  }

  /** The list of whole numbers from 0 at `field`; undefined where absent or null. */
  indices(field: string): readonly number[] | undefined {
    const value = this.json[field];
    if (value === undefined || value === null) return undefined;
    if (!Array.isArray(value) || !value.every((item) => Number.isInteger(item) && item >= 0)) {
      this.fail(field, 'a list of whole numbers from 0');
    }
    return value;
  }

  /** The list of `length` finite positive numbers at `field`. */
  positives(field: string, length: number): readonly number[] {
    const value = this.json[field];
    const isPositive = (item: unknown): boolean => typeof item === 'number' && item > 0 && Number.isFinite(item);
    if (!Array.isArray(value) || value.length !== length || !value.every(isPositive)) {
      this.fail(field, `a list of ${length} positive numbers`);
    }
    return value;
  }

  /** Refuses a value that this version would compute wrongly. */
  unsupported(field: string, value: unknown, supported: string): never {
    throw new UnsupportedError('model-config-unsupported', {
      file: this.file,
      field,
      value: JSON.stringify(value) ?? 'nothing',
      supported,
    });
  }
}
