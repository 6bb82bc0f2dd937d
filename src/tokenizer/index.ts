export { llama2cTokenizerJson, readSentencePiece } from './sentencepiece.ts';
export type { ScoredPiece, SentencePieceModel } from './sentencepiece.ts';
export { StreamDecoder } from './stream-decoder.ts';
export { createTokenizer, tokenizerJson } from './tokenizer.ts';
export type { Encoding, Tokenizer } from './tokenizer.ts';
