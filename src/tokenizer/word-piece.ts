/** WordPiece (longest piece first, BERT) and WordLevel (whole words) models of tokenizer.json. */
import { asNumber, at, invalid, type JsonObject, optionalString, type Place } from './checked-json.ts';
import type { TokenModel, TokenSink } from './token-sink.ts';
import { readVocabulary, type Vocabulary } from './vocabulary.ts';

interface WordModel extends TokenModel {
  readonly vocabulary: Vocabulary;
  readonly unkPiece: string | undefined;
}

/** Reads a `WordPiece` model. @throws FormatError for wrong types. */
export function readWordPiece(model: JsonObject, place: Place): WordModel {
  const vocabulary = readVocabulary(model['vocab'], at(place, 'vocab'));
  const unkPiece = optionalString(model['unk_token'], at(place, 'unk_token')) ?? '[UNK]';
  const prefix = optionalString(model['continuing_subword_prefix'], at(place, 'continuing_subword_prefix')) ?? '##';
  const longest = asNumber(model['max_input_chars_per_word'] ?? 100, at(place, 'max_input_chars_per_word'));
  const unkId = vocabulary.ids.get(unkPiece);
  if (unkId === undefined) invalid(at(place, 'unk_token'), 'a piece in the vocabulary', JSON.stringify(unkPiece));
  return {
    vocabulary,
    unkPiece,
    append: (text: string, from: number, to: number, sink: TokenSink): void => {
      const word = text.slice(from, to);
      const found: [number, number][] = [];
      let start = Array.from(word).length > longest ? -1 : 0;
      while (start >= 0 && start < word.length) {
        let end = word.length;
        let id: number | undefined;
        for (; end > start; end--) {
          id = vocabulary.ids.get((start > 0 ? prefix : '') + word.slice(start, end));
          if (id !== undefined) break;
        }
        if (id === undefined) start = -1;
        else {
          found.push([id, end - start]);
          start = end;
        }
      }
      if (start < 0) sink.push(unkId, word.length);
      else for (const [id, length] of found) sink.push(id, length);
    },
  };
}

/** Reads a `WordLevel` model. @throws FormatError for wrong types. */
export function readWordLevel(model: JsonObject, place: Place): WordModel {
  const vocabulary = readVocabulary(model['vocab'], at(place, 'vocab'));
  const unkPiece = optionalString(model['unk_token'], at(place, 'unk_token'));
  const unkId = unkPiece === undefined ? undefined : vocabulary.ids.get(unkPiece);
  return {
    vocabulary,
    unkPiece,
    append: (text: string, from: number, to: number, sink: TokenSink): void => {
      const id = vocabulary.ids.get(text.slice(from, to)) ?? unkId;
      if (id !== undefined) sink.push(id, to - from);
    },
  };
}
