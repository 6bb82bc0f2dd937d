/** Which built-in templates to name to somebody who has named none, or one that is none. */
import { editDistance } from '../util/index.ts';
import { builtinAliases, builtinWordings } from './builtin.ts';
import { builtinJinja } from './builtin-jinja.ts';
import type { TemplateTokens } from './chat-template.ts';

/** All built-in names in alphabetical order. */
export function builtinTemplateNames(): readonly string[] {
  return [
    ...builtinWordings.map(({ name }) => name),
    ...Object.keys(builtinJinja),
    ...Object.keys(builtinAliases),
  ].sort();
}

/** A template by the one of its names that the others stand for. */
const canonical = (name: string): string => (Object.hasOwn(builtinAliases, name) ? builtinAliases[name]! : name);

/** The three built-in names nearest to what was said. */
export function nearestTemplateNames(name: string): readonly string[] {
  const wanted = name.toLowerCase().slice(0, 80);
  const scored = builtinTemplateNames().map((candidate) => {
    const contained = wanted !== '' && (wanted.includes(candidate) || candidate.includes(wanted));
    return { candidate, score: contained ? -candidate.length / 1000 : editDistance(wanted, candidate) };
  });
  const nearest = new Map<string, string>();
  for (const { candidate } of scored.toSorted((a, b) => a.score - b.score)) {
    // Of several names of one template the nearest is enough.
    if (!nearest.has(canonical(candidate))) nearest.set(canonical(candidate), candidate);
  }
  return [...nearest.values()].slice(0, 3);
}

/** What models of a type are usually tuned with, by `model_type`. */
const ofType: Readonly<Record<string, readonly string[]>> = {
  baichuan: ['baichuan2', 'baichuan'],
  chatglm: ['chatglm3', 'glm4', 'chatglm2'],
  cohere: ['cohere'],
  deepseek_v3: ['deepseek3'],
  falcon: ['falcon'],
  gemma: ['gemma'],
  gemma2: ['gemma'],
  gemma3_text: ['gemma'],
  granite: ['granite3'],
  internlm2: ['intern2'],
  llama: ['llama2'],
  mistral: ['mistral', 'zephyr'],
  mixtral: ['mistral'],
  phi3: ['phi'],
  qwen2: ['qwen'],
  qwen3: ['qwen3', 'qwen'],
  stablelm: ['zephyr', 'stablebeluga2'],
};
/** Wordings of plain text, which suit any base model. */
const ofAny = ['alpaca', 'vicuna', 'default'];

/** Markers that are tokens of their own in the models that know the wording. */
const markerPattern = /<\|[\w ]+\|>|<｜[^｜]+｜>|<(?:start|end)_of_turn>/gu;

/** The markers that each wording writes. */
function markersOf(name: string): readonly string[] {
  const wording = builtinWordings.find((candidate) => candidate.name === canonical(name));
  const source = wording === undefined ? (builtinJinja[name] ?? '') : JSON.stringify(wording);
  return [...new Set(source.match(markerPattern))].filter((marker) => !/think|tool/.test(marker));
}

/**
 * Three built-in templates for a model that has none of its own: first those whose markers are special tokens of its
 * tokenizer, then those that its name speaks of, those of its type, and plain ones; those whose markers it does not know last.
 */
export function suggestTemplates(
  where: string,
  modelType: string | undefined,
  tokens: Pick<TemplateTokens, 'specialIds' | 'tokenText'>,
): readonly string[] {
  const special = new Set(Array.from(tokens.specialIds, (id) => tokens.tokenText(id)));
  const folder = where.split(/[\\/]/).findLast((part) => part !== '') ?? '';
  const name = folder.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
  const usual = Object.hasOwn(ofType, modelType ?? '') ? ofType[modelType!]! : [];
  const scored = builtinTemplateNames().map((candidate) => {
    const markers = markersOf(candidate);
    const known = markers.filter((marker) => special.has(marker)).length;
    const plainName = candidate.replaceAll(/[^a-z0-9]/g, '');
    const named = plainName.length > 2 && name.includes(plainName) ? 3 + plainName.length / 100 : 0;
    const byType = usual.includes(candidate) ? 2 - usual.indexOf(candidate) / 10 : 0;
    const byDefault = ofAny.includes(candidate) ? 1 - ofAny.indexOf(candidate) / 10 : 0;
    const byMarkers = markers.length === 0 ? 0 : known === markers.length ? 4 + known / 10 : -2;
    return { candidate, score: byMarkers + named + byType + byDefault };
  });
  const chosen = new Map<string, string>();
  for (const { candidate } of scored.toSorted((a, b) => b.score - a.score)) {
    if (!chosen.has(canonical(candidate))) chosen.set(canonical(candidate), candidate);
  }
  return [...chosen.values()].slice(0, 3);
}
