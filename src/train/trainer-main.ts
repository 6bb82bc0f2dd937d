/** The program of the trainer process; `train` starts it. */
import { join } from 'node:path';
import { TensorBoardWriter } from '../formats/index.ts';
import { readRunRecord } from '../run/index.ts';
import { packageVersions, runTrainer } from './trainer.ts';
import { trainerTools } from './trainer-tools.ts';

await runTrainer({
  tools: trainerTools(),
  versions: await packageVersions(),
  async openSinks({ config, folder }) {
    if (!config.report_to.includes('tensorboard')) return [];
    const record = await readRunRecord(folder);
    const resumed = record !== undefined && record.resumes > 0;
    return [await TensorBoardWriter.open(join(folder, 'runs'), resumed ? { resumeStep: record.step } : {})];
  },
});
