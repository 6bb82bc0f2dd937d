/**
 * Compiles graphs and runs them: the only file that talks to onnxruntime. Session options follow NOTES.md: memory
 * patterns off, no arena where the allocator was set up for it (see run/), weights mapped from the user's own files.
 */
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { BackendError, UnsupportedError } from '../errors.ts';
import type { DType, Node } from '../graph/index.ts';
import { lowerGraph, type LoweredGraph, type WeightBytes } from '../onnx/index.ts';
import type { TensorData, TensorValue } from './tensor.ts';

/** Where programs run. `cuda` needs onnxruntime's CUDA provider library beside the package. */
export type Device = 'cpu' | 'webgpu' | 'cuda';

/** A weight in a file: `file` is a real path (symbolic links resolved). */
export interface WeightLocation {
  readonly file: string;
  readonly offset: number;
  readonly length: number;
}

/** Finds the bytes of a frozen weight: in a file, or in memory. */
export type WeightLocator = (name: string) => WeightLocation | Uint8Array;

export interface CompileOptions {
  readonly device: Device;
  /** Threads of one operator. */
  readonly threads: number;
  /** Copies weights into the layout that products like best: faster for some shapes, costs their size again. */
  readonly prepack?: boolean;
  /** Expands f16 and bf16 weights to f32 once, in memory: for many short runs. Else at each use, for few long ones. */
  readonly expandWeights?: boolean;
  /**
   * Whether threads wait for the next run at full speed. On pays where runs follow one another at once; where programs take
   * turns, the threads of one then stand in the way of the next.
   */
  readonly spinsBetweenRuns?: boolean;
  /** Keeps freed memory for the next run. Off only pays where the allocator does not give pages back. */
  readonly arena?: boolean;
}

/** Whether this process was started with an allocator that keeps freed pages (see run/spawn). */
export function allocatorKeepsPages(): boolean {
  return (process.env['GLIBC_TUNABLES'] ?? '').includes('glibc.malloc.mmap_threshold');
}

/** A compiled graph. Not reentrant: one run at a time. */
export class Program {
  private readonly session: InferenceSession;
  private readonly graph: LoweredGraph;
  private readonly barriers: Record<string, Tensor> = {};

  constructor(session: InferenceSession, graph: LoweredGraph) {
    this.session = session;
    this.graph = graph;
    for (const [name, shape] of graph.barriers) {
      this.barriers[name] = new Tensor('int64', BigInt64Array.from(shape, BigInt), [shape.length]);
    }
  }

  /** Names of the tensors that a run must be given. */
  get inputNames(): readonly string[] {
    return this.graph.inputs.map(({ name }) => name);
  }

  /**
   * Runs once. `feeds` may hold more than is needed.
   * @throws BackendError with the runtime's own words.
   */
  async run(feeds: Readonly<Record<string, TensorValue>>): Promise<Record<string, TensorValue>> {
    const tensors: Record<string, Tensor> = { ...this.barriers };
    for (const { name } of this.graph.inputs) {
      const value = feeds[name];
      if (!value) throw new BackendError('missing-feed', { name });
      tensors[name] = toTensor(value);
    }
    try {
      const results = await this.session.run(tensors);
      const values: Record<string, TensorValue> = {};
      for (const [name, tensor] of Object.entries(results)) {
        values[name] = { dtype: tensor.type as DType, shape: tensor.dims, data: tensor.data as TensorData };
      }
      return values;
    } catch (error) {
      throw new BackendError('run-failed', { reason: firstLine(error) }, { cause: error });
    }
  }

  /** Frees the session and all memory that it holds. */
  async release(): Promise<void> {
    await this.session.release();
  }
}

/** Lowers and compiles the graph that `outputs` reach. */
export async function compile(
  outputs: Readonly<Record<string, Node>>,
  locate: WeightLocator,
  options: CompileOptions,
): Promise<Program> {
  return compileLowered(
    lowerGraph(outputs, options.device === 'webgpu' ? 'webgpu' : 'cpu', options.expandWeights),
    locate,
    options,
  );
}

/** Compiles a graph that was lowered before. */
export async function compileLowered(
  graph: LoweredGraph,
  locate: WeightLocator,
  options: CompileOptions,
): Promise<Program> {
  const bytes = graph.encode((name) => externalBytes(locate(name)));
  try {
    return new Program(await InferenceSession.create(bytes, sessionOptions(options)), graph);
  } catch (error) {
    const reason = firstLine(error);
    if (options.device === 'webgpu' && reason.includes('WebGPU adapter')) {
      throw new UnsupportedError('webgpu-missing', {}, { cause: error });
    }
    throw new BackendError('compile-failed', { device: options.device, reason }, { cause: error });
  }
}

function sessionOptions(options: CompileOptions): InferenceSession.SessionOptions {
  const arena = options.arena ?? !allocatorKeepsPages();
  return {
    executionProviders: options.device === 'cpu' ? ['cpu'] : [options.device, 'cpu'],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    enableMemPattern: false,
    // our graphs come in their final form; the optimiser would only fold weights into memory of its own
    graphOptimizationLevel: options.expandWeights ? 'all' : 'disabled',
    enableCpuMemArena: arena,
    logSeverityLevel: 3,
    extra: {
      session: {
        disable_prepacking: options.prepack ? '0' : '1',
        force_spinning_stop: (options.spinsBetweenRuns ?? true) ? '0' : '1',
        // every weight lies below the root, so that files anywhere on the machine can be mapped
        model_external_initializers_file_folder_path: filesystemRoot,
      },
    },
  };
}

const filesystemRoot = '/';

function externalBytes(source: WeightLocation | Uint8Array): WeightBytes {
  if (source instanceof Uint8Array) return source;
  return { location: source.file.slice(filesystemRoot.length), offset: source.offset, length: source.length };
}

/** What was fed before and is fed again is described to the runtime once. */
const fedBefore = new WeakMap<TensorValue, Tensor>();

function toTensor(value: TensorValue): Tensor {
  let tensor = fedBefore.get(value);
  if (!tensor) {
    const { dtype, data, shape } = value;
    // the runtime's JavaScript has no bfloat16: programs take the bits (see onnx/)
    const type = dtype === 'bfloat16' ? 'uint16' : dtype;
    tensor = new Tensor(type as 'float32', data as Float32Array, shape);
    fedBefore.set(value, tensor);
  }
  return tensor;
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.split('\n')[0]!.slice(0, 500);
}
