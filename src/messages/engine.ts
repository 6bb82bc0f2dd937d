/** Texts about graphs, models, tuning and the runtime. */
import { formatCount } from '../util/index.ts';

export const engineMessages = {
  'shape-mismatch': (f: { op: string; requirement: string; actual: string }) =>
    `${f.op}: ${f.requirement}, got ${f.actual}`,
  'missing-feed': (f: { name: string }) => `program: the input "${f.name}" must be given, got none`,
  'run-failed': (f: { reason: string }) => `onnxruntime: a run failed: ${f.reason}`,
  'compile-failed': (f: { device: string; reason: string }) =>
    `onnxruntime: the graph must compile for device "${f.device}", got: ${f.reason}`,
  'model-config-field': (f: { file: string; field: string; requirement: string; actual: string }) =>
    `${f.file}: ${f.field} must be ${f.requirement}, got ${f.actual}`,
  'model-config-unsupported': (f: { file: string; field: string; value: string; supported: string }) =>
    `${f.file}: ${f.field} must be one of ${f.supported}, got ${f.value}. This version would compute it wrongly`,
  'unknown-model-type': (f: { file: string; type: string; known: readonly string[] }) =>
    `${f.file}: model_type must be one of ${f.known.join(', ')}, got "${f.type}"`,
  'unknown-lora-target': (f: { targets: readonly string[]; available: readonly string[] }) =>
    `lora_target: each name must be a linear module of the model, got ${f.targets.map((t) => `"${t}"`).join(', ')}. There are ${f.available.join(', ')}, and "all"`,
  'parameter-shape': (f: { file: string; tensor: string; expected: readonly number[]; actual: readonly number[] }) =>
    `${f.file}: "${f.tensor}" must have shape [${f.expected.join(',')}] by config.json, got [${f.actual.join(',')}]`,
  'parameters-missing': (f: { file: string; modelType: string; missing: readonly string[] }) =>
    `${f.file}: a ${f.modelType} checkpoint must hold ${f.missing
      .slice(0, 5)
      .map((name) => `"${name}"`)
      .join(', ')}${f.missing.length > 5 ? ` and ${f.missing.length - 5} more` : ''}, got none of that name`,
  'unknown-additional-target': (f: { targets: readonly string[]; available: readonly string[] }) =>
    `additional_target: each name must be a module of the model, got ${f.targets.map((t) => `"${t}"`).join(', ')}. There are ${f.available.join(', ')}`,
  'token-id-outside': (f: { id: number; vocabularySize: number }) =>
    `trainable_token_indices: ids must lie below the vocabulary's ${f.vocabularySize}, got ${f.id}`,
  'new-tokens-on-adapter': (f: { folder: string }) =>
    `add_tokens: tokens can be added to a base model only, got an adapter to continue (${f.folder}). Merge it first (fettle export), or set create_new_adapter: true`,
  'new-tokens-need-both': (f: { given: string; missing: string }) =>
    `additional_target: with added tokens, embedding and output layer must both move as a whole or both not, got ${f.given} alone. Add ${f.missing}, or leave both out: the rows of new tokens are trained anyway`,
  'token-beyond-vocabulary': (f: { id: number; vocabularySize: number }) =>
    `model: token ids must lie below the model's vocab_size ${f.vocabularySize}, got ${f.id} from the tokenizer. Set resize_vocab: true to train rows for the others`,
  'adapter-below': (f: { folder: string }) =>
    `adapter_name_or_path: an adapter that lies below another may hold LoRA matrices only, got whole modules or token rows in ${f.folder}. Merge it into its base model first (fettle export)`,
  'adapter-disagrees': (f: { key: string; given: string; own: string; folder: string }) =>
    `${f.key}: must be ${f.own} as in the adapter that is continued (${f.folder}), got ${f.given}. Leave it out, or set create_new_adapter: true`,
  'quantization-transposed': (f: { folder: string; modelType: string; key: string }) =>
    `${f.folder}: frozen weights in 4 or 8 bits must be stored [out, in], got a ${f.modelType} model, whose are [in, out]. Leave ${f.key} out`,
  'integers-of-four-bits': (f: { folder: string }) =>
    `compute: products in integers need weights in floats or 8 bits, got ${f.folder}, whose weights stand in 4 bits. Leave compute out`,
  'integer-kernels': (f: { compute: string; processor: string }) =>
    `compute: ${f.compute} needs a processor whose kernels add 8-bit products exactly (AVX-VNNI, AVX-512 VNNI, ARM dot products), got wrong sums from onnxruntime on ${f.processor}. Set compute: float32`,
  'memory-too-small': (f: {
    needed: number;
    limit: number;
    stated: boolean;
    rows: number;
    longest: number;
    /** Whether gradient_checkpointing: true, which the config rules out, would do. */
    segmentsFit: boolean;
    /** Rows that are evaluated on at a time, where without evaluation the run would fit. */
    evaluationRows: number | undefined;
    /** Rows of the same length that fit, and the longest rows of the same number; 0: none. */
    largestBatch: number;
    longestThatFits: number;
    /** What the smallest batch would need, in segments. */
    smallest: number;
  }) => {
    // what is needed rounds up, what there is down: a limit that is told must do
    const needed = (bytes: number): string => `${formatCount(Math.ceil(bytes / 1e6))} MB`;
    const there = (bytes: number): string => `${formatCount(Math.floor(bytes / 1e6))} MB`;
    const remedies = [
      ...(f.segmentsFit ? ['gradient_checkpointing: true'] : []),
      ...(f.evaluationRows === undefined ? [] : [`a smaller per_device_eval_batch_size (now ${f.evaluationRows})`]),
      ...(f.largestBatch > 0
        ? [`per_device_train_batch_size: ${f.largestBatch} (with more gradient_accumulation_steps)`]
        : []),
      ...(f.longestThatFits > 0 ? [`cutoff_len: ${f.longestThatFits}`] : []),
    ];
    const help =
      f.smallest <= f.limit
        ? remedies.join(', or ') || 'per_device_train_batch_size: 1 and a shorter cutoff_len'
        : `${f.stated ? 'a memory_limit of' : 'free memory of'} at least ${needed(f.smallest)}, which the shortest rows need`;
    return `${f.stated ? 'memory_limit' : 'memory'}: this run is planned to need ${needed(f.needed)}, got ${there(f.limit)}${f.stated ? '' : ' free'}. What helps: ${help}`;
  },
  'resume-needs-memory': (f: {
    needed: number;
    limit: number;
    stated: boolean;
    /** The form of the step, as plans tell it. */
    form: { readonly step_plan: string };
  }) =>
    `${f.stated ? 'memory_limit' : 'memory'}: the run that goes on here takes its steps ${
      f.form.step_plan === 'whole' ? 'as one program' : 'in segments'
    } planned to need ${(f.needed / 1e9).toFixed(2)} GB, got ${(f.limit / 1e9).toFixed(2)} GB${
      f.stated ? '' : ' free'
    }. ${f.stated ? 'Raise memory_limit' : 'Free memory'}: steps of another form would end in other last bits. To begin anew in less memory, choose another output_dir`,
  'model-folder-missing': (f: { folder: string }) =>
    `model_name_or_path: must be the folder of a model or its name on a hub, got ${JSON.stringify(f.folder)}: no such folder`,
  'model-needed': (_: object) => 'model_name_or_path: the folder of a base model must be given, got nothing',
  'webgpu-missing': (_: object) =>
    'device: webgpu needs a GPU with a driver for Vulkan, Metal or Direct3D 12, got none. Install the driver, or set device: cpu',
};
