/** Texts about merging, exporting and converting models. */
export const exportMessages = {
  'export-not-empty': (f: { folder: string; found: string }) =>
    `${f.folder}: export_dir must be empty, new, or an earlier export, got a folder with ${f.found}. Choose another folder, or set overwrite_output_dir: true to replace it`,
  'export-over-input': (f: { folder: string; input: string }) =>
    `${f.folder}: export_dir must lie apart from what is exported, got ${f.input} inside of it. Choose another folder`,
  'export-size': (f: { value: number }) => `export_size: must be a number of GB above 0, got ${f.value}`,
  'export-base-is-adapter': (f: { folder: string }) =>
    `${f.folder}: model_name_or_path must be a model's folder, got an adapter. Name the adapter as adapter_name_or_path and its base as model_name_or_path`,
  'merge-target-missing': (f: { adapter: string; module: string; model: string }) =>
    `${f.adapter}: the adapter changes "${f.module}", which must be in the base model ${f.model}, got no such tensor. It was trained on another model`,
  'merge-shape': (f: { adapter: string; module: string; expected: string; actual: string; model: string }) =>
    `${f.adapter}: the adapter's "${f.module}" must fit the base model ${f.model} with ${f.expected}, got ${f.actual}. It was trained on another model`,
  'merge-token-id': (f: { adapter: string; module: string; id: number; rows: number }) =>
    `${f.adapter}: trainable_token_indices of "${f.module}" must be below its ${f.rows} rows, got ${f.id}`,
  'merge-not-finite': (f: { tensor: string; value: string; dtype: string }) =>
    `merging "${f.tensor}": every value must be finite in ${f.dtype}, got ${f.value}. ${
      f.dtype === 'F16' ? 'It may be too large for f16: export with infer_dtype: bfloat16' : 'The adapter is broken'
    }`,
  'export-untied': (f: { embedding: string; head: string }) =>
    `${f.head} now differs from ${f.embedding}: both are stored, and config.json says tie_word_embeddings: false`,
  'export-vocabulary': (f: { from: number; to: number }) =>
    `the vocabulary grew with the adapter: config.json says vocab_size ${f.to} instead of ${f.from}`,
  'gguf-unsupported': (f: { file: string; what: string }) =>
    `${f.file}: for GGUF the model must be one that llama.cpp computes in the same way, got ${f.what}. Export it as safetensors`,
  'gguf-tokenizer': (f: { file: string; actual: string }) =>
    `${f.file}: for GGUF the tokenizer must be a SentencePiece-like BPE, or a byte-level BPE that splits as GPT-2, Llama 3 or Qwen 2 do, got ${f.actual}. Export it as safetensors`,
};
