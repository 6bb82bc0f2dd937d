/** The pieces of a model and their ids. */
import { asObject, asTokenId, at, invalid, maxPieceLength, maxTokenId, type Place } from './checked-json.ts';

export interface Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  /** Piece of each id; holes are undefined. */
  readonly pieces: readonly (string | undefined)[];
}

/** Reads `{"piece": id}`. @throws FormatError for wrong types, ids out of range or given twice. */
export function readVocabulary(value: unknown, place: Place): Vocabulary {
  const object = asObject(value, place);
  const ids = new Map<string, number>();
  const pieces: (string | undefined)[] = [];
  for (const piece of Object.keys(object)) {
    const id = object[piece];
    // Places are spelled out only for messages: there are a hundred thousand pieces.
    if (typeof id !== 'number' || !(id >= 0 && id < maxTokenId) || !Number.isInteger(id)) {
      asTokenId(id, at(place, JSON.stringify(piece)));
      continue;
    }
    if (piece.length > maxPieceLength) {
      invalid(at(place, `[${id}]`), `a piece of at most ${maxPieceLength} characters`, `${piece.length}`);
    }
    if (pieces[id] !== undefined) {
      invalid(at(place, JSON.stringify(piece)), 'an id of its own', `${id}, which "${pieces[id]}" has`);
    }
    // Filling holes keeps the array dense in memory; ids are bounded, so a hostile one costs at most 8 MB.
    while (pieces.length < id) pieces.push(undefined);
    pieces[id] = piece;
    ids.set(piece, id);
  }
  return { ids, pieces };
}

/** The ids of `<0x00>` to `<0xFF>`, or undefined where one is missing. */
export function byteFallbackIds(vocabulary: Vocabulary): Int32Array | undefined {
  const ids = new Int32Array(256);
  for (let byte = 0; byte < 256; byte++) {
    const id = vocabulary.ids.get(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
    if (id === undefined) return undefined;
    ids[byte] = id;
  }
  return ids;
}
