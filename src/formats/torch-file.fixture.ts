/** Pickles and archives made by hand, well-formed and hostile, for the tests of the reader of PyTorch's files. */

type Part = string | number | Uint8Array | readonly Part[];

/** Bytes from opcodes (as text), numbers (bytes) and parts. */
export function bytes(...parts: readonly Part[]): Uint8Array {
  const out: Uint8Array[] = [];
  const add = (part: Part): void => {
    if (typeof part === 'number') out.push(Uint8Array.of(part));
    else if (typeof part === 'string') out.push(Buffer.from(part, 'latin1'));
    else if (part instanceof Uint8Array) out.push(part);
    else part.forEach(add);
  };
  parts.forEach(add);
  return Uint8Array.from(Buffer.concat(out));
}

export function u16(value: number): Uint8Array {
  return Uint8Array.from([value & 255, (value >> 8) & 255]);
}
export function u32(value: number): Uint8Array {
  const out = Buffer.alloc(4);
  out.writeUInt32LE(value);
  return out;
}
export function u64(value: number | bigint): Uint8Array {
  const out = Buffer.alloc(8);
  out.writeBigUInt64LE(BigInt(value));
  return out;
}

/** Opcodes that push a text, a whole number, a name. */
export const text = (value: string): Uint8Array => bytes('X', u32(Buffer.byteLength(value)), Buffer.from(value));
export const int = (value: number): Uint8Array => bytes('J', u32(value >>> 0));
export const long = (value: bigint): Uint8Array => bytes(0x8a, 8, u64(BigInt.asUintN(64, value)));
export const name = (module: string, attribute: string): Uint8Array => bytes('c', `${module}\n${attribute}\n`);
export const tuple = (...items: readonly Uint8Array[]): Uint8Array => bytes('(', items, 't');
export const proto = bytes(0x80, 2);

export interface TensorParts {
  readonly storage?: Uint8Array;
  readonly key?: string;
  readonly count?: Uint8Array;
  readonly offset?: Uint8Array;
  readonly shape?: Uint8Array;
  readonly strides?: Uint8Array;
  readonly hooks?: Uint8Array;
}

/** Opcodes that push a tensor; each part may be replaced. */
export function tensor(parts: TensorParts = {}): Uint8Array {
  const id = tuple(
    text('storage'),
    parts.storage ?? name('torch', 'FloatStorage'),
    text(parts.key ?? '0'),
    text('cpu'),
    parts.count ?? int(4),
  );
  return bytes(
    name('torch._utils', '_rebuild_tensor_v2'),
    tuple(
      bytes(id, 'Q'),
      parts.offset ?? int(0),
      parts.shape ?? tuple(int(2), int(2)),
      parts.strides ?? tuple(int(2), int(1)),
      bytes(0x89),
      parts.hooks ?? bytes('}'),
    ),
    'R',
  );
}

/** A pickle of a dictionary. */
export function dict(...pairs: readonly (readonly [Uint8Array, Uint8Array])[]): Uint8Array {
  return bytes(proto, '}(', pairs, 'u.');
}

export interface ZipEntry {
  readonly name: string;
  readonly data: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** What the list says instead of the truth. */
  readonly length?: number;
  readonly offset?: number;
}

/** A zip archive of stored records; `is64` writes sizes and places in the 64-bit extension. */
export function zip(entries: readonly ZipEntry[], is64 = false): Uint8Array {
  const parts: Uint8Array[] = [];
  const list: Uint8Array[] = [];
  let position = 0;
  const put = (part: Uint8Array): void => {
    parts.push(part);
    position += part.length;
  };
  for (const { name: entryName, data, method = 0, flags = 0, length = data.length, offset } of entries) {
    const encoded = Buffer.from(entryName);
    const at = offset ?? position;
    put(
      bytes(
        'PK',
        3,
        4,
        u16(20),
        u16(flags),
        u16(method),
        u32(0),
        u32(0),
        u32(data.length),
        u32(data.length),
        u16(encoded.length),
        u16(0),
        encoded,
      ),
    );
    put(data);
    const extra = is64 ? bytes(u16(1), u16(24), u64(length), u64(length), u64(at)) : new Uint8Array(0);
    const size = is64 ? 0xffffffff : length;
    list.push(
      bytes(
        'PK',
        1,
        2,
        u16(20),
        u16(20),
        u16(flags),
        u16(method),
        u32(0),
        u32(0),
        u32(size),
        u32(size),
        u16(encoded.length),
        u16(extra.length),
        u16(0),
        u16(0),
        u16(0),
        u32(0),
        u32(is64 ? 0xffffffff : at),
        encoded,
        extra,
      ),
    );
  }
  const start = position;
  list.forEach(put);
  const size = position - start;
  if (is64) {
    const end = position;
    put(
      bytes(
        'PK',
        6,
        6,
        u64(44),
        u16(45),
        u16(45),
        u32(0),
        u32(0),
        u64(list.length),
        u64(list.length),
        u64(size),
        u64(start),
      ),
    );
    put(bytes('PK', 6, 7, u32(0), u64(end), u32(1)));
    put(bytes('PK', 5, 6, u16(0), u16(0), u16(0xffff), u16(0xffff), u32(0xffffffff), u32(0xffffffff), u16(0)));
  } else {
    put(bytes('PK', 5, 6, u16(0), u16(0), u16(list.length), u16(list.length), u32(size), u32(start), u16(0)));
  }
  return bytes(parts);
}

