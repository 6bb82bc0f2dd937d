/**
 * How often the intervals of `fettle pk` cover the truth, and how often a better system is found: simulated comparisons of
 * known win rates. `npx tsx bench/pk/run.ts [trials]`
 */
import { compareOutcomes, type Outcome } from '../../src/eval/pk/comparison.ts';
import { itemsNeeded } from '../../src/eval/pk/statistics.ts';
import { hashKey, RandomStream } from '../../src/util/index.ts';

const trials = Number(process.argv[2] ?? 2000);

/** A judge that decides each order by itself (many ties), or once for both (none). */
function draw(count: number, p: number, isTwice: boolean, seed: number): Outcome[] {
  const random = new RandomStream(hashKey('bench', seed));
  return Array.from({ length: count }, () => {
    const one = random.next() < p;
    const two = isTwice ? random.next() < p : one;
    return one === two ? (one ? 'win' : 'loss') : 'tie';
  });
}

console.log(`${trials} trials each`);
console.log('win rate  ties  questions  covered  called better  called worse');
for (const p of [0.5, 0.6]) {
  for (const isTwice of [false, true]) {
    const enough = itemsNeeded(p === 0.5 ? 0.6 : p, isTwice ? 2 * p * (1 - p) : 0);
    for (const count of [20, 80, enough, 400]) {
      let [covered, better, worse] = [0, 0, 0];
      for (let trial = 0; trial < trials; trial++) {
        const { ci, better: found } = compareOutcomes(draw(count, p, isTwice, trial));
        if (ci![0] <= p && p <= ci![1]) covered++;
        if (found === 'a') better++;
        if (found === 'b') worse++;
      }
      const share = (hits: number): string => `${((100 * hits) / trials).toFixed(1)} %`.padStart(8);
      console.log(
        `${p.toFixed(2).padStart(8)}  ${(isTwice ? 'yes' : 'no').padStart(4)}  ${String(count).padStart(9)} ${share(covered)}       ${share(better)}      ${share(worse)}`,
      );
    }
  }
}
