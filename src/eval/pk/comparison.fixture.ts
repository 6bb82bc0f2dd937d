/** Files, servers and configurations for tests of comparisons. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configFromOptions, type FettleConfig, type FettleOptions } from '../../config/index.ts';
import { type MockAnswer, type MockServer, startMockServer } from '../../endpoint/mock-server.fixture.ts';
import type { PkResults } from './results.ts';

/** Where everything is written. */
export const root = mkdtempSync(join(tmpdir(), 'fettle-pk-'));
const servers: MockServer[] = [];

/** Closes the servers and removes the files. */
export async function cleanUp(): Promise<void> {
  await Promise.all(servers.map(async (server) => server.close()));
  rmSync(root, { recursive: true, force: true });
}

/** Starts a server that answers the last message. */
export async function serve(answer: (user: string, index: number) => string | MockAnswer): Promise<MockServer> {
  const server = await startMockServer(({ body }, index) => {
    const told = answer(body.messages.at(-1)!.content, index);
    return typeof told === 'string' ? { text: told } : told;
  });
  servers.push(server);
  return server;
}

let files = 0;

/** Writes rows as a file. @returns its path */
export function jsonl(rows: readonly object[]): string {
  const path = join(root, `rows-${files++}.jsonl`);
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  return path;
}

/** A configuration with a folder of its own. */
export const config = (options: FettleOptions): FettleConfig =>
  configFromOptions({ outputDir: join(root, `out-${files++}`), maxNewTokens: 64, ...options }).config;

/** The keys of a participant that is this server. */
export const serverOf = (server: MockServer): { base_url: string; model: string } => ({
  base_url: server.baseUrl,
  model: 'm',
});

/** Answers whose quality is a number in them: what a judge with eyes sees. */
export function answersFile(count: number, quality: (question: number) => number): string {
  return jsonl(
    Array.from({ length: count }, (_, q) => ({ id: `q${q}`, prompt: `ask ${q}`, answer: `it is ${quality(q)}` })),
  );
}

/** The codes of what must be known before a result is believed. */
export const codes = (results: PkResults): string[] => results.findings.map(({ code }) => code);
