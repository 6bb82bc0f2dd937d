/**
 * The heap as glibc's allocator lays it out: what a plan counts is not only what is alive, but the holes between it. A block
 * takes the smallest free stretch that holds it, else the end of the heap; one of at least the mapping threshold is mapped by
 * itself only where neither has room. Free neighbours are joined, and the heap never shrinks (run/spawn sets it up so).
 */

/** A stretch of the heap, or of memory mapped by itself where `at` is -1. */
interface Block {
  readonly at: number;
  readonly bytes: number;
}

/** What stands in the heap for a tensor. */
export interface Tensor {
  readonly blocks: readonly Block[];
}

/** What the allocator writes beside each block. */
const blockHeader = 16;
/**
 * Tensors begin at multiples of this. For an aligned block glibc wants so much more in one stretch, and frees what it does not
 * need of it: where a small object has gone there, the next tensor of the same size finds no room in the old one's place.
 */
const tensorAlignment = 64;
const alignmentSlack = tensorAlignment + 32;
/** The objects that onnxruntime holds for a tensor as long as it lives: itself, and the count of its owners. */
const tensorObject = 128;
const ownerCount = 32;

export class Heap {
  /** Free stretches from small to large, and by their two ends. */
  private readonly free: Block[] = [];
  private readonly byBegin = new Map<number, Block>();
  private readonly byEnd = new Map<number, Block>();
  /** End of the last block, and of the heap. */
  private last = 0;
  private end = 0;
  private mapped = 0;
  private files = 0;
  private alive = 0;
  /** Most bytes alive at once, most that the heap and all that is mapped took, and what of the latter were files. */
  mostAlive = 0;
  peak = 0;
  filesAtPeak = 0;
  private readonly mapFrom: number;

  /** @param mapFrom blocks of at least so many bytes may be mapped by themselves. */
  constructor(mapFrom: number) {
    this.mapFrom = mapFrom;
  }

  /** Takes the block of a tensor, with the objects that stand for it. */
  take(bytes: number): Tensor {
    const size = Math.ceil((bytes + blockHeader) / tensorAlignment) * tensorAlignment;
    this.alive += size;
    this.mostAlive = Math.max(this.mostAlive, this.alive);
    const tensor = { blocks: [this.place(tensorObject), this.place(size, alignmentSlack), this.place(ownerCount)] };
    this.note();
    return tensor;
  }

  /** @param slack what a stretch must hold beside the block. */
  private place(bytes: number, slack = 0): Block {
    const index = this.indexOf(bytes + slack, 0);
    const found = this.free[index];
    if (found) {
      this.forget(found, index);
      if (found.bytes > bytes) this.keep({ at: found.at + bytes, bytes: found.bytes - bytes });
      return { at: found.at, bytes };
    }
    if (this.end - this.last < bytes) {
      if (bytes >= this.mapFrom) {
        this.mapped += bytes;
        return { at: -1, bytes };
      }
      this.end = this.last + bytes;
    }
    const block = { at: this.last, bytes };
    this.last += bytes;
    return block;
  }

  /** Gives a tensor back. */
  give({ blocks }: Tensor): void {
    this.alive -= blocks[1]!.bytes;
    for (const block of blocks) this.release(block);
  }

  private release({ at, bytes }: Block): void {
    if (at < 0) {
      this.mapped -= bytes;
      return;
    }
    let begin = at;
    let end = at + bytes;
    const before = this.byEnd.get(begin);
    if (before) {
      this.forget(before);
      begin = before.at;
    }
    const behind = this.byBegin.get(end);
    if (behind) {
      this.forget(behind);
      end += behind.bytes;
    }
    if (end === this.last) this.last = begin;
    else this.keep({ at: begin, bytes: end - begin });
  }

  /** Maps so many bytes of files, or fewer where negative. */
  map(bytes: number): void {
    this.files += bytes;
    this.note();
  }

  private note(): void {
    const now = this.end + this.mapped + this.files;
    if (now <= this.peak) return;
    this.peak = now;
    this.filesAtPeak = this.files;
  }

  /** Where a stretch of this size, and of this place among equals, stands or would stand. */
  private indexOf(bytes: number, at: number): number {
    let low = 0;
    let high = this.free.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const stretch = this.free[middle]!;
      if (stretch.bytes < bytes || (stretch.bytes === bytes && stretch.at < at)) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private keep(stretch: Block): void {
    this.free.splice(this.indexOf(stretch.bytes, stretch.at), 0, stretch);
    this.byBegin.set(stretch.at, stretch);
    this.byEnd.set(stretch.at + stretch.bytes, stretch);
  }

  private forget(stretch: Block, index = this.indexOf(stretch.bytes, stretch.at)): void {
    this.free.splice(index, 1);
    this.byBegin.delete(stretch.at);
    this.byEnd.delete(stretch.at + stretch.bytes);
  }
}
