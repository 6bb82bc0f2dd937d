export { evaluateAlone } from './evaluate-alone.ts';
export { pt } from './pt.ts';
export type { Recipe, RecipeContext } from './recipe.ts';
export { sft } from './sft.ts';
