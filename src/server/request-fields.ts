/** Reading the fields of a request's body: each is what it must be, or the request is refused with its name. */
import { isJsonObject, type JsonObject, type JsonValue } from '../formats/index.ts';
import { badField } from './api-error.ts';

export class RequestFields {
  readonly body: JsonObject;
  private readonly path: string;

  constructor(body: JsonObject, path = '') {
    this.body = body;
    this.path = path;
  }

  /** A field's name in messages. */
  name(key: string): string {
    return `${this.path}${key}`;
  }

  /** The value of a field; null is nothing, as with OpenAI. */
  value(key: string): JsonValue | undefined {
    const value = Object.hasOwn(this.body, key) ? this.body[key] : undefined;
    return value === null ? undefined : value;
  }

  number(key: string, least: number, most: number): number | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && value >= least && value <= most) return value;
    throw badField(this.name(key), `a number from ${least} to ${most}`, value);
  }

  integer(key: string, least: number, most: number): number | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
    throw badField(this.name(key), `a whole number from ${least} to ${most}`, value);
  }

  boolean(key: string): boolean | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'boolean') return value;
    throw badField(this.name(key), 'true or false', value);
  }

  text(key: string): string | undefined {
    const value = this.value(key);
    if (value === undefined || typeof value === 'string') return value;
    throw badField(this.name(key), 'a text', value);
  }

  /** One text, or a list of at most `most`. */
  texts(key: string, most: number): string[] {
    const value = this.value(key);
    if (value === undefined) return [];
    if (typeof value === 'string') return [value];
    const isList = Array.isArray(value) && value.length <= most && value.every((item) => typeof item === 'string');
    if (isList) return value;
    throw badField(this.name(key), `a text or a list of at most ${most} texts`, value);
  }

  integers(key: string, most: number): number[] {
    const value = this.value(key);
    if (value === undefined) return [];
    const isList =
      Array.isArray(value) &&
      value.length <= most &&
      value.every((item) => Number.isInteger(item) && Number(item) >= 0);
    if (isList) return value as number[];
    throw badField(this.name(key), `a list of at most ${most} whole numbers`, value);
  }

  /** A list of objects. */
  objects(key: string, most: number): RequestFields[] {
    const value = this.value(key);
    if (value === undefined) return [];
    if (!Array.isArray(value) || value.length > most) {
      throw badField(this.name(key), `a list of at most ${most} objects`, value);
    }
    return value.map((item, i) => {
      const name = `${this.name(key)}[${i}]`;
      if (!isJsonObject(item)) throw badField(name, 'an object', item);
      return new RequestFields(item, `${name}.`);
    });
  }

  object(key: string): RequestFields | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    if (!isJsonObject(value)) throw badField(this.name(key), 'an object', value);
    return new RequestFields(value, `${this.name(key)}.`);
  }
}
