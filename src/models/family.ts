/** What every model family provides, and what it may ask of the tuning method and of the attention that is used. */
import type { AttentionOptions, RopeConfig, Rotation } from '../nn/index.ts';
import type { Node } from '../graph/index.ts';

/** Parameters as nodes. The tuning method implements it: a model file never knows what is trained. */
export interface ParameterSource {
  /** A parameter as f32 node. */
  parameter(name: string): Node;
  /** Rows of an embedding table [V, D] at token ids int64[N]: f32[N, D]. */
  embedding(name: string, ids: Node): Node;
  /**
   * x f32[N, in] through the linear module: its weight [out, in], or [in, out] if `transposed`, and its bias if `bias`;
   * f32[N, out].
   */
  linear(module: string, x: Node, bias?: boolean, transposed?: boolean): Node;
  /**
   * Rows `bounds[e]` to `bounds[e + 1]` of x f32[M, in] through the module `modules[e]`, none of which has a bias: f32[M, out].
   * @param bounds int64[E + 1] for E modules of equal sizes.
   */
  groupedLinear(modules: readonly string[], x: Node, bounds: Node): Node;
  /** Logits f32[R, V] through the output module, whose weight may be the embedding table `tiedTo`. */
  outputLogits(module: string, x: Node, tiedTo: string | undefined): Node;
}

/** Attention and positions as nodes: training uses padded rows, decoding a cache. */
export interface AttentionSource {
  /** Tables of the model's `ropes`, in their order. */
  readonly rotations: readonly Rotation[];
  /** q f32[N, H, E], k and v f32[N, K, E], positions already turned in: f32[N, H x E]. */
  attend(layer: number, q: Node, k: Node, v: Node, options: AttentionOptions): Node;
}

/** A parameter of the checkpoint with its shape as published files have it. */
export interface ParameterShape {
  readonly name: string;
  readonly shape: readonly number[];
}

/** A linear module that adapters can sit on. */
export interface LinearModule {
  /** Full name, e.g. `model.layers.0.self_attn.q_proj`. */
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  /** The weight is stored [in, out] (GPT-2's Conv1D; PEFT's `fan_in_fan_out`). */
  readonly transposed?: boolean;
  /** One of several modules that share the rows of a batch between them: an expert's. */
  readonly group?: ModuleGroup;
  /** Stays in floats where weights are quantised: a router, whose choices are all or nothing. */
  readonly keepsFloats?: boolean;
}

/** Modules that `groupedLinear` is called with together. */
export interface ModuleGroup {
  /** What they are called together, e.g. `model.layers.0.mlp.experts.gate_proj`. */
  readonly name: string;
  /** Rows that they get together for each token. */
  readonly rowsPerToken: number;
}

/** One checkpoint's model: sizes read from its `config.json`, and its graph. */
export interface Model {
  readonly modelType: string;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  readonly kvHeadCount: number;
  readonly headDim: number;
  /** Longest sequence of the config (`max_position_embeddings`). */
  readonly maxPositions: number;
  /** Positions are learned, so many of them: no sequence can be longer. Left out: none are. */
  readonly positionLimit?: number;
  /** Rotations of positions that its layers use; none where positions are learned or biases of the scores. */
  readonly ropes: readonly RopeConfig[];
  /** A sequence that grows so long that its positions turn otherwise is computed anew as a whole, as transformers does for it. */
  readonly recomputesTurnedKeys?: boolean;
  readonly tiesEmbeddings: boolean;
  /** Experts that each token is sent to, k of the dimension NK; left out where there are none. */
  readonly expertsPerToken?: number | undefined;
  /** Name of the input embedding module and of the output module. */
  readonly inputEmbedding: string;
  readonly outputModule: string;
  readonly parameters: readonly ParameterShape[];
  readonly linearModules: readonly LinearModule[];
  /** Token ids int64[N] at `positions` int64[N] of their sequences to f32[N, D]. */
  embed(source: ParameterSource, ids: Node, positions: Node): Node;
  /** One layer, f32[N, D] to f32[N, D]. */
  layer(source: ParameterSource, attention: AttentionSource, index: number, x: Node): Node;
  /** Final norm and output layer on chosen rows: f32[R, D] to f32[R, V]. */
  logits(source: ParameterSource, x: Node): Node;
}

/** Reads a model from the parsed `config.json`; `file` names it in errors. */
export type ModelReader = (file: string, json: unknown) => Model;
