/** What an 8-bit code is worth, as products with such codes need it. */

/** What one 8-bit code is worth in a row of scale 1: bitsandbytes' 1 / 127 in f32. */
export const eightBitStep = 7.874015718698502e-3;
