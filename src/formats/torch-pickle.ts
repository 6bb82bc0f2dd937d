/**
 * What the pickle of a PyTorch file may say: storages, tensors as views of them, parameters and ordered dictionaries. The
 * names below are all that is known; none of them is ever run, each has its meaning here. Everything else is refused by name.
 * Source: torch/_utils.py and torch/serialization.py (2.13).
 */
import {
  describeValue,
  PickleGlobal,
  PickleObject,
  PickleTuple,
  type PickleValue,
  type PickleWorld,
} from './pickle.ts';
import { FileFault } from './file-fault.ts';
import { type StoredDtype, storedBytes } from './safetensors-header.ts';

/** A name that a tensor file has no need of. */
export class UnsafeNameError extends Error {
  readonly global: string;
  constructor(global: string) {
    super(global);
    this.global = global;
  }
}

/** A run of elements that tensors are views of. */
export class TorchStorage extends PickleObject {
  readonly kind = 'storage';
  /** Which record (zip) or which numbered storage (legacy) it is. */
  readonly key: string;
  /** `undefined`: bytes without a dtype. */
  readonly dtype: StoredDtype | undefined;
  /** Elements (bytes where it has no dtype). */
  readonly count: number;
  /** First element in the storage named `key`; not 0 for views that legacy files have. */
  readonly start: number;
  constructor(key: string, dtype: StoredDtype | undefined, count: number, start: number) {
    super();
    this.key = key;
    this.dtype = dtype;
    this.count = count;
    this.start = start;
  }
}

/** A tensor: a view of a storage. Offset and strides count elements. */
export class TorchTensor extends PickleObject {
  readonly kind = 'tensor';
  readonly storage: TorchStorage;
  readonly dtype: StoredDtype;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  constructor(
    storage: TorchStorage,
    dtype: StoredDtype,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    super();
    this.storage = storage;
    this.dtype = dtype;
    this.offset = offset;
    this.shape = shape;
    this.strides = strides;
  }
}

const storages: Readonly<Record<string, StoredDtype>> = {
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.DoubleStorage': 'F64',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
  'torch.ComplexFloatStorage': 'C64',
};

const untypedStorages: ReadonlySet<string> = new Set(['torch.storage.UntypedStorage', 'torch.UntypedStorage']);

const dtypes: Readonly<Record<string, StoredDtype>> = {
  'torch.float32': 'F32',
  'torch.float16': 'F16',
  'torch.bfloat16': 'BF16',
  'torch.float64': 'F64',
  'torch.float8_e4m3fn': 'F8_E4M3',
  'torch.float8_e5m2': 'F8_E5M2',
  'torch.float8_e4m3fnuz': 'F8_E4M3FNUZ',
  'torch.float8_e5m2fnuz': 'F8_E5M2FNUZ',
  'torch.float8_e8m0fnu': 'F8_E8M0',
  'torch.int64': 'I64',
  'torch.int32': 'I32',
  'torch.int16': 'I16',
  'torch.int8': 'I8',
  'torch.uint8': 'U8',
  'torch.uint16': 'U16',
  'torch.uint32': 'U32',
  'torch.uint64': 'U64',
  'torch.bool': 'BOOL',
  'torch.complex64': 'C64',
};

/** Torch itself has at most 64 dimensions. */
const maxDimensions = 64;

function numbersOf(value: PickleValue | undefined, what: string): number[] {
  if (!(value instanceof PickleTuple) || value.items.length > maxDimensions) {
    throw new FileFault(`${what} must be a tuple of at most ${maxDimensions} integers`, describeValue(value));
  }
  return value.items.map((item) => wholeNumber(item, what));
}

function wholeNumber(value: PickleValue | undefined, what: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new FileFault(`${what} must be made of whole numbers from 0`, describeValue(value));
}

function makeTensor(args: readonly PickleValue[], named?: StoredDtype): TorchTensor {
  const [storage, offset, size, stride] = args;
  if (!(storage instanceof TorchStorage)) {
    throw new FileFault('a tensor must be a view of a storage', describeValue(storage));
  }
  const dtype = named ?? storage.dtype;
  if (dtype === undefined) throw new FileFault('a tensor must have a dtype', 'a storage of bytes');
  const shape = numbersOf(size, 'the shape of a tensor');
  const strides = numbersOf(stride, 'the strides of a tensor');
  if (shape.length !== strides.length) {
    throw new FileFault('a tensor must have a stride for each dimension', `${shape.length} and ${strides.length}`);
  }
  const first = wholeNumber(offset, 'the offset of a tensor');
  // the last element that the view reaches
  const last = shape.reduce((sum, length, i) => sum + (length - 1) * strides[i]!, first);
  const available = storage.dtype === undefined ? storage.count / storedBytes(dtype, [1]) : storage.count;
  if (!shape.includes(0) && !(last < available)) {
    throw new FileFault(`a tensor must lie inside of its storage of ${available} elements`, `element ${last}`);
  }
  const elements = shape.reduce((product, length) => product * length, 1);
  if (!Number.isSafeInteger(elements))
    throw new FileFault('a tensor must be of this world', `shape [${shape.join(', ')}]`);
  return new TorchTensor(storage, dtype, first, shape, strides);
}

