/** The command lines of both sides of a step comparison. */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { withAllocatorSettings } from '../../src/run/index.ts';

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** How our step runs: one program, or a program per segment (`gradient_checkpointing`). */
export type OurPlan = 'whole' | 'segmented';

/** How the peer's step runs. `-trl` takes TRL's fused head in place of logits of every token. */
export type PeerVariant = 'float32' | 'bfloat16' | 'bfloat16-checkpointing' | 'float32-trl' | 'bfloat16-trl';

/**
 * Compiles our child, so that it runs as an installed package does and its memory holds no compiler.
 * @returns the script
 */
export function buildOurStep(): string {
  const project = pathOf('../tsconfig.json');
  execFileSync('npx', ['tsc', '-p', project], { stdio: ['ignore', 'ignore', 'inherit'] });
  return pathOf('../../.cache/bench-build/bench/support/our-step.js');
}

/** Our child's command: `script` from `buildOurStep`. */
export function ourCommand(script: string, model: string, plan: OurPlan, more: readonly string[] = []): string[] {
  return [process.execPath, script, '--model', model, '--plan', plan, ...more];
}

/** What the trainer process is started with. */
export const ourEnvironment = { GLIBC_TUNABLES: withAllocatorSettings(undefined) };

/** The peer's child: bench/step/peer.py. */
export function peerCommand(python: string, model: string, variant: PeerVariant): string[] {
  const [dtype, ...more] = variant.split('-');
  return [
    python,
    '-W',
    'ignore',
    pathOf('../step/peer.py'),
    '--model',
    model,
    '--dtype',
    dtype!,
    ...(more.includes('checkpointing') ? ['--gradient-checkpointing'] : []),
    ...(more.includes('trl') ? ['--loss', 'trl'] : []),
  ];
}
