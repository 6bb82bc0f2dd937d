/** Texts about graphs, models, tuning and the runtime. */
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
};
