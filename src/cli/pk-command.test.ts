import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type MockServer, startMockServer } from '../endpoint/mock-server.fixture.ts';
import type { PkResults } from '../eval/index.ts';
import { call, callWith, writeCharacterModel } from './command-line.fixture.ts';

const folder = mkdtempSync(join(tmpdir(), 'fettle-pk-cli-'));
const servers: MockServer[] = [];
beforeAll(async () => writeCharacterModel(join(folder, 'model')));
afterAll(async () => {
  await Promise.all(servers.map(async (server) => server.close()));
  rmSync(folder, { recursive: true, force: true });
});

async function serve(...args: Parameters<typeof startMockServer>): Promise<MockServer> {
  const server = await startMockServer(...args);
  servers.push(server);
  return server;
}

const count = 60;
for (const name of ['one', 'two']) {
  const rows = Array.from({ length: count }, (_, q) => ({ question_id: q, prompt: `q ${q}`, answer: `${name} ${q}` }));
  writeFileSync(join(folder, `${name}.jsonl`), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}
const files = [`systems.one.answers=${join(folder, 'one.jsonl')}`, `systems.two.answers=${join(folder, 'two.jsonl')}`];
const judgedBy = (server: MockServer): string[] => [`judge.base_url=${server.baseUrl}`, 'judge.model=m'];
const verdict = (prompt: string): string => (prompt.indexOf('one ') < prompt.indexOf('two ') ? '[[A]]' : '[[B]]');

describe('fettle pk', () => {
  test('--json prints the figures that programs rely on, and nothing else', async () => {
    const server = await serve(({ body }) => ({ text: verdict(body.messages.at(-1)!.content) }));
    const { code, out, err } = await call(
      'pk',
      ...files,
      ...judgedBy(server),
      `output_dir=${join(folder, 'json')}`,
      '--json',
    );
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const results = JSON.parse(out) as PkResults;
    expect(results).toMatchObject({ wins: count, ties: 0, losses: 0, win_rate: 1, better: 'a', order_agreement: 1 });
    expect(results.ci![0]).toBeGreaterThan(0.9);
    expect(results.p_value).toBeLessThan(1e-9);
    expect(JSON.parse(readFileSync(join(folder, 'json', 'pk_results.json'), 'utf8'))).toEqual(results);
    const people = await call('pk', ...files, ...judgedBy(server), `output_dir=${join(folder, 'json')}`);
    expect(people.out).toContain('one is better: one wins 100.0 % (95 %: ');
    expect(people.out).toContain(`judge: 0 answers asked, ${2 * count} from the journal`);
    expect(server.requests).toHaveLength(2 * count);
  });

  test('killed at any moment and run again, no judgment that came is asked twice', async () => {
    const concurrency = 4;
    const server = await serve(({ body }) => ({ text: verdict(body.messages.at(-1)!.content), delayMs: 10 }));
    const output = join(folder, 'killed');
    const argv = ['pk', ...files, ...judgedBy(server), `judge.concurrency=${concurrency}`, `output_dir=${output}`];
    const main = join(import.meta.dirname, 'main.ts');
    const journal = join(output, 'journal.jsonl');
    const lines = (): number => (existsSync(journal) ? readFileSync(journal, 'utf8').split('\n').length - 1 : 0);
    const child = spawn(process.execPath, ['--import', 'tsx', main, ...argv], { stdio: 'ignore' });
    const gone = new Promise((resolve) => child.once('exit', resolve));
    while (lines() < 25 && child.exitCode === null) await sleep(3);
    child.kill('SIGKILL');
    await gone;
    const kept = lines();
    expect(kept).toBeGreaterThanOrEqual(25);
    expect(kept).toBeLessThan(2 * count);
    const before = server.requests.length;
    // At-least-once: what was under way at the kill may have been answered, and is asked again.
    expect(before - kept).toBeLessThanOrEqual(concurrency);
    const { code, out } = await call(...argv, '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ n: count, wins: count, judge: { asked: 2 * count - kept } });
    expect(server.requests).toHaveLength(before + 2 * count - kept);
    const keys = readFileSync(journal, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { key: string }).key);
    expect(new Set(keys).size).toBe(2 * count);
    expect(keys).toHaveLength(2 * count);
  });

  test('Ctrl-C keeps what is under way and ends with 130', async () => {
    let interrupt = (): void => undefined;
    const server = await serve((_, index) => {
      if (index === 5) interrupt();
      return { text: '[[C]]', delayMs: 5 };
    });
    const argv = ['pk', ...files, ...judgedBy(server), 'judge.concurrency=2', `output_dir=${join(folder, 'stopped')}`];
    const options = { onReady: (press: () => void) => (interrupt = press) };
    const { code, err } = await callWith(options, ...argv);
    expect(code).toBe(130);
    expect(err).toMatch(/stopped with [67] answers in the journal\. The same command goes on/);
    expect(server.requests.length).toBeLessThanOrEqual(7);
  });

  test('models of ours answer and judge; what they said is kept, and a model that changed is asked anew', async () => {
    const questions = join(folder, 'questions.jsonl');
    writeFileSync(questions, ['ab', 'cd'].map((prompt, id) => `${JSON.stringify({ id, prompt })}\n`).join(''));
    const argv = [
      'pk',
      `model_name_or_path=${join(folder, 'model')}`,
      'systems.base.template=alpaca',
      'systems.same.template=vicuna',
      'judge.template=alpaca',
      `questions=${questions}`,
      'template=alpaca',
      'max_new_tokens=4',
      'judge_max_new_tokens=3',
      'threads=1',
      `output_dir=${join(folder, 'own')}`,
      '--json',
    ];
    const { code, out } = await call(...argv);
    expect(code).toBe(0);
    const results = JSON.parse(out) as PkResults;
    // A random model judges nothing that could be read.
    expect(results).toMatchObject({ n: 0, win_rate: null, better: null, unreadable: 2 });
    expect(results.findings.map((finding) => finding.code)).toEqual(
      expect.arrayContaining(['answers-cut', 'judgments-unreadable', 'judgments-cut', 'nothing-judged']),
    );
    expect(results.systems[0]).toMatchObject({ name: 'base', kind: 'model', asked: 2, completionTokens: 8 });
    const again = JSON.parse((await call(...argv)).out) as PkResults;
    expect([...again.systems, again.judge].map(({ asked }) => asked)).toEqual([0, 0, 0]);
    await writeCharacterModel(join(folder, 'model'));
    const config = join(folder, 'model', 'config.json');
    writeFileSync(config, readFileSync(config, 'utf8').replace(/\}\s*$/, ',"_note":"changed"}'));
    const changed = JSON.parse((await call(...argv)).out) as PkResults;
    expect(changed.systems.map(({ asked }) => asked)).toEqual([2, 2]);
  });

  test('what is missing is said with the key, before anything is written', async () => {
    const output = join(folder, 'refused');
    expect(await call('pk', ...files)).toMatchObject({
      code: 1,
      err: 'command line: fettle pk needs judge, got none\ncommand line: fettle pk needs output_dir, got none\n',
    });
    const aspects = await call('pk', ...files, 'judge.plugin=x', `output_dir=${output}`, 'pk_form=aspects');
    expect(aspects).toMatchObject({ code: 1, err: 'command line: fettle pk needs references, got none\n' });
    const key = await call('pk', ...files, 'judge.provider=openai', 'judge.model=m', `output_dir=${output}`);
    expect(key.code).toBe(1);
    expect(key.err).toContain(
      'judge: an API key for https://api.openai.com/v1/chat/completions must be given, got none',
    );
    const dead = await serve(() => ({ status: 404, body: '{"error":"no such model"}' }));
    const missing = await call('pk', ...files, ...judgedBy(dead), `output_dir=${output}`);
    expect(missing.err).toMatch(/got 404 and .*no such model.*\. Check base_url \(it ends with \/v1\)/);
    expect(dead.requests.length).toBeLessThanOrEqual(16);
  });
});
