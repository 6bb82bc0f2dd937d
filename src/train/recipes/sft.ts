/** `stage: sft`: supervised fine-tuning. Conversations in, the cross-entropy of every trained answer token down. */
import { announcePlan } from '../plan.ts';
import { createOptimizer, runTraining } from '../run-training.ts';
import { loopSettings } from '../settings.ts';
import type { Recipe } from './recipe.ts';

export const sft: Recipe = async ({ session, tools, stopRequested, openSinks }) => {
  const { config, tooling } = session;

  // What the run is made of, by content: a continued run refuses another base and other data.
  const base = await tools.openBase(tooling);
  await session.requireBase(base.files);
  const data = await tools.prepareData(tooling, base);
  session.requireData(data.hash);

  // Steps and rates follow from the number of batches.
  const settings = loopSettings(config, data.batchesPerEpoch);
  const model = await tools.createModel(tooling, base, data);
  const optimizer = createOptimizer(session, model);
  announcePlan(session, data, model, settings);

  // From here on the folder is this run's; a checkpoint puts weights, moments and cursor back.
  const run = await session.begin(model.engine.parameters, optimizer, settings.totalSteps);
  try {
    return await runTraining({
      session,
      data,
      model,
      optimizer,
      settings,
      run,
      stopRequested,
      sinks: await openSinks(),
    });
  } finally {
    await model.engine.release();
  }
};
