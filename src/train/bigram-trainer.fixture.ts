/** The program of a trainer whose model is the bigram double: what tests give `train` in place of `trainer-main.ts`. */
import { bigramTools } from './bigram-tools.fixture.ts';
import { packageVersions, runTrainer } from './trainer.ts';

await runTrainer({ tools: bigramTools(), versions: await packageVersions() });