const values = new Uint8Array(Float32Array.from([1, 2, 3, 4]).buffer);

/** An archive as torch writes it, around a pickle. */
export function archive(pickle: Uint8Array, others: readonly ZipEntry[] = [], data: Uint8Array = values): Uint8Array {
  return zip([{ name: 'm/data.pkl', data: pickle }, { name: 'm/data/0', data }, ...others]);
}

/** A legacy file around a pickle. */
export function legacy(
  pickle: Uint8Array,
  keys: Uint8Array = bytes(proto, ']', text('0'), 'a.'),
  tail?: Uint8Array,
): Uint8Array {
  const magic = Buffer.from('6cfc9c46f9206aa85019', 'hex');
  return bytes(
    bytes(proto, 0x8a, 10, magic, '.'),
    bytes(proto, 'M', u16(1001), '.'),
    dict([text('little_endian'), bytes(0x88)]),
    pickle,
    keys,
    tail ?? bytes(u64(4), values),
  );
}

/** Runs a shell command where a program unpickles it without care. */
export const command = bytes(proto, name('os', 'system'), tuple(text('touch /dev/shm/owned')), 'R.');

/** Fifty files that mean harm, each with what must be said of it. */
export const hostileFiles: readonly (readonly [what: string, file: Uint8Array, said: RegExp])[] = [
  ['os.system', archive(command), /got "os\.system"/],
  ['os.system, legacy', legacy(command), /got "os\.system"/],
  ['os.system first of all', command, /got "os\.system"/],
  ['posix.system', archive(bytes(proto, name('posix', 'system'), '.')), /"posix\.system"/],
  ['builtins.eval', archive(bytes(proto, name('builtins', 'eval'), '.')), /"builtins\.eval"/],
  ['__builtin__.exec', archive(bytes(proto, name('__builtin__', 'exec'), '.')), /"__builtin__\.exec"/],
  ['builtins.getattr', archive(bytes(proto, name('builtins', 'getattr'), '.')), /"builtins\.getattr"/],
  ['subprocess.Popen', archive(bytes(proto, name('subprocess', 'Popen'), '.')), /"subprocess\.Popen"/],
  ['runpy', archive(bytes(proto, name('runpy', '_run_code'), '.')), /"runpy\._run_code"/],
  ['torch.load', archive(bytes(proto, name('torch', 'load'), '.')), /"torch\.load"/],
  ['torch.hub.load', archive(bytes(proto, name('torch.hub', 'load'), '.')), /"torch\.hub\.load"/],
  [
    'numpy',
    archive(bytes(proto, name('numpy.core.multiarray', '_reconstruct'), '.')),
    /"numpy\.core\.multiarray\._reconstruct"/,
  ],
  [
    'a sparse tensor',
    archive(bytes(proto, name('torch._utils', '_rebuild_sparse_tensor'), '.')),
    /_rebuild_sparse_tensor/,
  ],
  ['a quantised tensor', archive(bytes(proto, name('torch._utils', '_rebuild_qtensor'), '.')), /_rebuild_qtensor/],
  ['a prototype name', archive(bytes(proto, name('constructor', 'prototype'), '.')), /"constructor\.prototype"/],
  ['__proto__', archive(bytes(proto, name('__proto__', ''), '.')), /"__proto__\."/],
  ['STACK_GLOBAL', archive(bytes(0x80, 4, 0x8c, 2, 'os', 0x8c, 6, 'system', 0x93, '.')), /"os\.system"/],
  ['STACK_GLOBAL of numbers', archive(bytes(proto, 'K', 1, 'K', 2, 0x93, '.')), /two texts/],
  ['INST', archive(bytes(proto, '(ios\nsystem\n.')), /INST/],
  ['OBJ', archive(bytes(proto, '(', name('torch', 'FloatStorage'), 'o.')), /OBJ/],
  ['NEWOBJ', archive(bytes(proto, name('collections', 'OrderedDict'), ')', 0x81, '.')), /NEWOBJ/],
  ['NEWOBJ_EX', archive(bytes(proto, 0x92, '.')), /NEWOBJ_EX/],
  ['EXT1', archive(bytes(proto, 0x82, 1, '.')), /EXT1/],
  ['a persistent id as text', archive(bytes(proto, 'Pstorage\n.')), /PERSID/],
  [
    'a storage of no type',
    archive(bytes(proto, tuple(text('storage'), text('x'), text('0'), text('cpu'), int(1)), 'Q.')),
    /storage/,
  ],
  [
    'a module as outer object',
    archive(bytes(proto, tuple(text('module'), name('torch', 'FloatStorage'), text('x'), text('y')), 'Q.')),
    /"module"/,
  ],
  ['a call of a storage type', archive(bytes(proto, name('torch', 'FloatStorage'), ')R.')), /may be called/],
  ['a call of a text', archive(bytes(proto, text('os.system'), ')R.')), /a call must be of a name/],
  ['arguments that are a list', archive(bytes(proto, name('collections', 'OrderedDict'), ']R.')), /with a tuple/],
  [
    'an ordered dictionary of something',
    archive(bytes(proto, name('collections', 'OrderedDict'), tuple(bytes(']')), 'R.')),
    /made empty/,
  ],
  ['hooks', archive(dict([text('a'), tensor({ hooks: bytes('}', text('h'), 'K', 1, 's') })])), /no hooks/],
  ['attributes of a tensor', archive(bytes(proto, tensor(), '}', text('x'), 'K', 1, 'sb.')), /attributes/],
  ['an empty stack', archive(bytes(proto, 'R.')), /empty stack/],
  ['no mark', archive(bytes(proto, 't.')), /a mark/],
  ['items below a mark', archive(bytes(proto, 'K', 1, '(', 0x85, '.')), /empty stack/],
  ['an empty memo', archive(bytes(proto, 'h', 9, '.')), /memo/],
  ['no end', archive(bytes(proto, '}')), /must end with STOP/],
  ['a text longer than the file', archive(bytes(proto, 'X', u32(0xffffffff), '.')), /must end with STOP/],
  ['an integer of a megabyte', archive(bytes(proto, 0x8a, 255, '.')), /an integer may have/],
  ['LONG4', archive(bytes(proto, 0x8b, u32(0x7fffffff), '.')), /LONG4/],
  ['a list that holds itself', archive(bytes(proto, ']q', 0, 'h', 0, 'a.')), /a dictionary of tensors/],
  ['a dictionary as key', archive(bytes(proto, '}}K', 1, 's.')), /keys of a dictionary/],
  ['elements before the storage', archive(dict([text('a'), tensor({ offset: int(-1) })])), /whole numbers from 0/],
  ['elements after the storage', archive(dict([text('a'), tensor({ offset: int(1) })])), /inside of its storage/],
  ['negative strides', archive(dict([text('a'), tensor({ strides: tuple(int(-2), int(1)) })])), /whole numbers from 0/],
  [
    'strides that reach far',
    archive(dict([text('a'), tensor({ strides: tuple(long(1n << 52n), int(1)) })])),
    /inside of its storage/,
  ],
  [
    'a tensor of 2^80 elements',
    archive(
      dict([text('a'), tensor({ shape: tuple(long(1n << 40n), long(1n << 40n)), strides: tuple(int(0), int(0)) })]),
    ),
    /of this world/,
  ],
  ['a storage larger than its record', archive(dict([text('a'), tensor({ count: int(5) })])), /must have 20 bytes/],
  [
    'a storage that is not there',
    archive(dict([text('a'), tensor({ key: '../../0' })])),
    /must have 16 bytes, got none/,
  ],
  [
    'a legacy storage larger than the file',
    legacy(dict([text('a'), tensor()]), undefined, bytes(u64(1n << 60n))),
    /inside of the file/,
  ],
  [
    'a legacy storage of negative size',
    legacy(dict([text('a'), tensor()]), undefined, bytes(u64((1n << 64n) - 4n))),
    /inside of the file/,
  ],
  ['a compressed record', zip([{ name: 'm/data.pkl', data: dict(), method: 8 }]), /compressed/],
  ['an encrypted record', zip([{ name: 'm/data.pkl', data: dict(), flags: 1 }]), /encrypted/],
  [
    'two pickles',
    zip([
      { name: 'a/data.pkl', data: dict() },
      { name: 'b/data.pkl', data: dict() },
    ]),
    /one data\.pkl/,
  ],
  [
    'a record twice',
    zip([
      { name: 'a/data.pkl', data: dict() },
      { name: 'a/data.pkl', data: dict() },
    ]),
    /twice/,
  ],
  ['a record beyond the file', zip([{ name: 'm/data.pkl', data: dict(), length: 1e9 }]), /data\.pkl may have/],
  ['a record at no place', zip([{ name: 'm/data.pkl', data: dict(), offset: 0xfffffff0 }]), /must lie inside/],
  ['a TorchScript program', archive(dict(), [{ name: 'm/constants.pkl', data: dict() }]), /TorchScript/],
  ['big-endian values', archive(dict(), [{ name: 'm/byteorder', data: Buffer.from('big') }]), /byte order/],
  ['an archive cut in the middle', archive(dict([text('a'), tensor()])).subarray(0, 300), /cut off/],
  ['nothing', new Uint8Array(0), /must end with STOP/],
  ['a web page', Buffer.from('<!DOCTYPE html>'), /opcode/],
];
