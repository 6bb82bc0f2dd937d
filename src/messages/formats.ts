/** Texts about files and their formats. */

/** Names and values out of hostile files are shown quoted and clipped, so that a text stays readable. */
const longestQuote = 120;

function quote(value: string): string {
  const text = JSON.stringify(value);
  return text.length <= longestQuote ? text : `${text.slice(0, longestQuote)}..." (${value.length} characters)`;
}

function byteCount(bytes: number): string {
  if (bytes >= 1e9) return `${bytes} bytes (${(bytes / 1e9).toFixed(2)} GB)`;
  if (bytes >= 1e6) return `${bytes} bytes (${(bytes / 1e6).toFixed(1)} MB)`;
  return `${bytes} bytes`;
}

export const formatsMessages = {
  'file-unreadable': (f: { file: string; reason: string }) => `${f.file}: cannot be read: ${f.reason}`,
  'file-unwritable': (f: { file: string; reason: string }) => `${f.file}: cannot be written: ${f.reason}`,
  'file-too-large': (f: { file: string; bytes: number; maxBytes: number }) =>
    `${f.file}: must be at most ${byteCount(f.maxBytes)} long, got ${byteCount(f.bytes)}`,
  'file-encoding': (f: { file: string; encoding: string }) => `${f.file}: must be UTF-8 text, got ${f.encoding}`,
  'disk-full': (f: { file: string; neededBytes?: number | undefined; freeBytes?: number | undefined }) =>
    `${f.file}: writing needs ${f.neededBytes === undefined ? 'more space' : byteCount(f.neededBytes)} on this disk, got ${
      f.freeBytes === undefined ? 'a full disk' : `${byteCount(f.freeBytes)} free`
    }. Free some space, or choose a folder on another disk; nothing was left half-written`,
  'compressed-damaged': (f: { file: string; format: string; problem: string }) =>
    `${f.file}: must be whole ${f.format} data, got damaged bytes (${f.problem}). Copy or download it again`,
  'table-invalid': (f: { file: string; format: string; problem: string }) =>
    `${f.file}: must be whole ${f.format} data, got damaged bytes (${f.problem}). Copy or download it again`,
  'table-group-too-large': (f: { file: string; bytes: number; maxBytes: number }) =>
    `${f.file}: a row group may be ${byteCount(f.maxBytes)} long, got ${byteCount(f.bytes)}. Write the file with smaller row groups`,
  'csv-table': (f: { file: string; line: number; reason: string }) =>
    `${f.file}:${f.line}: must be valid CSV, got ${f.reason}`,
  'csv-header': (f: { file: string; line: number; name: string }) =>
    `${f.file}:${f.line}: each column must have a name of its own, got ${quote(f.name)} twice`,
  'json-invalid': (f: { file: string; line: number; column: number; problem: string }) =>
    `${f.file}:${f.line}:${f.column}: must be valid JSON, got ${f.problem}`,
  'json-value': (f: { file: string; key: string; requirement: string; actual: string }) =>
    `${f.file}: ${quote(f.key)} must be ${f.requirement}, got ${quote(f.actual)}`,
  'safetensors-header': (f: { file: string; requirement: string; actual: string }) =>
    `${f.file}: not a safetensors file: ${f.requirement}, got ${f.actual}`,
  'safetensors-length': (f: { file: string; expectedBytes: number; actualBytes: number }) =>
    `${f.file}: by its header the file must be ${byteCount(f.expectedBytes)} long, got ${byteCount(f.actualBytes)}. ${
      f.actualBytes < f.expectedBytes ? 'It was cut off: copy or download it again' : 'Bytes were added at its end'
    }`,
  'safetensors-tensor': (f: { file: string; tensor: string; requirement: string; actual: string }) =>
    `${f.file}: tensor ${quote(f.tensor)}: ${f.requirement}, got ${
      f.actual.length > longestQuote ? `${f.actual.slice(0, longestQuote)}...` : f.actual
    }`,
  'torch-file': (f: { file: string; requirement: string; actual: string }) =>
    `${f.file}: not a PyTorch file of tensors: ${f.requirement}, got ${f.actual}`,
  'torch-unsafe': (f: { file: string; global: string }) =>
    `${f.file}: a file of tensors may name only what tensors need, got ${quote(f.global)}. Nothing of it was run; get the weights as safetensors from a source that you trust`,
  'torch-strided': (f: { file: string; tensor: string; bytes: number; maxBytes: number }) =>
    `${f.file}: tensor ${quote(f.tensor)}, a view that repeats elements, may take at most ${byteCount(f.maxBytes)} (the file's length), got ${byteCount(f.bytes)}`,
  'big-endian': (f: { byteOrder: string }) =>
    `this machine: weights are stored little-endian and used as they lie, got a processor of byte order ${f.byteOrder}`,
  'tensor-missing': (f: { file: string; tensor: string }) =>
    `${f.file}: tensor ${quote(f.tensor)} must be there, got none`,
  'tensor-dtype': (f: { file: string; tensor: string; dtype: string; allowed: readonly string[] }) =>
    `${f.file}: tensor ${quote(f.tensor)} must be stored as one of ${f.allowed.join(', ')}, got ${f.dtype}`,
  'tensor-shape': (f: { file: string; tensor: string; expected: string; actual: readonly number[] }) =>
    `${f.file}: tensor ${quote(f.tensor)} must have the shape ${f.expected}, got [${f.actual.join(', ')}]`,
  'tensor-not-finite': (f: { file: string; tensor: string; index: number; value: string }) =>
    `${f.file}: tensor ${quote(f.tensor)} must hold finite numbers only, got ${f.value} at element ${f.index}`,
  'weights-missing': (f: { folder: string; found: readonly string[] }) =>
    `${f.folder}: model.safetensors or pytorch_model.bin, or the index of shards of either, must be there, got ${
      f.found.length === 0
        ? 'none of them'
        : `${f.found.slice(0, 5).join(', ')}${f.found.length > 5 ? ` and ${f.found.length - 5} more` : ''}`
    }`,
  'shard-missing': (f: { file: string; shard: string; tensor: string; missing: number }) =>
    `${f.file}: the shard ${quote(f.shard)} (for tensor ${quote(f.tensor)}) must stand beside it, got no such file${
      f.missing > 1 ? ` (${f.missing} shards are missing)` : ''
    }. Download it again`,
  'shard-path': (f: { file: string; shard: string; tensor: string }) =>
    `${f.file}: tensor ${quote(f.tensor)}: a shard must be a file name inside the folder, got ${quote(f.shard)}`,
  'shard-lacks-tensor': (f: { file: string; shard: string; tensor: string }) =>
    `${f.file}: the shard ${quote(f.shard)} must hold tensor ${quote(f.tensor)}, got a shard without it`,
  'tensor-in-two-shards': (f: { file: string; tensor: string; first: string; second: string }) =>
    `${f.file}: tensor ${quote(f.tensor)} must stand in one shard, got ${quote(f.first)} and ${quote(f.second)}`,
  'llama2c-checkpoint': (f: { file: string; requirement: string; actual: string }) =>
    `${f.file}: not a llama2.c checkpoint (legacy layout): ${f.requirement}, got ${f.actual}`,
  'llama2c-length': (f: { file: string; expectedBytes: number; actualBytes: number; shape: string }) =>
    `${f.file}: a llama2.c checkpoint of ${f.shape} must be ${byteCount(f.expectedBytes)} long, got ${byteCount(f.actualBytes)}. ${
      f.actualBytes < f.expectedBytes ? 'It was cut off, or is of another layout' : 'It is of another layout'
    }`,
  'llama2c-tokenizer': (f: { file: string; token?: number | undefined; requirement: string; actual: string }) =>
    `${f.file}: not a llama2.c tokenizer of this model: ${f.token === undefined ? '' : `token ${f.token}: `}${f.requirement}, got ${f.actual}`,
  'adapter-missing': (f: { folder: string; missing: string; found: readonly string[] }) =>
    `${f.folder}: a PEFT adapter must hold ${f.missing}, got ${f.found.length === 0 ? 'none' : f.found.slice(0, 5).join(', ')}`,
  'adapter-unsupported': (f: { file: string; key: string; value: string; remedy: string }) =>
    `${f.file}: ${quote(f.key)} must be one that Fettle computes as PEFT does, got ${
      f.value.length > longestQuote ? `${f.value.slice(0, longestQuote)}...` : f.value
    }. ${f.remedy}`,
  'adapter-tensor': (f: { file: string; tensor: string; requirement: string; actual: string }) =>
    `${f.file}: tensor ${quote(f.tensor)}: ${f.requirement}, got ${f.actual}`,
};
