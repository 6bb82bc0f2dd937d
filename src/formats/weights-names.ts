/** How Hugging Face calls the files of a model's weights. */

/** The single file of a checkpoint. */
export const weightsFileName = 'model.safetensors';
/** The index of a sharded checkpoint. */
export const weightsIndexName = 'model.safetensors.index.json';
/** The single file of a checkpoint in PyTorch's own format. */
export const torchWeightsFileName = 'pytorch_model.bin';
/** The index of a sharded checkpoint in PyTorch's own format. */
export const torchWeightsIndexName = 'pytorch_model.bin.index.json';
