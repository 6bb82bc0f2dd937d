/** A server under way: its HTTP part in this process, its engine in another. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { basename, resolve } from 'node:path';
import type { FettleConfig } from '../config/index.ts';
import { openTextTools } from '../data/index.ts';
import { ConfigError, RunError } from '../errors.ts';
import { EngineClient, type EngineEvents } from './engine-client.ts';
import { makeHttpServer } from './http-server.ts';
import { Service } from './service.ts';

/** A server that listens. */
export interface RunningServer {
  /** `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly modelName: string;
  /** Ends connections and the engine. */
  close(): Promise<void>;
}

/** What is said while it runs. */
export type ServerEvents = Pick<EngineEvents, 'onDeath' | 'onReady'>;

function modelNameOf(config: FettleConfig): string {
  const written = config.served_model_name ?? config.base_model_name ?? config.model_name_or_path!;
  // an adapter on top is what is served
  const last = config.adapter_name_or_path.at(-1);
  return config.served_model_name ?? basename(resolve(last ?? written));
}

/**
 * Opens the model and listens.
 * @throws ConfigError `model-needed`; RunError `engine-broken` where the model does not open, `port-taken`.
 */
export async function startServer(config: FettleConfig, events: ServerEvents = {}): Promise<RunningServer> {
  if (config.model_name_or_path === undefined) throw new ConfigError('model-needed', {});
  const text = await openTextTools({ ...config, stage: 'pt' });
  const engine = await EngineClient.start(
    { config, adapters: Object.entries(config.adapters), maxRows: config.max_rows },
    events,
  );
  const modelName = modelNameOf(config);
  const service = new Service(config, modelName, text, engine, {
    maxRows: config.max_rows,
    maxWaiting: config.max_waiting,
    timeoutMs: config.request_timeout * 1000,
  });
  const key = config.api_key ?? process.env['FETTLE_API_KEY'];
  const server = makeHttpServer(service, {
    maxBodyBytes: config.max_body_size,
    maxConnections: config.max_connections,
    answerMs: config.request_timeout * 1000,
    apiKeys: key === undefined || key === '' ? [] : key.split(',').map((each) => each.trim()),
    adapterFolder: config.adapter_dir,
  });
  try {
    server.listen(config.port, config.host);
    await once(server, 'listening');
  } catch (error) {
    await engine.release();
    const reason = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new RunError('port-taken', { host: config.host, port: config.port, reason });
  }
  const { address, port, family } = server.address() as AddressInfo;
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    modelName,
    async close() {
      server.close();
      server.closeAllConnections();
      await engine.release();
    },
  };
}
