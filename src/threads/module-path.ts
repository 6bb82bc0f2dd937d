/** Finding our own modules as files, in the TypeScript sources and in the compiled package alike. */
import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Worker } from 'node:worker_threads';

/** The URL of a module beside `base` (an `import.meta.url`), with the extension that `base` has. */
export function siblingModule(base: string, name: string): URL {
  return new URL(`./${name}${base.endsWith('.ts') ? '.ts' : '.js'}`, base);
}

/** The arguments with which `node` runs `module` as its program: with a loader where it is TypeScript. */
export function nodeArguments(module: URL): string[] {
  if (!module.pathname.endsWith('.ts')) return [fileURLToPath(module)];
  const loader = createRequire(import.meta.url).resolve('tsx/esm');
  return ['--import', pathToFileURL(loader).href, fileURLToPath(module)];
}

/** Starts `module` as a worker thread. `--import` does not reach a worker's own module, so its loader is set up inside. */
export function startWorker(module: URL, workerData: unknown): Worker {
  if (!module.pathname.endsWith('.ts')) return new Worker(module, { workerData });
  const loader = new URL(
    './dist/esm/api/index.mjs',
    pathToFileURL(createRequire(import.meta.url).resolve('tsx/package.json')),
  );
  const start = `import(${JSON.stringify(loader.href)})
    .then(({ register }) => register())
    .then(() => import(${JSON.stringify(module.href)}));`;
  return new Worker(start, { eval: true, workerData });
}
