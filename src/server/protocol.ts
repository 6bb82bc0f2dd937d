/** What the HTTP process and the engine process say to each other, as JSON over their IPC channel. */
import type { FettleConfig } from '../config/index.ts';
import type {
  BeamSettings,
  SamplingSettings,
  Suppression,
  SuppressionReport,
  TokenLogprobs,
} from '../generate/index.ts';

/** A token bias as pairs: JSON has no maps. */
export type SentSampling = Omit<SamplingSettings, 'tokenBias'> & {
  readonly tokenBias: readonly (readonly [number, number])[];
};

/** A prompt to be answered. Ids only: text is made and read in the HTTP process, which is never busy. */
export interface EngineJob {
  readonly id: number;
  readonly promptIds: readonly number[];
  /** 0: only the prompt is scored. */
  readonly maxNewTokens: number;
  readonly stopIds: readonly number[];
  readonly sampling: SentSampling;
  readonly answers: number;
  /** Number of the prompt in its request, for its random numbers. */
  readonly draw: number;
  /** Most probable tokens told beside each token; left out: no log-probabilities. */
  readonly topLogprobs?: number;
  /** Log-probabilities of the prompt's own tokens are wanted, too. */
  readonly scoresPrompt: boolean;
  /** Name of a loaded adapter. */
  readonly adapter?: string;
  readonly suppress: readonly Suppression[];
  /** Beam search, and the texts that end its answers. */
  readonly beams?: BeamSettings & { readonly stopTexts: readonly string[] };
}

export type ToEngine =
  | {
      readonly type: 'start';
      readonly config: FettleConfig;
      /** Adapters that requests choose by name, with their folders. */
      readonly adapters: readonly (readonly [string, string])[];
      readonly maxRows: number;
    }
  | { readonly type: 'job'; readonly job: EngineJob }
  | { readonly type: 'abort'; readonly id: number }
  | { readonly type: 'load'; readonly id: number; readonly name: string; readonly folder: string }
  | { readonly type: 'unload'; readonly id: number; readonly name: string };

/** What is known of the model once it is open. */
export interface EngineInfo {
  readonly stopIds: readonly number[];
  readonly vocabularySize: number;
  /** Longest prompt and answer together. */
  readonly maxLength: number;
}

export type FromEngine =
  | { readonly type: 'hello' }
  | { readonly type: 'ready'; readonly info: EngineInfo }
  | {
      readonly type: 'tokens';
      readonly id: number;
      readonly answer: number;
      readonly ids: readonly number[];
      readonly logprobs: readonly TokenLogprobs[];
    }
  | { readonly type: 'prompt'; readonly id: number; readonly logprobs: readonly TokenLogprobs[] }
  | {
      readonly type: 'end';
      readonly id: number;
      readonly finishReasons: readonly ('stop' | 'length' | 'aborted')[];
      readonly suppressed: readonly (readonly SuppressionReport[])[];
    }
  /** A job or an adapter could not be done. */
  | { readonly type: 'failed'; readonly id: number; readonly message: string; readonly isUsers: boolean }
  | { readonly type: 'done'; readonly id: number }
  /** The engine cannot go on. */
  | { readonly type: 'broken'; readonly message: string };
