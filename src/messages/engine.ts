/** Texts about graphs, models, tuning and the runtime. */
export const engineMessages = {
  'shape-mismatch': (f: { op: string; requirement: string; actual: string }) =>
    `${f.op}: ${f.requirement}, got ${f.actual}`,
};
