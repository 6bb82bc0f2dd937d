/** The tokens of one answer and its prompt, as penalties need them: what occurred, how often, after what. */

export class TokenHistory {
  readonly promptIds: ArrayLike<number>;
  private readonly answer: number[] = [];
  /** How often each id occurs in the answer. */
  private readonly answerCounts = new Map<number, number>();
  private readonly inPrompt: ReadonlySet<number>;

  constructor(promptIds: ArrayLike<number>) {
    this.promptIds = promptIds;
    this.inPrompt = new Set(Array.from(promptIds));
  }

  /** The ids of the answer so far. */
  get ids(): readonly number[] {
    return this.answer;
  }

  /** Ids of the answer with their number. */
  get counts(): ReadonlyMap<number, number> {
    return this.answerCounts;
  }

  /** Calls `visit` once for each id that occurred in prompt or answer. */
  forEachSeen(visit: (id: number) => void): void {
    for (const id of this.inPrompt) visit(id);
    for (const id of this.answerCounts.keys()) if (!this.inPrompt.has(id)) visit(id);
  }

  push(id: number): void {
    this.answer.push(id);
    this.answerCounts.set(id, (this.answerCounts.get(id) ?? 0) + 1);
  }

  /** Goes back to the first `length` tokens of the answer. */
  truncate(length: number): void {
    while (this.answer.length > length) {
      const id = this.answer.pop()!;
      const count = this.answerCounts.get(id)! - 1;
      if (count === 0) this.answerCounts.delete(id);
      else this.answerCounts.set(id, count);
    }
  }

  /** A copy that goes its own way. */
  fork(): TokenHistory {
    const copy = new TokenHistory(this.promptIds);
    for (const id of this.answer) copy.push(id);
    return copy;
  }

  /** Ids that would complete a run of `size` tokens that stands in prompt and answer already. */
  repeatingIds(size: number): number[] {
    const total = this.promptIds.length + this.answer.length;
    const at = (i: number): number =>
      i < this.promptIds.length ? this.promptIds[i]! : this.answer[i - this.promptIds.length]!;
    const found: number[] = [];
    for (let start = 0; start + size <= total; start++) {
      let same = 0;
      while (same < size - 1 && at(start + same) === at(total - size + 1 + same)) same++;
      if (same === size - 1) found.push(at(start + size - 1));
    }
    return found;
  }
}
