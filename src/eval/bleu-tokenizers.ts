/** The tokenisers of sacrebleu 2.6.0: text -> words with single blanks between them. */
import { pythonSpace, splitOnSpace, strip } from './python-text.ts';

/** Names of the tokenisers, as the signature says them. */
export const bleuTokenizerNames = ['13a', 'zh', 'char', 'intl', 'none'] as const;
export type BleuTokenizerName = (typeof bleuTokenizerNames)[number];

/** What 13a and zh share: signs of western languages become words. */
function splitSigns(text: string): string {
  const divided = text
    .replace(/([{-~[-` -&(-+:-@/])/gu, ' $1 ')
    .replace(/([^0-9])([.,])/gu, '$1 $2 ')
    .replace(/([.,])([^0-9])/gu, ' $1 $2')
    .replace(/([0-9])(-)/gu, '$1 $2 ');
  return splitOnSpace(divided).join(' ');
}

function tokenize13a(text: string): string {
  let line = text.replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ');
  if (line.includes('&')) {
    line = line.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replaceAll('&lt;', '<').replaceAll('&gt;', '>');
  }
  return splitSigns(` ${line} `);
}

/**
 * Characters that sacrebleu takes for Chinese. Two of its ranges were meant for U+20000 and U+2F800 on; as Python reads them they begin at
 * U+2001 and U+2F81, and the values depend on it.
 */
const chinese =
  /[\u3400-\u4db5\u4e00-\u9fa5\u9fa6-\u9fbb\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\u2001-\u2a6d\u2f81-\u2fa1\uff00-\uffef\u2e80-\u2eff\u3000-\u303f\u31c0-\u31ef\u2f00-\u2fdf\u2ff0-\u2fff\u3100-\u312f\u31a0-\u31bf\ufe10-\ufe1f\ufe30-\ufe4f\u2600-\u26ff\u2700-\u27bf\u3200-\u32ff\u3300-\u33ff]/gu;

const nonDigitThenSign = /(\P{N})(\p{P})/gu;
const signThenNonDigit = /(\p{P})(\P{N})/gu;
const symbol = /(\p{S})/gu;

const tokenizers: Readonly<Record<BleuTokenizerName, (text: string) => string>> = {
  '13a': tokenize13a,
  zh: (text) => splitSigns(strip(text).replace(chinese, ' $& ')),
  char: (text) => Array.from(text).join(' '),
  intl: (text) =>
    splitOnSpace(
      text.replace(nonDigitThenSign, '$1 $2 ').replace(signThenNonDigit, ' $1 $2').replace(symbol, ' $1 '),
    ).join(' '),
  none: (text) => text,
};

const end = new RegExp(`[${pythonSpace}]+$`);

/** A text's words as sacrebleu's BLEU counts them. */
export function bleuWords(text: string, tokenizer: BleuTokenizerName): string[] {
  return splitOnSpace(tokenizers[tokenizer](text.replace(end, '')));
}
