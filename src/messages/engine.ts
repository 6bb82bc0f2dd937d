/** Texts about graphs, models, tuning and the runtime. */
export const engineMessages = {
  'shape-mismatch': (f: { op: string; requirement: string; actual: string }) =>
    `${f.op}: ${f.requirement}, got ${f.actual}`,
  'missing-feed': (f: { name: string }) => `program: the input "${f.name}" must be given, got none`,
  'run-failed': (f: { reason: string }) => `onnxruntime: a run failed: ${f.reason}`,
  'compile-failed': (f: { device: string; reason: string }) =>
    `onnxruntime: the graph must compile for device "${f.device}", got: ${f.reason}`,
};
