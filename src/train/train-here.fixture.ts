/** Trains the bigram double, or what else is given, in the test's own process: what `train` does, without the cost of a process. */
import { mkdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { configFromOptions, type FettleConfig, type FettleOptions } from '../config/index.ts';
import {
  isFinalEvent,
  readJsonLines,
  type RunKeeper,
  runPaths,
  type RunRecord,
  type TrainEvent,
} from '../run/index.ts';
import { bigramTools } from './bigram-tools.fixture.ts';
import type { TrainerTools } from './job.ts';
import { receivedError, type SentError } from './protocol.ts';
import { serveTraining } from './trainer.ts';

/** What the tests' runs share: two epochs of 7 steps, dropout, warm-up, a schedule that moves. */
export const testOptions: FettleOptions = {
  modelNameOrPath: './bigram',
  dataset: ['synthetic'],
  numTrainEpochs: 2,
  perDeviceTrainBatchSize: 3,
  gradientAccumulationSteps: 2,
  learningRate: 0.05,
  lrSchedulerType: 'cosine',
  loraDropout: 0.3,
  warmupSteps: 2,
  loggingSteps: 1,
  saveSteps: 3,
  weightDecay: 0.01,
  plotLoss: false,
  threads: 1,
};

/** The config of a test's run. */
export function testConfig(outputDir: string, options: FettleOptions = {}): FettleConfig {
  return configFromOptions({ ...testOptions, outputDir, ...options }).config;
}

/** Writes `run.json` at once, without a thread. */
async function plainKeeper(folder: string): Promise<RunKeeper> {
  let record: Partial<RunRecord> = {};
  return {
    async write(change) {
      record = { ...record, ...change };
      mkdirSync(folder, { recursive: true });
      await writeFile(runPaths(folder).record, JSON.stringify(record));
    },
    note(change) {
      record = { ...record, ...change };
    },
    close: async () => undefined,
  };
}

/** A run that was trained to its end here. */
export interface TrainedHere {
  readonly events: readonly TrainEvent[];
  /** The event that ended it. */
  readonly end: TrainEvent;
}

/** Trains in `folder`; throws what the run throws. */
export async function trainHere(
  folder: string,
  options: FettleOptions = {},
  more: { stopRequested?: () => boolean; given?: readonly string[]; tools?: TrainerTools } = {},
): Promise<TrainedHere> {
  let error: SentError | undefined;
  const before = (await readJsonLines(runPaths(folder).events)).length;
  const heard: TrainEvent[] = [];
  let from = 0;
  await serveTraining(
    { tools: more.tools ?? bigramTools(), versions: {}, openKeeper: plainKeeper },
    { type: 'start', folder, config: testConfig(folder, options), given: more.given ?? [], owner: null },
    {
      tell(message) {
        if (message.type === 'error') error = message.error;
        if (message.type === 'event') heard.push(message.event);
        if (message.type === 'event' && message.event.type === 'resuming' && message.event.checkpoint !== null)
          from = before;
      },
      stopRequested: more.stopRequested ?? (() => false),
    },
  );
  if (error !== undefined) throw receivedError(error);
  // A start that only evaluates says nothing in the folder.
  const last = heard.at(-1);
  if (last !== undefined && isFinalEvent(last)) return { events: heard, end: last };
  const events = (await readJsonLines(runPaths(folder).events)).slice(from) as unknown as TrainEvent[];
  return { events, end: events.findLast(isFinalEvent)! };
}
