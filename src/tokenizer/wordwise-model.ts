/** A model with the splitting steps before it that look at one word at a time: both are remembered for each word. */
import type { PreTokenizer, Words } from './pre-tokenizers.ts';
import { type TokenModel, TokenSink, WordCache } from './token-sink.ts';

/** Joins steps and model. Lengths are UTF-16 units of the word as it came. */
export function wordwiseModel(steps: readonly PreTokenizer[], model: TokenModel): TokenModel {
  const cache = new WordCache();
  const inner = new TokenSink();
  const encodeWord = (word: string, sink: TokenSink): void => {
    const words: Words = {
      text: word,
      starts: undefined,
      bounds: [0, word.length],
      isBeginning: false,
      allowPrefix: false,
      wantsStarts: true,
    };
    for (const step of steps) step(words);
    inner.count = 0;
    for (let w = 0; w < words.bounds.length; w += 2) {
      let position = words.bounds[w]!;
      const first = inner.count;
      model.append(words.text, position, words.bounds[w + 1]!, inner);
      for (let i = first; i < inner.count; i++) {
        inner.starts[i] = words.starts?.[position] ?? position;
        position += inner.lengths[i]!;
      }
    }
    for (let i = 0; i < inner.count; i++) {
      const end = i + 1 < inner.count ? inner.starts[i + 1]! : word.length;
      sink.push(inner.ids[i]!, end - inner.starts[i]!);
    }
  };
  return {
    append: (text, from, to, sink) => {
      const word = text.slice(from, to);
      if (word.length > WordCache.maxWordLength) {
        encodeWord(word, sink);
        return;
      }
      if (cache.append(word, sink)) return;
      const start = sink.count;
      encodeWord(word, sink);
      cache.store(word, sink, start);
    },
  };
}
