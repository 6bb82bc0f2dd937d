/**
 * The part of Python's pickle format (protocols 2 to 5) that a file of tensors needs: a stack machine over plain values that
 * calls nothing by itself. Names, calls and persistent ids are handed to the caller, who knows the few that tensors need.
 * Every opcode takes time and memory in proportion to its own bytes, so a file cannot cost more than its length.
 * Source: CPython's Lib/pickletools.py.
 */
import { FileFault } from './file-fault.ts';

/** A tuple: Python tells it from a list. */
export class PickleTuple {
  readonly items: readonly PickleValue[];
  constructor(items: readonly PickleValue[]) {
    this.items = items;
  }
}

/** A name that the file mentions: nothing but its text until the caller gives it a meaning. */
export class PickleGlobal {
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

/** What the caller made of a call or of a persistent id. */
export abstract class PickleObject {
  abstract readonly kind: string;
}

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleTuple
  | PickleGlobal
  | PickleObject
  | PickleList
  | PickleDict;
export type PickleList = PickleValue[];
export type PickleDict = Map<PickleValue, PickleValue>;

/** What a pickle may do beyond plain values; each function throws for what it does not know. */
export interface PickleWorld {
  /** Whether a name may stand in the file at all. @param name `module.name` */
  global(name: string): PickleGlobal;
  /** A call of a name. */
  call(callable: PickleGlobal, args: readonly PickleValue[]): PickleValue;
  /** Python's `__setstate__`; the result stays the object itself. */
  setState(object: PickleValue, state: PickleValue): void;
  /** An object outside of the pickle. */
  persistent(id: PickleValue): PickleValue;
}

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
/** Whole numbers of more bytes than this (a 64-bit integer, or torch's magic number) have no place in a tensor file. */
const maxIntegerBytes = 16;

const names: Readonly<Record<number, string>> = {
  0x28: 'MARK',
  0x46: 'FLOAT',
  0x49: 'INT',
  0x4c: 'LONG',
  0x50: 'PERSID',
  0x53: 'STRING',
  0x56: 'UNICODE',
  0x42: 'BINBYTES',
  0x43: 'SHORT_BINBYTES',
  0x69: 'INST',
  0x6f: 'OBJ',
  0x64: 'DICT',
  0x6c: 'LIST',
  0x67: 'GET',
  0x70: 'PUT',
  0x81: 'NEWOBJ',
  0x82: 'EXT1',
  0x83: 'EXT2',
  0x84: 'EXT4',
  0x8b: 'LONG4',
  0x8d: 'BINUNICODE8',
  0x8e: 'BINBYTES8',
  0x8f: 'EMPTY_SET',
  0x90: 'ADDITEMS',
  0x91: 'FROZENSET',
  0x92: 'NEWOBJ_EX',
  0x96: 'BYTEARRAY8',
  0x97: 'NEXT_BUFFER',
  0x98: 'READONLY_BUFFER',
};

/** A pickle that was read, and where the next bytes begin. */
export interface ReadPickle {
  readonly value: PickleValue;
  readonly end: number;
}

/**
 * Reads one pickle.
 * @param bytes may go on after the pickle's end; @param start where it begins.
 * @throws FileFault for an opcode that is not known, a stack that runs empty, bytes that end too early; what `world` throws.
 */
export function readPickle(bytes: Uint8Array, start: number, world: PickleWorld): ReadPickle {
  return new PickleMachine(bytes, start, world).run();
}

class PickleMachine {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private readonly world: PickleWorld;
  private position: number;
  private readonly stack: PickleValue[] = [];
  /** Heights of the stack at the marks. */
  private readonly marks: number[] = [];
  private readonly memo = new Map<number, PickleValue>();

  constructor(bytes: Uint8Array, start: number, world: PickleWorld) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.world = world;
    this.position = start;
  }

  run(): ReadPickle {
    for (;;) {
      const opcode = this.view.getUint8(this.take(1));
      if (opcode === 0x2e) return { value: this.pop(), end: this.position };
      this.step(opcode);
    }
  }

