/** Texts about generation. */
export const generateMessages = {
  'adapter-beside': (f: { folder: string }) =>
    `${f.folder}: an adapter that requests choose by name may hold LoRA matrices only, and none on routed experts, got more. Merge it into its base model (fettle export), or open it with adapter_name_or_path`,
  'adapter-unknown': (f: { name: string; known: readonly string[] }) =>
    `adapter "${f.name}": must be one that is loaded, got ${f.known.length === 0 ? 'none of them' : f.known.join(', ')}`,
};
