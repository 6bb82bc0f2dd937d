/**
 * `do_train: false` with `do_eval: true`: the loss of the model as it is over its evaluation set. It writes results only,
 * so that it may be asked of a folder that holds a finished run.
 */
import { RunError } from '../../errors.ts';
import { runPaths } from '../../run/index.ts';
import { evaluate, evaluationEntry } from '../evaluate.ts';
import type { ToolContext, TrainerTools } from '../job.ts';
import { evalResults, writeResults } from '../results.ts';

/**
 * Evaluates and leaves `eval_results.json` in `folder`.
 * @throws RunError `nothing-to-evaluate` where there is no evaluation set.
 */
export async function evaluateAlone(folder: string, tools: TrainerTools, context: ToolContext): Promise<void> {
  const base = await tools.openBase(context);
  const data = await tools.prepareData(context, base);
  if (data.evaluation.length === 0) throw new RunError('nothing-to-evaluate', {});
  const model = await tools.createModel(context, base, data);
  try {
    context.say({ type: 'plan', entries: model.plan });
    context.say({ type: 'state', state: 'evaluating' });
    const result = (await evaluate(model.engine, data.evaluation, () => performance.now()))!;
    const results = evalResults(evaluationEntry(result, 0, 0));
    await writeResults(folder, { evaluation: results });
    context.say({ type: 'evaluated', results, files: [runPaths(folder).evalResults] });
  } finally {
    await model.engine.release();
  }
}
