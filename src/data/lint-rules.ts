/**
 * Signs that a text is not what it should be. Each rule looks at one text of a row and says what it found; none of them
 * stops training. Knows no `node:` module.
 */

/** Rules about the texts of a row. All are warnings. */
export type TextRule =
  | 'encoding-damage'
  | 'special-token-in-text'
  | 'identity-leak'
  | 'placeholder'
  | 'personal-data'
  | 'repetition'
  | 'role-in-text'
  | 'unfinished-answer'
  | 'surrounding-space'
  | 'html-residue'
  | 'no-word';

/** What a rule found in a text. */
export interface TextFinding {
  readonly rule: TextRule;
  /** The part of the text that shows it. */
  readonly found: string;
}

/** Whose text it is. */
export type TextRole = 'system' | 'user' | 'assistant' | 'tool' | 'text';

/** Texts longer than this are looked at in their first and last part only: rules must stay linear and quick. */
const longestInspected = 200_000;

/** UTF-8 that was read as Windows-1252 or Latin-1, and the marks that failed conversions leave. */
const damage =
  /\uFFFD|ï¿½|ï»¿|Ã[\u0080-\u00BF\u0192\u201A\u0160\u2039\u2030\u2020\u2021\u2022\u2026]|â€[\u0080-\u00BF\u2018-\u201D\u2122\u0153\u02DC\u00A6\u20AC]|Â[\u00A0-\u00BF]|é”Ÿ|锟斤拷|\p{Cs}|[^\P{Cc}\t\n\r]/u;

/** Markers of chat templates that no text should hold, beside the tokenizer's own special tokens. */
const markers =
  /<\|(?:im_start|im_end|im_sep|endoftext|eot_id|eom_id|start_header_id|end_header_id|begin_of_text|end_of_text|finetune_right_pad_id|system|user|assistant|end|endofprompt|Human|YaYi|System|End|end_of_turn)\|>|<\/?s>|\[\/?INST\]|<<\/?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|\[gMASK\]|<reserved_10[2-7]>|<eo[ah]>|^### (?:Instruction|Response|Human|Assistant|Input):/m;

const identity =
  /\bas (?:an? )?(?:AI|artificial intelligence)(?: (?:language )?(?:model|assistant))?(?: (?:developed|created|trained) by)?,? I\b|\b(?:as|I am|I'm|my name is|this is) (?:ChatGPT|GPT-?[34](?:\.5|o)?|Claude|Bard|Gemini|Copilot|LLaMA|Alpaca|Vicuna|Qwen|ERNIE)\b|\bI(?:'m| am| was)?\b[^.\n]{0,40}\b(?:developed|created|trained|made|built) by (?:OpenAI|Anthropic|Google|DeepMind|Meta AI|Microsoft|Alibaba|Baidu|Large Model Systems)\b|\bas an? (?:AI|large) language model\b|作为(?:一个|一名|一款)?(?:AI|人工智能|大型)?(?:语言)?(?:模型|助手)|我是(?:一个|一名|一款)?(?:由)?(?:OpenAI|ChatGPT|GPT|Claude|通义千问|文心一言|百度|阿里)|由(?:OpenAI|Anthropic|百度|阿里巴巴|阿里云|谷歌|微软)(?:公司)?(?:开发|训练|创建|研发)/i;

const placeholder =
  /\{\{\s*[\w. -]{1,40}\s*\}\}|\[(?:your|insert|enter|name of|company|date|recipient)[^\]\n]{0,40}\]|<(?:your|insert)[^>\n]{1,40}>|\blorem ipsum\b/i;

const personal =
  /\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})*\.[A-Za-z]{2,24}\b|\b(?:sk|pk|ghp|hf|xox[bp])[-_][A-Za-z0-9_-]{20,}\b|\bAKIA[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|(?<!\d)1[3-9]\d{9}(?!\d)|(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)|(?<!\d)\d{6}(?:19|20)\d{2}(?:0[1-9]|1[0-2])\d{5}[\dXx](?![\dA-Za-z])/;

/** A made-up address is no one's. */
const madeUp =
  /^your|^my_?(?:email|name)|@(?:your|example|test|domain|email|company|yourcompany|mail|abc|xyz)\.[a-z]+$/i;

const html =
  /<(?:div|span|br|p|td|tr|table|script|style|font|center|nbsp)(?:\s[^<>\n]{0,200})?\/?>|&(?:nbsp|amp|lt|gt|quot|#\d{2,5});/i;

const dialogue = /^(?:Human|User|Assistant|USER|ASSISTANT|问|答|用户|助手)\s?[:：]/m;

const codeFence = /```|^\s{4}\S|<\/?[a-z]+>/m;

function firstMatch(pattern: RegExp, text: string): string | undefined {
  return pattern.exec(text)?.[0];
}

/** The same line, or the same short phrase, many times over: what a model in a loop writes. */
function repeated(text: string): string | undefined {
  const counts = new Map<string, number>();
  let before = '';
  let run = 0;
  for (const line of text.split('\n')) {
    const trimmed = line.trim();
    if (trimmed.length < 8 || !/\p{L}{2}/u.test(trimmed)) continue;
    run = trimmed === before ? run + 1 : 1;
    before = trimmed;
    const count = (counts.get(trimmed) ?? 0) + 1;
    counts.set(trimmed, count);
    if (run >= 4 || count >= 10) return trimmed;
  }
  // A short phrase at least ten times in a row.
  const phrase = /([^\n]{2,60}?)\1{9,}/u.exec(text)?.[1];
  return phrase !== undefined && /\p{L}{2}/u.test(phrase) ? phrase : undefined;
}

/** An answer of some length that ends in the middle of a sentence. */
function unfinished(text: string): string | undefined {
  const end = text.trimEnd();
  if (end.length < 200 || codeFence.test(text)) return undefined;
  return /[\p{Ll}\p{Lo},;，；、:：(（-]$/u.test(end) && !/(?:\n|^)[^\n]{0,60}$/.test(end) ? end.slice(-30) : undefined;
}

/** What the rules find in one text. `specialTokens` are those of the tokenizer. */
export function lintText(whole: string, role: TextRole, specialTokens: readonly string[]): TextFinding[] {
  const text =
    whole.length <= longestInspected
      ? whole
      : `${whole.slice(0, longestInspected / 2)}\n${whole.slice(-longestInspected / 2)}`;
  const findings: TextFinding[] = [];
  const add = (rule: TextRule, found: string | undefined): void => {
    if (found !== undefined) findings.push({ rule, found });
  };
  add('encoding-damage', firstMatch(damage, text));
  add('special-token-in-text', specialTokens.find((token) => text.includes(token)) ?? firstMatch(markers, text));
  add('placeholder', firstMatch(placeholder, text));
  const person = firstMatch(personal, text);
  if (person !== undefined && !madeUp.test(person)) add('personal-data', person);
  add('repetition', repeated(text));
  if (role === 'assistant') {
    add('identity-leak', firstMatch(identity, text));
    add('role-in-text', firstMatch(dialogue, text));
    add('unfinished-answer', unfinished(text));
    if (!codeFence.test(text)) add('html-residue', firstMatch(html, text));
    if (!/[\p{L}\p{N}]/u.test(text)) add('no-word', text.trim().slice(0, 30));
    if (text !== text.trim()) add('surrounding-space', text === text.trimStart() ? text.slice(-10) : text.slice(0, 10));
  }
  return findings;
}
