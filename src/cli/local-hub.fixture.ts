/** A hub on this machine that serves a folder as a model, as Hugging Face does, and counts what it sends. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

const commit = '0123456789abcdef0123456789abcdef01234567';

/** A running hub. */
export interface LocalHub {
  readonly endpoint: string;
  /** Bytes of each file that were sent. */
  readonly sent: Map<string, number>;
  /** What it does not understand. */
  ignoresRanges: boolean;
  close(): Promise<void>;
}

/** Serves `folder` under every name. */
export async function startLocalHub(folder: string): Promise<LocalHub> {
  const sent = new Map<string, number>();
  const hub = { ignoresRanges: false };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost');
    if (pathname.includes('/revision/')) return void response.end(JSON.stringify({ sha: commit }));
    if (pathname.includes('/tree/')) {
      const files = readdirSync(folder).map((path) => {
        const bytes = readFileSync(join(folder, path));
        const oid = createHash('sha256').update(bytes).digest('hex');
        return { type: 'file', path, size: 130, oid: 'x', lfs: { oid, size: bytes.length } };
      });
      return void response.end(JSON.stringify(files));
    }
    const path = /\/resolve\/[^/]+\/(.*)$/.exec(pathname)?.[1];
    if (path === undefined || !readdirSync(folder).includes(path)) return void response.writeHead(404).end();
    const all = readFileSync(join(folder, path));
    const range = hub.ignoresRanges ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const [from, end] = range ? [Number(range[1]), range[2] ? Number(range[2]) + 1 : all.length] : [0, all.length];
    const body = all.subarray(from, end);
    sent.set(path, (sent.get(path) ?? 0) + body.length);
    const headers = range ? { 'content-range': `bytes ${from}-${from + body.length - 1}/${all.length}` } : {};
    response.writeHead(range ? 206 : 200, { ...headers, 'content-length': body.length }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return Object.assign(hub, {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sent,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  });
}