/** Hooks and metadata that a tensor carries: empty in a file of tensors. */
function requireEmpty(value: PickleValue | undefined, what: string): void {
  if (value === undefined || value === null || (value instanceof Map && value.size === 0)) return;
  throw new FileFault(`a tensor must carry no ${what}`, describeValue(value));
}

const calls: Readonly<Record<string, (args: readonly PickleValue[]) => PickleValue>> = {
  'collections.OrderedDict': (args) => {
    if (args.length === 0) return new Map();
    throw new FileFault('an ordered dictionary must be made empty', `${args.length} arguments`);
  },
  'torch._utils._rebuild_tensor': (args) => makeTensor(args),
  'torch._utils._rebuild_tensor_v2': (args) => {
    requireEmpty(args[5], 'hooks');
    requireEmpty(args[6], 'metadata (a conjugate or negative view)');
    return makeTensor(args);
  },
  'torch._utils._rebuild_tensor_v3': (args) => {
    requireEmpty(args[5], 'hooks');
    requireEmpty(args[7], 'metadata (a conjugate or negative view)');
    const dtype = args[6] instanceof PickleGlobal ? dtypes[args[6].name] : undefined;
    if (!dtype) throw new FileFault('a tensor must have a dtype', describeValue(args[6]));
    return makeTensor(args, dtype);
  },
  'torch._utils._rebuild_parameter': parameter,
  'torch._utils._rebuild_parameter_with_state': parameter,
  'torch.Size': (args) => args[0] ?? new PickleTuple([]),
};

function parameter([tensor]: readonly PickleValue[]): PickleValue {
  if (tensor instanceof TorchTensor) return tensor;
  throw new FileFault('a parameter must hold a tensor', describeValue(tensor));
}

const known = (name: string): boolean =>
  Object.hasOwn(calls, name) ||
  Object.hasOwn(storages, name) ||
  Object.hasOwn(dtypes, name) ||
  untypedStorages.has(name);

function makeStorage(id: PickleValue): TorchStorage {
  const items = id instanceof PickleTuple ? id.items : [];
  const [what, type, key, , count, view] = items;
  if (what !== 'storage' || !(type instanceof PickleGlobal) || typeof key !== 'string') {
    throw new FileFault('an outer object must be a storage', describeValue(what ?? id));
  }
  const dtype = Object.hasOwn(storages, type.name) ? storages[type.name] : undefined;
  if (!dtype && !untypedStorages.has(type.name)) throw new FileFault('a storage must have a type', describeValue(type));
  const elements = wholeNumber(count, 'the size of a storage');
  if (view === undefined || view === null) return new TorchStorage(key, dtype, elements, 0);
  // legacy files: a part of another storage
  const [, start, length] = view instanceof PickleTuple ? view.items : [];
  const begin = wholeNumber(start, 'the view of a storage');
  const viewed = wholeNumber(length, 'the view of a storage');
  if (begin + viewed > elements) {
    throw new FileFault(`the view of a storage must lie inside of its ${elements} elements`, `${begin + viewed}`);
  }
  return new TorchStorage(key, dtype, viewed, begin);
}

/** The meaning of a tensor file's pickle. @throws UnsafeNameError for every name that tensors have no need of; FileFault. */
export const torchWorld: PickleWorld = {
  global(name) {
    if (known(name)) return new PickleGlobal(name);
    throw new UnsafeNameError(name);
  },
  call(callable, args) {
    if (Object.hasOwn(calls, callable.name)) return calls[callable.name]!(args);
    throw new FileFault('only what makes tensors may be called', describeValue(callable));
  },
  setState(object) {
    // Attributes of an ordered dictionary (`_metadata`: versions of modules) say nothing about tensors.
    if (!(object instanceof Map)) throw new FileFault('only a dictionary may have attributes', describeValue(object));
  },
  persistent: makeStorage,
};
