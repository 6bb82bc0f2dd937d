/** A model with more rows of embedding and output than its checkpoint holds: what adding tokens makes of it. */
import type { Model, ParameterShape } from './family.ts';

/**
 * The model with `rows` token ids. Its graph is the same: embedding and output, with its bias where it has one, come from the
 * tuning method, which must bring the rows that the checkpoint lacks.
 */
export function withVocabulary(model: Model, rows: number): Model {
  if (rows <= model.vocabularySize) return model;
  const { inputEmbedding, outputModule } = model;
  const tables = [`${inputEmbedding}.weight`, `${outputModule}.weight`, `${outputModule}.bias`];
  const grow = ({ name, shape }: ParameterShape): ParameterShape =>
    tables.includes(name) ? { name, shape: [rows, ...shape.slice(1)] } : { name, shape };
  return {
    ...model,
    vocabularySize: rows,
    parameters: model.parameters.map(grow),
    linearModules: model.linearModules.map((module) =>
      module.name === outputModule ? { ...module, outputs: rows } : module,
    ),
  };
}

/** The key of `config.json` that holds the number of token ids. */
export function vocabularySizeKey(config: Readonly<Record<string, unknown>>): string {
  return Object.hasOwn(config, 'padded_vocab_size') ? 'padded_vocab_size' : 'vocab_size';
}
