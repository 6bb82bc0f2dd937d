/** The settings that the data room needs, under their names in the config: a whole config can be passed as it is. */
import type { DataStage } from './convert-row.ts';
import type { MixStrategy } from './mixing.ts';
import type { OverlongPolicy } from './overlong.ts';

export interface DataSettings {
  readonly stage: DataStage;
  readonly dataset: readonly string[];
  readonly eval_dataset: readonly string[];
  readonly dataset_dir: string;
  readonly cutoff_len: number;
  readonly max_prompt_length?: number | undefined;
  readonly max_response_length?: number | undefined;
  readonly overlong: OverlongPolicy;
  /** `error` refuses a data set with rows of a wrong form, `drop` leaves them out. */
  readonly bad_rows: 'error' | 'drop';
  /** Only the first so many rows of each data set. */
  readonly max_samples?: number | undefined;
  /** Rows set aside for evaluation: a share up to 1, a number above. */
  readonly val_size: number;
  /** One evaluation for each data set of `eval_dataset` instead of one for all. */
  readonly eval_on_each_dataset?: boolean;
  readonly mix_strategy?: MixStrategy;
  /** Share of each data set, for the interleaving strategies. */
  readonly interleave_probs?: readonly number[] | undefined;
  /** Folder of tokenised data that `data prepare` wrote; used where it was made of the same. */
  readonly tokenized_path?: string | undefined;
  /** Threads that tokenise; left out: as many as there are cores. The result does not depend on it. */
  readonly preprocessing_num_workers?: number | undefined;
  readonly mask_history: boolean;
  /** Only these answers of a conversation are trained, counted from 0, from the end where negative; none: all. */
  readonly train_on_turn?: readonly number[];
  readonly packing: boolean;
  readonly disable_shuffling: boolean;
  readonly group_by_length: boolean;
  readonly data_seed: number;
  readonly per_device_train_batch_size: number;
  readonly gradient_accumulation_steps: number;
  readonly num_train_epochs: number;
  /** -1: as `num_train_epochs` says. */
  readonly max_steps: number;
}
