/** Which form a step takes: the fastest whose planned memory stays below a limit. */
import type { Model } from '../models/index.ts';
import type { TuningMethod } from '../tuning/index.ts';
import { type BatchSize, type MemoryPlan, memoryOf } from './memory-plan.ts';
import type { PlanForm, SegmentedForm } from './plan-form.ts';

/** Bytes of the output table that stand in f32 at a time where the head is cut: large beside a product's own blocks. */
const headBytes = 64e6;
/** Tokens that layers are cut into, from coarse to fine: below that expanding 4-bit weights costs more than their products. */
const tokenSteps: readonly number[] = [Infinity, 2048, 1024, 512, 256, 128];

/** Rows from this length on gain more from attention that is not computed again than a file costs (NOTES.md). */
const diskFrom = 4096;

/** The forms that a step can take, the fastest first. */
function planForms({ tokens, longest }: BatchSize, wanted: boolean | undefined): PlanForm[] {
  const whole: PlanForm[] = [{ kind: 'whole' }];
  if (wanted === false) return whole;
  // equal layers share a program, so that larger segments gain nothing (NOTES.md)
  const layers: SegmentedForm = { kind: 'segmented', layersPerSegment: 1 };
  const steps = tokenSteps.filter((step) => step === Infinity || step < tokens).map((step) => Math.min(step, tokens));
  const cut = (keptIn: 'memory' | 'disk', sizes = steps): SegmentedForm[] =>
    sizes.map((tokensAtOnce) => ({ ...layers, headBytes, tokensAtOnce, keptIn }));
  // products gain nothing from more tokens at once than the first step's
  const fine = longest < diskFrom ? [...cut('memory'), ...cut('disk')] : cut('disk', steps.slice(1));
  return [...(wanted === true ? [] : whole), layers, { ...layers, headBytes }, ...fine];
}

/** What `gradient_checkpointing: true` may need, as a multiple of what segments of one layer need: room that saves time. */
const roomForTail = 1.6;

/**
 * The form with what room below `limit` bytes allows: products that wait for the backward pass, which saves most time for its
 * room, then layers in the tail.
 */
function withRoom(
  form: SegmentedForm,
  layerCount: number,
  limit: number,
  plan: (form: PlanForm) => MemoryPlan,
): MemoryPlan {
  let best = plan(form);
  const most = (highest: number, formOf: (count: number) => SegmentedForm): number => {
    let low = 0;
    let high = highest;
    while (high > low) {
      const count = Math.ceil((low + high) / 2);
      const candidate = plan(formOf(count));
      if (candidate.peak <= limit) {
        best = candidate;
        low = count;
      } else {
        high = count - 1;
      }
    }
    return low;
  };
  const segments = Math.ceil(layerCount / form.layersPerSegment);
  const keptLayers = most(segments, (count) => ({ ...form, keptLayers: count }));
  if (keptLayers === segments) {
    most(layerCount, (count) => {
      const others = Math.ceil((layerCount - count) / form.layersPerSegment);
      return { ...form, keptLayers: others, tailLayers: count };
    });
  }
  return best;
}

/**
 * The fastest plan that stays below `limit` bytes, or the one that needs least if none does.
 * @param wanted the setting `gradient_checkpointing`; undefined leaves the choice here. If true, memory counts before time:
 *   room below the limit is used for kept products and a tail only up to three fifths more than the segments need.
 */
export function choosePlan(
  model: Model,
  method: TuningMethod,
  batch: BatchSize,
  optimizerBytesPerValue: number,
  limit: number,
  wanted: boolean | undefined,
): MemoryPlan {
  const planOf = (form: PlanForm): MemoryPlan => memoryOf(model, method, batch, optimizerBytesPerValue, form);
  let least: MemoryPlan | undefined;
  for (const form of planForms(batch, wanted)) {
    const plan = planOf(form);
    if (plan.peak <= limit) {
      if (form.kind === 'whole' || form.headBytes !== undefined) return plan;
      const room = wanted === true ? Math.min(limit, roomForTail * plan.peak) : limit;
      return withRoom(form, model.layerCount, room, planOf);
    }
    if (!least || plan.peak < least.peak) least = plan;
  }
  return least!;
}
