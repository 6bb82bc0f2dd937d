/** Tells how far the quantising of frozen weights is, where it takes long enough to be worth a line. */
import type { OnCodes } from '../checkpoint/index.ts';
import type { Say } from './state.ts';

/** What is over sooner is not told. */
const quietMs = 2_000;
const everyMs = 500;

/** Says the fraction that is done and the time that is left. @param now milliseconds. */
export function tellCodes(say: Say, now: () => number = () => performance.now()): OnCodes {
  let start: { readonly at: number; readonly fraction: number } | undefined;
  let told = -Infinity;
  return (fraction) => {
    const at = now();
    start ??= { at, fraction };
    const elapsed = at - start.at;
    if (elapsed < quietMs || at - told < everyMs) return;
    told = at;
    const done = fraction - start.fraction;
    const remainingSeconds = done > 0 ? ((elapsed / done) * (1 - fraction)) / 1000 : null;
    say({ type: 'quantizing', fraction, remainingSeconds });
  };
}
