/** A chat server on 127.0.0.1 whose answers a test chooses, and which counts what it is asked. */
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChatMessage } from './chat.ts';

/** The body of a request as the server sees it. */
export interface MockBody {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
}

/** One request. */
export interface MockRequest {
  readonly headers: IncomingHttpHeaders;
  readonly body: MockBody;
}

/** What the server answers: a chat completion of `text`, or a status and a body of its own. */
export interface MockAnswer {
  readonly text?: string;
  readonly reasoning?: string;
  readonly delayMs?: number;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A running server. */
export interface MockServer {
  readonly baseUrl: string;
  readonly requests: readonly MockRequest[];
  readonly mostAtOnce: number;
  close(): Promise<void>;
}

function completion(text: string, reasoning: string | undefined, prompt: string): string {
  return JSON.stringify({
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: text,
          ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
        },
        finish_reason: 'stop',
      },
    ],
    // A token a character: enough for an account.
    usage: { prompt_tokens: prompt.length, completion_tokens: text.length },
  });
}

/** Starts a server. */
export async function startMockServer(
  answer: (request: MockRequest, index: number) => MockAnswer,
): Promise<MockServer> {
  const requests: MockRequest[] = [];
  let [atOnce, mostAtOnce] = [0, 0];
  const server = createServer((incoming, outgoing) => {
    void (async () => {
      mostAtOnce = Math.max(mostAtOnce, ++atOnce);
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk as Buffer);
      const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as MockBody;
      const request = { headers: incoming.headers, body };
      requests.push(request);
      const reply = answer(request, requests.length - 1);
      if (reply.delayMs !== undefined) await sleep(reply.delayMs);
      const prompt = body.messages.map(({ content }) => content).join('');
      outgoing.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers });
      outgoing.end(reply.body ?? completion(reply.text ?? '', reply.reasoning, prompt));
      atOnce--;
    })();
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    get mostAtOnce() {
      return mostAtOnce;
    },
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}
