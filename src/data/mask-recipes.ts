/**
 * Two published ways of making ids and labels of a conversation, kept to the token so that their results can be had again:
 * Firefly's (yangjianxin1/Firefly at d1a4a29) and LinkSoul's (LinkSoul-AI/Chinese-Llama-2-7b, `train.py`). Each turn is
 * tokenised by itself and the head of a long row is kept. One thing differs: a row that is left without a trained token is
 * reported, where LinkSoul trains on a made-up conversation instead. Knows no `node:` module.
 */
import { DataError } from '../errors.ts';
import type { Conversation, Message } from '../template/index.ts';
import type { Tokenizer } from '../tokenizer/index.ts';
import type { EncodedRow, RowEncoder } from './row-encoder.ts';
import { ignoredLabel } from './sequence.ts';

/** The recipes by name. */
export const maskRecipes = ['firefly', 'linksoul'] as const;
export type MaskRecipe = (typeof maskRecipes)[number];

/** Ids and labels that grow turn by turn. */
class TurnList {
  readonly ids: number[] = [];
  readonly labels: number[] = [];
  add(ids: Iterable<number>, trained: boolean): void {
    for (const id of ids) {
      this.ids.push(id);
      this.labels.push(trained ? id : ignoredLabel);
    }
  }
  /** The first `maxTokens` tokens. */
  head(maxTokens: number): EncodedRow {
    const inputIds = Int32Array.from(this.ids.slice(0, maxTokens));
    const labels = Int32Array.from(this.labels.slice(0, maxTokens));
    return this.ids.length > maxTokens ? { inputIds, labels, truncated: true } : { inputIds, labels };
  }
}

function requiredId(tokenizer: Tokenizer, token: 'bos' | 'eos', recipe: MaskRecipe): number {
  const id = token === 'bos' ? tokenizer.bosId : tokenizer.eosId;
  if (id === undefined) throw new DataError('recipe-token', { recipe, token });
  return id;
}

/** A recipe knows plain turns of a user and an assistant, and LinkSoul's a system text. */
function plainTurns(
  { messages, tools }: Conversation,
  recipe: MaskRecipe,
): { system: string | undefined; turns: readonly Message[] } {
  const system = messages[0]?.role === 'system' ? messages[0].content : undefined;
  const turns = system === undefined ? messages : messages.slice(1);
  const other = turns.find(({ role, toolCalls }) => role === 'tool' || toolCalls !== undefined);
  if (tools !== undefined || other !== undefined) throw new DataError('recipe-turn', { recipe, what: 'tools' });
  if (recipe === 'firefly' && system !== undefined)
    throw new DataError('recipe-turn', { recipe, what: 'a system text' });
  return { system, turns };
}

/** `<s>question</s>answer</s>question</s>answer</s>`: the answers and their ends are trained. */
function encodeFirefly(tokenizer: Tokenizer, conversation: Conversation, maxTokens: number): EncodedRow {
  const list = new TurnList();
  const eos = requiredId(tokenizer, 'eos', 'firefly');
  list.add([requiredId(tokenizer, 'bos', 'firefly')], false);
  for (const { role, content, train } of plainTurns(conversation, 'firefly').turns) {
    list.add([...tokenizer.encode(content), eos], role === 'assistant' && train !== false);
  }
  return list.head(maxTokens);
}

/** LinkSoul's system text of rows without one, with the indentation that its source gives it. */
const linkSoulSystem = [
  '            You are a helpful, respectful and honest assistant. Always answer as helpfully as possible, while being safe.  Your answers should not include any harmful, unethical, racist, sexist, toxic, dangerous, or illegal content. Please ensure that your responses are socially unbiased and positive in nature.',
  '',
  "            If a question does not make any sense, or is not factually coherent, explain why instead of answering something not correct. If you don't know the answer to a question, please don't share false information.",
].join('\n');

/** What Python's `str.strip` takes away. */
function strip(text: string): string {
  const space = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+';
  return text.replace(new RegExp(`^${space}`, 'u'), '').replace(new RegExp(`${space}$`, 'u'), '');
}

/** `[INST] <<SYS>>…<</SYS>> question [/INST] ` with BOS before each question, then `answer ` and EOS, trained. */
function encodeLinkSoul(tokenizer: Tokenizer, conversation: Conversation, maxTokens: number): EncodedRow {
  const list = new TurnList();
  const eos = requiredId(tokenizer, 'eos', 'linksoul');
  const bos = requiredId(tokenizer, 'bos', 'linksoul');
  const { system, turns } = plainTurns(conversation, 'linksoul');
  for (const [index, { role, content, train }] of turns.entries()) {
    if (role === 'assistant') {
      list.add([...tokenizer.encode(`${strip(content)} `), eos], train !== false);
      continue;
    }
    const head = index === 0 ? `<<SYS>>\n${system ?? linkSoulSystem}\n<</SYS>>\n\n` : '';
    list.add([bos, ...tokenizer.encode(`[INST] ${strip(head + content)} [/INST] `)], false);
  }
  const cut = list.head(maxTokens);
  // What follows the last trained token is left out.
  const end = cut.labels.findLastIndex((label) => label !== ignoredLabel) + 1;
  return { ...cut, inputIds: cut.inputIds.slice(0, end), labels: cut.labels.slice(0, end) };
}

/**
 * The encoder of a recipe. Texts and the counting of tokens are the given encoder's.
 * @param maxTokens the recipe's maximum length (`cutoff_len`).
 * @throws DataError `recipe-token` where the tokenizer lacks BOS or EOS, `recipe-turn` for turns that a recipe does not know.
 */
export function createRecipeEncoder(
  recipe: MaskRecipe,
  tokenizer: Tokenizer,
  maxTokens: number,
  base: RowEncoder,
): RowEncoder {
  const encode = recipe === 'firefly' ? encodeFirefly : encodeLinkSoul;
  return {
    ...base,
    encodeConversation: (conversation) => [encode(tokenizer, conversation, maxTokens)],
    identity: [...(base.identity ?? []), `mask_recipe ${recipe}`],
  };
}
