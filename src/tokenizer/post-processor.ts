/** What a tokenizer itself puts around a text: BOS, EOS, [CLS] (Hugging Face tokenizers, `post_processor`). */
import {
  asArray,
  asObject,
  asString,
  asTokenId,
  at,
  invalid,
  maxNesting,
  maxSteps,
  type Place,
  unsupported,
} from './checked-json.ts';

/** Ids before and after the ids of a single text. */
export interface Surroundings {
  readonly before: readonly number[];
  readonly after: readonly number[];
}

const known = ['TemplateProcessing', 'ByteLevel', 'RobertaProcessing', 'BertProcessing', 'Sequence'] as const;

function templateSurroundings(config: Readonly<Record<string, unknown>>, place: Place): Surroundings {
  const tokens = asObject(config['special_tokens'] ?? {}, at(place, 'special_tokens'));
  const before: number[] = [];
  const after: number[] = [];
  let target = before;
  asArray(config['single'], at(place, 'single'), maxSteps).forEach((entry, i) => {
    const here = at(at(place, 'single'), i);
    const piece = asObject(entry, here);
    if (piece['Sequence'] !== undefined) {
      target = after;
      return;
    }
    const name = asString(asObject(piece['SpecialToken'], at(here, 'SpecialToken'))['id'], at(here, 'SpecialToken.id'));
    const tokenPlace = at(at(place, 'special_tokens'), JSON.stringify(name));
    const token = asObject(tokens[name], tokenPlace);
    for (const id of asArray(token['ids'], at(tokenPlace, 'ids'), maxSteps))
      target.push(asTokenId(id, at(tokenPlace, 'ids')));
  });
  return { before, after };
}

/**
 * Reads a `post_processor` object as far as ids of single texts go.
 * @throws FormatError for wrong types, UnsupportedError for a kind that is not known.
 */
export function readPostProcessor(value: unknown, place: Place, depth = 0): Surroundings {
  if (value === null || value === undefined) return { before: [], after: [] };
  if (depth > maxNesting) invalid(place, `nested at most ${maxNesting} deep`, 'more');
  const config = asObject(value, place);
  switch (config['type'] as (typeof known)[number]) {
    case 'ByteLevel':
      return { before: [], after: [] };
    case 'TemplateProcessing':
      return templateSurroundings(config, place);
    case 'RobertaProcessing':
    case 'BertProcessing': {
      const idOf = (key: string): number =>
        asTokenId(asArray(config[key], at(place, key), 2)[1], at(at(place, key), 1));
      return { before: [idOf('cls')], after: [idOf('sep')] };
    }
    case 'Sequence': {
      const list = asArray(config['processors'], at(place, 'processors'), maxSteps);
      const inner = list.map((step, i) => readPostProcessor(step, at(at(place, 'processors'), i), depth + 1));
      return {
        before: inner.toReversed().flatMap((step) => step.before),
        after: inner.flatMap((step) => step.after),
      };
    }
    default:
      return unsupported(at(place, 'type'), config['type'], known);
  }
}
