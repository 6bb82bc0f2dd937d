export { addTokens, type NewToken, type TokenizerWithTokens } from './add-tokens.ts';
export { llama2cTokenizerJson, readSentencePiece } from './sentencepiece.ts';
export type { ScoredPiece, SentencePieceModel } from './sentencepiece.ts';
export { StreamDecoder } from './stream-decoder.ts';
export { createTokenizer, tokenizerJson } from './tokenizer.ts';
export type { DecodeOptions, Encoding, Tokenizer } from './tokenizer.ts';
