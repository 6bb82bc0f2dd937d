/** The engine process from the HTTP process's side: its death is told, and it is started once more. */
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { parseConfig } from '../config/index.ts';
import { EngineClient } from './engine-client.ts';
import type { EngineJob } from './protocol.ts';

const configOf = (model: string) =>
  parseConfig(JSON.stringify({ model_name_or_path: model, threads: 1 }), 'serve.json').config;
const model = join(import.meta.dirname, '../../assets/demo/model');
const job: Omit<EngineJob, 'id'> = {
  promptIds: [1, 10, 11],
  maxNewTokens: 3,
  stopIds: [],
  sampling: {
    doSample: false,
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0,
    repetitionPenalty: 1,
    frequencyPenalty: 0,
    presencePenalty: 0,
    noRepeatNgramSize: 0,
    tokenBias: [],
    minNewTokens: 0,
    seed: 1,
  },
  answers: 1,
  draw: 0,
  scoresPrompt: false,
  suppress: [],
};

/** The ids of a job's answer; what failed it otherwise. */
function run(client: EngineClient, more: Partial<EngineJob> = {}): Promise<number[] | { readonly isGone: boolean }> {
  return new Promise((resolve) => {
    const ids: number[] = [];
    client.submit(
      { ...job, ...more },
      {
        tokens: (message) => void ids.push(...message.ids),
        prompt: () => {},
        end: () => resolve(ids),
        failed: ({ isGone }) => resolve({ isGone }),
      },
    );
  });
}

it('a dead engine fails its jobs and is started once more, not twice', async () => {
  const deaths: boolean[] = [];
  let ready = (): void => {};
  const client = await EngineClient.start(
    { config: configOf(model), adapters: [], maxRows: 4 },
    { onDeath: (_, again) => void deaths.push(again), onReady: () => ready() },
  );
  try {
    const before = await run(client);
    expect(before).toHaveLength(3);
    const unread = new Promise<boolean>((resolve) => {
      const tokens = (): never => {
        throw new Error('a listener that fails');
      };
      const failed = ({ isGone }: { isGone: boolean }): void => resolve(isGone);
      client.submit(job, { tokens, prompt: () => {}, end: () => {}, failed });
    });
    expect(await unread).toBe(false);
    const isBack = new Promise<void>((resolve) => (ready = resolve));
    const long = run(client, { maxNewTokens: 400 });
    process.kill(client.processId!, 'SIGKILL');
    expect(await long).toEqual({ isGone: true });
    expect(client.isReady).toBe(false);
    expect(await run(client)).toEqual({ isGone: true });
    await expect(client.loadAdapter('x', 'nowhere')).rejects.toMatchObject({ code: 'engine-broken' });
    await isBack;
    expect(await run(client)).toEqual(before);
    expect(deaths).toEqual([true]);
    const last = run(client, { maxNewTokens: 400 });
    process.kill(client.processId!, 'SIGKILL');
    expect(await last).toEqual({ isGone: true });
    expect(deaths).toEqual([true, false]);
    expect(client.processId).toBeUndefined();
  } finally {
    await client.release();
  }
}, 60_000);

it('a model that does not open is told with its reason', async () => {
  const start = EngineClient.start({ config: configOf(join(model, 'missing')), adapters: [], maxRows: 4 });
  await expect(start).rejects.toMatchObject({ code: 'engine-broken', message: expect.stringContaining('missing') });
}, 60_000);
