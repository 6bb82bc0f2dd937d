/** What a recipe is: one file under this folder for each `stage`, read from top to bottom. */
import type { TrainerTools } from '../job.ts';
import type { ScalarSink } from '../reporter.ts';
import type { RunEnd } from '../run-training.ts';
import type { Session } from '../session.ts';

/** What a recipe works with. */
export interface RecipeContext {
  readonly session: Session;
  readonly tools: TrainerTools;
  /** Whether somebody has asked for a stop. */
  readonly stopRequested: () => boolean;
  /** Opens where scalars go besides the log, when the folder is the run's own. */
  readonly openSinks: () => Promise<readonly ScalarSink[]>;
}

/** Trains a run from its config to its results. */
export type Recipe = (context: RecipeContext) => Promise<RunEnd>;
