/** What an encoder is made of, in a form that travels to another thread, and making it there. Knows no `node:` module. */
import { ConfigError } from '../errors.ts';
import type { MessageFields } from '../messages/index.ts';
import { type ChatTemplate, loadSavedTemplate, type SegmentOptions } from '../template/index.ts';
import { createTokenizer, type Tokenizer } from '../tokenizer/index.ts';
import { createRecipeEncoder, type MaskRecipe } from './mask-recipes.ts';
import { createRowEncoder, type RowEncoder } from './row-encoder.ts';

/** All that an encoder is made of. */
export interface EncoderPlan {
  /** The tokenizer's files, by name. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** The template as it is saved; undefined where there is none. */
  readonly template: string | undefined;
  readonly options: SegmentOptions;
  readonly recipe: MaskRecipe | undefined;
  /** Where a recipe cuts. */
  readonly cutoffLength: number;
  /** What is said where conversations need a template and there is none. */
  readonly missing: MessageFields<'template-missing'>;
}

/** Stands for the template of a model that has none; conversations are then refused with the nearest built-in names. */
function withoutTemplate(missing: EncoderPlan['missing']): ChatTemplate {
  const refuse = (): never => {
    throw new ConfigError('template-missing', missing);
  };
  return {
    name: '',
    kind: 'custom',
    stopStrings: [],
    stopTokens: [],
    render: refuse,
    locate: refuse,
    content: '',
    hash: '',
  };
}

/** The encoder of a tokenizer and a template. */
export function assembleEncoder(
  plan: EncoderPlan,
  tokenizer: Tokenizer,
  template: ChatTemplate | undefined,
): RowEncoder {
  const encoder = createRowEncoder(tokenizer, template ?? withoutTemplate(plan.missing), plan.options);
  return plan.recipe === undefined
    ? { ...encoder, plan }
    : { ...createRecipeEncoder(plan.recipe, tokenizer, plan.cutoffLength, encoder), plan };
}

/** The same encoder made anew, in another thread. */
export function encoderOfPlan(plan: EncoderPlan): RowEncoder {
  const tokenizer = createTokenizer(plan.files);
  const { template } = plan;
  return assembleEncoder(plan, tokenizer, template === undefined ? undefined : loadSavedTemplate(template, tokenizer));
}