  private step(opcode: number): void {
    const { stack, view } = this;
    switch (opcode) {
      case 0x80: {
        const protocol = view.getUint8(this.take(1));
        if (protocol > 5) throw new FileFault('the pickle protocol must be at most 5', String(protocol));
        return;
      }
      case 0x95: // FRAME: a hint for buffered reading
        this.take(8);
        return;
      case 0x28:
        this.marks.push(stack.length);
        return;
      case 0x30:
        // CPython: a mark counts as an item
        if (this.marks.at(-1) === stack.length) this.marks.pop();
        else this.pop();
        return;
      case 0x31:
        this.popMark();
        return;
      case 0x32:
        stack.push(this.top());
        return;
      case 0x4e:
        stack.push(null);
        return;
      case 0x88:
        stack.push(true);
        return;
      case 0x89:
        stack.push(false);
        return;
      case 0x4a:
        stack.push(view.getInt32(this.take(4), true));
        return;
      case 0x4b:
        stack.push(view.getUint8(this.take(1)));
        return;
      case 0x4d:
        stack.push(view.getUint16(this.take(2), true));
        return;
      case 0x8a:
        stack.push(this.integer(view.getUint8(this.take(1))));
        return;
      case 0x47:
        stack.push(view.getFloat64(this.take(8), false));
        return;
      case 0x58:
        stack.push(this.text(view.getUint32(this.take(4), true)));
        return;
      case 0x8c:
        stack.push(this.text(view.getUint8(this.take(1))));
        return;
      case 0x54: // BINSTRING and SHORT_BINSTRING: texts of Python 2
        stack.push(this.text(view.getUint32(this.take(4), true)));
        return;
      case 0x55:
        stack.push(this.text(view.getUint8(this.take(1))));
        return;
      case 0x29:
        stack.push(new PickleTuple([]));
        return;
      case 0x85:
      case 0x86:
      case 0x87: {
        const count = opcode - 0x84;
        if (stack.length - this.floor() < count) throw new FileFault('the stack must hold a tuple', 'an empty stack');
        stack.push(new PickleTuple(stack.splice(stack.length - count)));
        return;
      }
      case 0x74:
        stack.push(new PickleTuple(this.popMark()));
        return;
      case 0x5d:
        stack.push([]);
        return;
      case 0x7d:
        stack.push(new Map());
        return;
      case 0x61: {
        const value = this.pop();
        this.list().push(value);
        return;
      }
      case 0x65: {
        const values = this.popMark();
        const list = this.list();
        for (const value of values) list.push(value);
        return;
      }
      case 0x73: {
        const value = this.pop();
        const key = this.pop();
        this.dict().set(this.key(key), value);
        return;
      }
      case 0x75: {
        const pairs = this.popMark();
        if (pairs.length % 2 === 1) throw new FileFault('a dictionary must get pairs', `${pairs.length} values`);
        const dict = this.dict();
        for (let i = 0; i < pairs.length; i += 2) dict.set(this.key(pairs[i]!), pairs[i + 1]!);
        return;
      }
      case 0x68:
        stack.push(this.recall(view.getUint8(this.take(1))));
        return;
      case 0x6a:
        stack.push(this.recall(view.getUint32(this.take(4), true)));
        return;
      case 0x71:
        this.memo.set(view.getUint8(this.take(1)), this.top());
        return;
      case 0x72:
        this.memo.set(view.getUint32(this.take(4), true), this.top());
        return;
      case 0x94:
        this.memo.set(this.memo.size, this.top());
        return;
      case 0x63:
        stack.push(this.world.global(`${this.line()}.${this.line()}`));
        return;
      case 0x93: {
        const name = this.pop();
        const module = this.pop();
        if (typeof name !== 'string' || typeof module !== 'string') {
          throw new FileFault('a name must be made of two texts', describeValue(name));
        }
        stack.push(this.world.global(`${module}.${name}`));
        return;
      }
      case 0x52: {
        const args = this.pop();
        const callable = this.pop();
        if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple)) {
          throw new FileFault('a call must be of a name with a tuple', describeValue(callable));
        }
        stack.push(this.world.call(callable, args.items));
        return;
      }
      case 0x62: {
        const state = this.pop();
        this.world.setState(this.top(), state);
        return;
      }
      case 0x51:
        stack.push(this.world.persistent(this.pop()));
        return;
      default: {
        const name = names[opcode];
        const code = `0x${opcode.toString(16).padStart(2, '0')}`;
        throw new FileFault(
          'every opcode must be one that tensors need',
          `${name === undefined ? code : `${name} (${code})`} at byte ${this.position - 1}`,
        );
      }
    }
  }

  /** Moves past `count` bytes; the place where they begin. */
  private take(count: number): number {
    const begin = this.position;
    if (count > this.bytes.length - begin) {
      throw new FileFault('the pickle must end with STOP', `the end of its ${this.bytes.length} bytes`);
    }
    this.position = begin + count;
    return begin;
  }

  /** The lowest place of the stack that an opcode may reach: the last mark. */
  private floor(): number {
    return this.marks.at(-1) ?? 0;
  }

  private top(): PickleValue {
    if (this.stack.length <= this.floor()) throw new FileFault('the stack must hold a value', 'an empty stack');
    return this.stack.at(-1)!;
  }

  private pop(): PickleValue {
    const value = this.top();
    this.stack.pop();
    return value;
  }

  private popMark(): PickleValue[] {
    const mark = this.marks.pop();
    if (mark === undefined) throw new FileFault('a mark must stand on the stack', 'none');
    return this.stack.splice(mark);
  }

  private list(): PickleList {
    const list = this.top();
    if (!Array.isArray(list)) throw new FileFault('only a list may be appended to', describeValue(list));
    return list;
  }

  private dict(): PickleDict {
    const dict = this.top();
    if (!(dict instanceof Map)) throw new FileFault('only a dictionary may get items', describeValue(dict));
    return dict;
  }

  private key(key: PickleValue): string | number {
    if (typeof key === 'string' || typeof key === 'number') return key;
    throw new FileFault('the keys of a dictionary must be texts or numbers', describeValue(key));
  }

  private recall(index: number): PickleValue {
    const value = this.memo.get(index);
    if (value === undefined) throw new FileFault('the memo must hold what is recalled', `nothing at ${index}`);
    return value;
  }

  private text(length: number): string {
    const begin = this.take(length);
    try {
      return text.decode(this.bytes.subarray(begin, begin + length));
    } catch {
      throw new FileFault('a text must be UTF-8', 'bytes that are not');
    }
  }

  /** A line of text, as GLOBAL has two. */
  private line(): string {
    const begin = this.position;
    const end = this.bytes.indexOf(0x0a, begin);
    if (end < 0) throw new FileFault('a name must end with a line feed', 'the end of the bytes');
    const value = this.text(end - begin);
    this.take(1);
    return value;
  }

  private integer(length: number): number | bigint {
    if (length > maxIntegerBytes) {
      throw new FileFault(`an integer may have ${maxIntegerBytes} bytes`, `${length} bytes`);
    }
    const begin = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.bytes[begin + i]!);
    const signed = length === 0 ? 0n : BigInt.asIntN(8 * length, value);
    const number = Number(signed);
    return Number.isSafeInteger(number) ? number : signed;
  }
}

/** A value in a few words, for an error. */
export function describeValue(value: PickleValue | undefined): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'None';
  if (value instanceof PickleTuple) return `a tuple of ${value.items.length}`;
  if (value instanceof PickleGlobal) return `the name ${JSON.stringify(value.name.slice(0, 100))}`;
  if (value instanceof PickleObject) return `a ${value.kind}`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (value instanceof Map) return `a dictionary of ${value.size}`;
  return JSON.stringify(typeof value === 'bigint' ? String(value) : value).slice(0, 100);
}
