/**
 * Finds texts that are nearly the same: MinHash over five-character shingles (Broder 1997), banded so that only likely
 * pairs are compared, then compared by bottom-k sketches, which are exact for short texts. Knows no `node:` module.
 */
import { hashKey, mix32 } from '../util/index.ts';

/** Characters of a shingle: short enough for languages without blanks. */
const shingleLength = 5;
/** Bands of hashes that must agree whole: pairs of similarity 0.8 are missed once in a million, of 0.2 compared in 15 of 100 cases. */
const bands = 20;
const rowsPerBand = 3;
/** Smallest hashes kept of each text. */
const sketchSize = 128;
/** Texts with a band in common that are compared: boilerplate shared by thousands must not cost the square. */
const maxCandidates = 32;
/** Texts that are remembered (about 1.5 kB each); later ones are still compared with them. */
const maxTexts = 300_000;

const seeds = Uint32Array.from({ length: bands * rowsPerBand }, (_, index) => hashKey('shingles', index) | 1);

/** Lower case, white space and punctuation as one blank: what people would call the same text. */
export function normalizeForComparison(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replaceAll(/[\s\p{P}\p{S}]+/gu, ' ')
    .trim();
}

/** Distinct hashes of the shingles of a text, in ascending order. */
function shingleHashes(text: string): Uint32Array {
  const padded = text.length < shingleLength ? text.padEnd(shingleLength) : text;
  const count = padded.length - shingleLength + 1;
  const hashes = new Uint32Array(count);
  for (let at = 0; at < count; at++) {
    let hash = 0x811c9dc5;
    for (let k = at; k < at + shingleLength; k++) hash = Math.imul(hash ^ padded.charCodeAt(k), 0x01000193);
    hashes[at] = mix32(hash, 0);
  }
  hashes.sort();
  let kept = 0;
  for (let at = 0; at < count; at++) if (at === 0 || hashes[at] !== hashes[at - 1]) hashes[kept++] = hashes[at]!;
  return hashes.slice(0, kept);
}

/** Similarity (Jaccard index) of two sets by the smallest hashes of their union; exact where both are whole. */
function similarity(a: Uint32Array, b: Uint32Array): number {
  let i = 0;
  let j = 0;
  let union = 0;
  let shared = 0;
  const limit = a.length < sketchSize && b.length < sketchSize ? Infinity : sketchSize;
  while (union < limit && (i < a.length || j < b.length)) {
    const [x, y] = [a[i] ?? Infinity, b[j] ?? Infinity];
    union++;
    if (x === y) shared++;
    if (x <= y) i++;
    if (y <= x) j++;
  }
  return union === 0 ? 0 : shared / union;
}

/** A text that is like an earlier one. */
export interface NearDuplicate {
  /** Number that was given with the earlier text. */
  readonly of: number;
  /** From 0 to 1. */
  readonly similarity: number;
}

/** Remembers texts and says of each whether it is nearly one of the earlier ones. */
export class NearDuplicateFinder {
  private readonly threshold: number;
  private readonly numbers: number[] = [];
  private readonly sketches: Uint32Array[] = [];
  private readonly buckets = new Map<number, number[]>();

  constructor(threshold = 0.8) {
    this.threshold = threshold;
  }

  /** The most similar earlier text, or undefined; the text itself is remembered under `number`. */
  add(text: string, number: number): NearDuplicate | undefined {
    const hashes = shingleHashes(normalizeForComparison(text));
    const sketch = hashes.slice(0, sketchSize);
    const keys = this.bandKeys(hashes);
    const candidates = new Set<number>();
    for (const key of keys) for (const index of this.buckets.get(key) ?? []) candidates.add(index);
    let best: NearDuplicate | undefined;
    for (const index of candidates) {
      const value = similarity(sketch, this.sketches[index]!);
      if (value >= this.threshold && value > (best?.similarity ?? 0))
        best = { of: this.numbers[index]!, similarity: value };
    }
    if (this.sketches.length < maxTexts) {
      const index = this.sketches.length;
      this.sketches.push(sketch);
      this.numbers.push(number);
      for (const key of keys) {
        const bucket = this.buckets.get(key);
        if (bucket === undefined) this.buckets.set(key, [index]);
        else if (bucket.length < maxCandidates) bucket.push(index);
      }
    }
    return best;
  }

  private bandKeys(hashes: Uint32Array): number[] {
    const least = new Uint32Array(bands * rowsPerBand).fill(0xffff_ffff);
    for (const hash of hashes) {
      for (let row = 0; row < least.length; row++) {
        // Multiplying by an odd number and folding the halves is a cheap new order of the hashes.
        let value = Math.imul(hash, seeds[row]!);
        value = (value ^ (value >>> 15)) >>> 0;
        if (value < least[row]!) least[row] = value;
      }
    }
    return Array.from({ length: bands }, (_, band) => {
      let key = band;
      for (let row = 0; row < rowsPerBand; row++) key = mix32(key, least[band * rowsPerBand + row]!);
      // Each band has its own range of keys: 32 bits of hash and the band.
      return key * 32 + band;
    });
  }
}
