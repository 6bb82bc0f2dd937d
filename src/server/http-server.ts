/**
 * HTTP: reads requests within their bounds, checks the key, and answers on each address. The engine computes in another process,
 * so that this one always has time for the next client.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { isJsonObject, parseJsonText } from '../formats/index.ts';
import { ApiError } from './api-error.ts';
import { chat } from './chat.ts';
import { completions } from './completions.ts';
import { Exchange } from './exchange.ts';
import { detokenize, listModels, loadAdapter, tokenize, tokenizerInfo, unloadAdapter } from './other-routes.ts';
import { RequestFields } from './request-fields.ts';
import type { Service } from './service.ts';

/** Bounds of connections. */
export interface HttpLimits {
  readonly maxBodyBytes: number;
  readonly maxConnections: number;
  /** Milliseconds that an answer may take. */
  readonly answerMs: number;
}

export interface HttpOptions extends HttpLimits {
  /** Keys that are let in; none: everybody. */
  readonly apiKeys: readonly string[];
  /** Folder below which adapters may be loaded. */
  readonly adapterFolder: string | undefined;
}

/** A client must have sent its headers, and its whole request, within these times. */
const headersTimeoutMs = 10_000;
const requestTimeoutMs = 60_000;
const keepAliveMs = 5_000;
/** A client that takes nothing of its answer for so long after the longest time of an answer is gone. */
const silentMs = 60_000;
/** Headers in all: Node's own bound is the same. */
const maxHeaderBytes = 16 * 1024;
type Handler = (service: Service, exchange: Exchange, options: HttpOptions) => Promise<void> | void;

const answer =
  (make: (service: Service, exchange: Exchange, options: HttpOptions) => unknown): Handler =>
  async (service, exchange, options) => {
    exchange.json(200, await make(service, exchange, options));
  };

const routes: Readonly<Record<string, Readonly<Partial<Record<'GET' | 'POST', Handler>>>>> = {
  '/v1/completions': { POST: completions },
  '/v1/chat/completions': { POST: chat },
  '/v1/models': { GET: answer(listModels) },
  '/tokenize': { POST: answer(tokenize) },
  '/detokenize': { POST: answer(detokenize) },
  '/tokenizer_info': { GET: answer(tokenizerInfo) },
  '/v1/load_lora_adapter': {
    POST: answer((service, exchange, { adapterFolder }) => loadAdapter(service, exchange, adapterFolder)),
  },
  '/v1/unload_lora_adapter': {
    POST: answer((service, exchange, { adapterFolder }) => unloadAdapter(service, exchange, adapterFolder)),
  },
};

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/** Makes the server; it listens when the caller says so. */
export function makeHttpServer(service: Service, options: HttpOptions): Server {
  const keys = options.apiKeys.map(digest);
  const isAllowed = (request: IncomingMessage): boolean => {
    if (keys.length === 0) return true;
    const given = digest(/^Bearer\s+(.*)$/i.exec(request.headers.authorization ?? '')?.[1] ?? '');
    // all are compared, so that the time does not tell which one was near
    return keys.map((key) => timingSafeEqual(key, given)).includes(true);
  };
  const server = createServer(
    {
      headersTimeout: headersTimeoutMs,
      requestTimeout: requestTimeoutMs,
      keepAliveTimeout: keepAliveMs,
      maxHeaderSize: maxHeaderBytes,
    },
    (request, response) => void serve(service, options, isAllowed, request, response),
  );
  server.maxConnections = options.maxConnections;
  server.setTimeout(options.answerMs + silentMs);
  return server;
}

