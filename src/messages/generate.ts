/** Texts about generation. */
export const generateMessages = {
  'prompt-beyond-positions': (f: { tokens: number; limit: number; modelType: string }) =>
    `prompt: at most ${f.limit} tokens, the positions that this ${f.modelType} model has learned, got ${f.tokens}. Shorten it`,
  'no-block-codes': (f: { folder: string }) =>
    `${f.folder}: infer_dtype int8 and int4 need linear modules with weights of their own, got none. Set infer_dtype: auto`,
  'adapter-beside': (f: { folder: string }) =>
    `${f.folder}: an adapter that requests choose by name may hold LoRA matrices only, and none on routed experts, got more. Merge it into its base model (fettle export), or open it with adapter_name_or_path`,
  'adapter-unknown': (f: { name: string; known: readonly string[] }) =>
    `adapter "${f.name}": must be one that is loaded, got ${f.known.length === 0 ? 'none of them' : f.known.join(', ')}`,
};
