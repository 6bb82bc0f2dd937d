/** The program of the engine process: one model, many requests. It computes; everything else happens in the HTTP process. */
import { fitAdapter } from '../checkpoint/index.ts';
import { FettleError } from '../errors.ts';
import {
  endsWithText,
  generate,
  type GenerationRequest,
  type Generator,
  openGenerator,
  scoreTokens,
  SuppressingChooser,
  type TokenLogprobs,
  VocabularyIndex,
} from '../generate/index.ts';
import { loadPlugins } from '../plugins/index.ts';
import type { EngineJob, FromEngine, ToEngine } from './protocol.ts';

function tell(message: FromEngine): void {
  if (process.connected) process.send!(message);
}

function reasonOf(error: unknown): { readonly message: string; readonly isUsers: boolean } {
  if (!(error instanceof FettleError)) console.error(error);
  return { message: error instanceof Error ? error.message : String(error), isUsers: error instanceof FettleError };
}

class EngineProcess {
  private readonly generator: Generator;
  private readonly skipSpecialTokens: boolean;
  private vocabulary: VocabularyIndex | undefined;
  private readonly running = new Map<number, AbortController>();

  constructor(generator: Generator, skipSpecialTokens: boolean) {
    this.generator = generator;
    this.skipSpecialTokens = skipSpecialTokens;
  }

  async load(name: string, folder: string): Promise<void> {
    const { model, engine } = this.generator;
    await engine.loadAdapter(name, await fitAdapter(folder, model));
  }

  async unload(name: string): Promise<void> {
    await this.generator.engine.unloadAdapter(name);
  }

  abort(id: number): void {
    this.running.get(id)?.abort();
  }

  async run(job: EngineJob): Promise<void> {
    const controller = new AbortController();
    this.running.set(job.id, controller);
    try {
      if (job.scoresPrompt) await this.scorePrompt(job, controller.signal);
      await this.answer(job, controller.signal);
    } finally {
      this.running.delete(job.id);
    }
  }

  private async scorePrompt(job: EngineJob, signal: AbortSignal): Promise<void> {
    const [scored] = await scoreTokens(this.generator.engine, [
      {
        ids: job.promptIds,
        topLogprobs: job.topLogprobs ?? 0,
        signal,
        ...(job.adapter === undefined ? {} : { adapter: job.adapter }),
      },
    ]);
    if (signal.aborted) return;
    const { logprobs, top } = scored!;
    const told = Array.from(logprobs, (logprob, i): TokenLogprobs => ({ logprob, top: top[i] ?? [] }));
    tell({ type: 'prompt', id: job.id, logprobs: told });
  }

  private async answer(job: EngineJob, signal: AbortSignal): Promise<void> {
    const { id, promptIds, maxNewTokens, stopIds, sampling, answers, draw, topLogprobs, adapter, suppress, beams } =
      job;
    if (maxNewTokens === 0) {
      tell({ type: 'end', id, finishReasons: Array.from({ length: answers }, () => 'length'), suppressed: [] });
      return;
    }
    const { tokenizer } = this.generator.text;
    const choosers: SuppressingChooser[] = [];
    const suppressing = (): Pick<GenerationRequest, 'chooser' | 'beamSuppression'> => {
      if (suppress.length === 0) return {};
      const vocabulary = (this.vocabulary ??= new VocabularyIndex(tokenizer, this.skipSpecialTokens));
      if (beams !== undefined) return { beamSuppression: { suppressions: suppress, vocabulary } };
      return { chooser: (i) => (choosers[i] = new SuppressingChooser(suppress, vocabulary)) };
    };
    const results = await generate(this.generator.engine, {
      promptIds,
      maxNewTokens,
      stopIds: new Set(stopIds),
      sampling: { ...sampling, tokenBias: new Map(sampling.tokenBias) },
      answers,
      draw,
      signal,
      onTokens: (answer, ids, logprobs) => tell({ type: 'tokens', id, answer, ids: [...ids], logprobs }),
      ...(topLogprobs === undefined ? {} : { topLogprobs }),
      ...(adapter === undefined ? {} : { adapter }),
      ...(beams === undefined ? {} : { beams, endsWith: endsWithText(tokenizer, beams.stopTexts) }),
      ...suppressing(),
    }).done;
    tell({
      type: 'end',
      id,
      finishReasons: results.map(({ finishReason }) => finishReason),
      suppressed:
        suppress.length === 0 ? [] : results.map(({ suppressed }, i) => suppressed ?? choosers[i]?.reports ?? []),
    });
  }
}

let engine: EngineProcess | undefined;

async function start(message: Extract<ToEngine, { type: 'start' }>): Promise<void> {
  await loadPlugins(message.config.plugins);
  const generator = await openGenerator(message.config, { maxRows: message.maxRows });
  engine = new EngineProcess(generator, message.config.skip_special_tokens);
  for (const [name, folder] of message.adapters) await engine.load(name, folder);
  const { model, stopIds } = generator;
  tell({
    type: 'ready',
    info: {
      stopIds: [...stopIds],
      vocabularySize: model.vocabularySize,
      maxLength: model.maxPositions,
    },
  });
}

async function obey(message: ToEngine): Promise<void> {
  switch (message.type) {
    case 'start':
      try {
        await start(message);
      } catch (error) {
        tell({ type: 'broken', message: reasonOf(error).message });
        process.exitCode = 1;
        process.disconnect();
      }
      return;
    case 'abort':
      engine?.abort(message.id);
      return;
    case 'job':
      try {
        await engine!.run(message.job);
      } catch (error) {
        tell({ type: 'failed', id: message.job.id, ...reasonOf(error) });
      }
      return;
    case 'load':
    case 'unload':
      try {
        if (message.type === 'load') await engine!.load(message.name, message.folder);
        else await engine!.unload(message.name);
        tell({ type: 'done', id: message.id });
      } catch (error) {
        tell({ type: 'failed', id: message.id, ...reasonOf(error) });
      }
  }
}

process.on('message', (message) => void obey(message as ToEngine));
// without its owner there is nobody to compute for
process.on('disconnect', () => process.exit(process.exitCode ?? 0));
// Ctrl-C reaches the owner, which says when to end
process.on('SIGINT', () => {});
tell({ type: 'hello' });
