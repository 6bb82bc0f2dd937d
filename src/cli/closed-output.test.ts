/** `fettle ... | head`: what makes files goes on when its reader goes, what only prints ends. */
import { spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { nodeArguments } from '../threads/index.ts';
import { lastingOutput } from './closed-output.ts';
import { onlyPrints } from './command-line.ts';
import { environmentToStartIn } from './start-again.ts';

/** A stream whose reader goes after the first text. */
class LeftStream extends EventEmitter {
  readonly texts: string[] = [];
  readonly #failure = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' });
  write(text: string, written?: () => void): void {
    if (this.texts.push(text) > 1) this.emit('error', this.#failure);
    else written?.();
  }
}

it('says once on the other stream that it goes on, and writes no more', async () => {
  const [out, err] = [new LeftStream(), new LeftStream()];
  const lasting = lastingOutput(out, err, undefined);
  for (const text of ['1', '2', '3']) lasting.out.write(text);
  expect(out.texts).toEqual(['1', '2']);
  expect(err.texts).toEqual([expect.stringMatching(/^standard output: nobody reads it .* goes on/) as string]);
  lasting.err.write('an error');
  await lasting.emptied();
});

it('ends where there is nothing but what is printed', () => {
  const end = vi.fn();
  const out = new LeftStream();
  const lasting = lastingOutput(out, new LeftStream(), end);
  lasting.out.write('1');
  expect(end).not.toHaveBeenCalled();
  lasting.out.write('2');
  expect(end).toHaveBeenCalledOnce();
});

it('knows which commands only print', () => {
  for (const words of [
    [],
    ['--help'],
    ['train', '--help'],
    ['data', 'preview', 'a.yaml'],
    ['plan'],
    ['chat'],
    ['nonsense'],
  ]) {
    expect([words, onlyPrints(words)]).toEqual([words, true]);
  }
  for (const words of [
    ['train'],
    ['predict'],
    ['eval'],
    ['pk'],
    ['compare'],
    ['study', 'suppress'],
    ['serve'],
    ['export'],
  ]) {
    expect([words, onlyPrints(words)]).toEqual([words, false]);
  }
});

it('predictions are made to their end without a reader', { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'fettle-unread-'));
  const demo = join(import.meta.dirname, '../../assets/demo');
  const settings = [
    `model_name_or_path=${demo}/model`,
    `dataset_dir=${demo}/data`,
    'dataset=sentiment_test',
    'max_samples=2',
    'max_new_tokens=2',
    'threads=1',
    `output_dir=${folder}`,
  ];
  const main = new URL('main.ts', import.meta.url);
  const command = spawn(process.execPath, [...nodeArguments(main), 'predict', ...settings], {
    env: environmentToStartIn(process.env) ?? process.env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  command.stdout.destroy();
  let said = '';
  command.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
  const [code] = (await once(command, 'close')) as [number | null];
  expect({ code, said }).toMatchObject({
    code: 0,
    said: expect.stringContaining('nobody reads it any longer') as string,
  });
  expect(JSON.parse(readFileSync(join(folder, 'predict_results.json'), 'utf8'))).toMatchObject({ predict_samples: 2 });
  rmSync(folder, { recursive: true, force: true });
});