async function serve(
  service: Service,
  options: HttpOptions,
  isAllowed: (request: IncomingMessage) => boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = performance.now();
  const path = (request.url ?? '/').split('?')[0]!;
  const known = Object.hasOwn(routes, path) || path === '/health' || path === '/metrics' ? path : 'other';
  response.on('error', () => {});
  response.on('close', () => {
    // 499, as nginx counts clients that went away
    const status = response.writableFinished ? response.statusCode : 499;
    service.metrics.request(known, status, (performance.now() - started) / 1000);
  });
  let exchange: Exchange | undefined;
  try {
    if (path === '/health') {
      request.resume();
      const isReady = service.engine.isReady;
      sendJson(response, isReady ? 200 : 503, { status: isReady ? 'ok' : 'engine not ready' });
      return;
    }
    if (!isAllowed(request)) {
      throw new ApiError(
        401,
        'authentication_error',
        'the Authorization header must be "Bearer" and a valid key',
        null,
        'invalid_api_key',
      );
    }
    if (path === '/metrics') {
      request.resume();
      response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4' });
      response.end(service.metrics.text(service.load, service.engine.isReady));
      return;
    }
    const handlers = Object.hasOwn(routes, path) ? routes[path]! : undefined;
    if (!handlers) throw new ApiError(404, 'not_found_error', `no such address: ${path.slice(0, 100)}`);
    const handler = handlers[request.method as 'GET'];
    if (!handler) {
      response.setHeader('allow', Object.keys(handlers).join(', '));
      throw new ApiError(
        405,
        'invalid_request_error',
        `${path} takes ${Object.keys(handlers).join(', ')}, got ${request.method}`,
      );
    }
    const body = request.method === 'POST' ? await readBody(request, options.maxBodyBytes) : {};
    const client = request.headers.authorization ?? request.socket.remoteAddress ?? '';
    exchange = new Exchange(new RequestFields(body), client, response);
    await handler(service, exchange, options);
  } catch (error) {
    refuse(request, response, error, exchange);
  }
}

function sendJson(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}

function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  exchange: Exchange | undefined,
): void {
  const refusal =
    error instanceof ApiError
      ? error
      : new ApiError(500, 'server_error', 'an unexpected error; the log of the server shows it');
  if (!(error instanceof ApiError)) console.error(error);
  if (response.destroyed || response.writableEnded) return;
  if (exchange?.isStreaming === true || response.headersSent) {
    // the status has gone out: the error is the last part
    response.end(`data: ${JSON.stringify(refusal.body)}\n\n`);
    return;
  }
  // what has not been read is not waited for
  if (!request.complete) {
    response.setHeader('connection', 'close');
    response.on('finish', () => request.destroy());
  }
  if (refusal.status === 429) response.setHeader('retry-after', '1');
  if (refusal.status === 401) response.setHeader('www-authenticate', 'Bearer');
  sendJson(response, refusal.status, refusal.body);
}

async function readBody(request: IncomingMessage, maxBytes: number): Promise<Record<string, never>> {
  const tooLarge = (): ApiError => new ApiError(413, 'invalid_request_error', `a body may have ${maxBytes} bytes`);
  const type = (request.headers['content-type'] ?? 'application/json').split(';')[0]!.trim().toLowerCase();
  if (type !== 'application/json') {
    throw new ApiError(
      415,
      'invalid_request_error',
      `the content type must be application/json, got ${type.slice(0, 60)}`,
    );
  }
  if (request.headers['content-encoding'] !== undefined) {
    throw new ApiError(415, 'invalid_request_error', 'the body must not be compressed');
  }
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge();
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      size += (chunk as Buffer).length;
      if (size > maxBytes) throw tooLarge();
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, 'invalid_request_error', 'the request ended before its body');
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new ApiError(400, 'invalid_request_error', 'the body must be UTF-8');
  }
  let body: unknown;
  try {
    body = parseJsonText(text, 'body');
  } catch (error) {
    throw new ApiError(400, 'invalid_request_error', error instanceof Error ? error.message : 'the body must be JSON');
  }
  if (!isJsonObject(body as never)) throw new ApiError(400, 'invalid_request_error', 'the body must be a JSON object');
  return body as Record<string, never>;
}
