/** Merges for vocabularies that are given as ranked pieces alone (SentencePiece BPE, tiktoken). */

/**
 * All ways in which a piece splits into two pieces of the vocabulary, in the order of `orderOf(piece)` (lowest first):
 * what transformers' converters write, so that a converted file gives the ids of the original.
 */
export function mergesFromPieces(
  ids: ReadonlyMap<string, number>,
  orderOf: (piece: string) => number,
  isMergeable: (piece: string) => boolean,
): [string, string][] {
  const merges: { left: string; right: string; order: number }[] = [];
  for (const piece of ids.keys()) {
    if (!isMergeable(piece)) continue;
    const order = orderOf(piece);
    const local: { left: string; right: string; order: number }[] = [];
    for (let i = 1; i < piece.length; i++) {
      const unit = piece.charCodeAt(i);
      if (unit >= 0xdc00 && unit < 0xe000) continue;
      const left = piece.slice(0, i);
      if (!ids.has(left)) continue;
      const right = piece.slice(i);
      if (ids.has(right) && isMergeable(left) && isMergeable(right)) local.push({ left, right, order });
    }
    local.sort((a, b) => ids.get(a.left)! - ids.get(b.left)! || ids.get(a.right)! - ids.get(b.right)!);
    merges.push(...local);
  }
  merges.sort((a, b) => a.order - b.order);
  return merges.map(({ left, right }) => [left, right]);
}
