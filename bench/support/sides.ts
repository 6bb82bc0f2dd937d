/** The command lines of both sides of a step comparison. */
import { fileURLToPath } from 'node:url';

const pathOf = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

/** How our step runs: one program, or a program per segment (`gradient_checkpointing`). */
export type OurPlan = 'whole' | 'segmented';

/** How the peer's step runs. `-trl` takes TRL's fused head in place of logits of every token. */
export type PeerVariant = 'float32' | 'bfloat16' | 'bfloat16-checkpointing' | 'float32-trl' | 'bfloat16-trl';

/** Our child: bench/support/our-step.ts. */
export function ourCommand(model: string, plan: OurPlan): string[] {
  return [process.execPath, '--import', 'tsx', pathOf('our-step.ts'), '--model', model, '--plan', plan];
}

/** What the trainer process is started with: large blocks are kept by the allocator instead of returned at each step. */
export const ourEnvironment = {
  GLIBC_TUNABLES:
    'glibc.malloc.mmap_threshold=8589934592:glibc.malloc.trim_threshold=17179869184:glibc.malloc.arena_max=1',
};

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
