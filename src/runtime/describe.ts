/** What the runtime on this machine is: for `fettle doctor` and for the record of a run. */
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { env, listSupportedBackends } from 'onnxruntime-node';

/** The loaded runtime. */
export interface RuntimeDescription {
  /** onnxruntime's version. */
  readonly version: string;
  /** Names of the devices that its build knows, and whether what each needs stands beside it. */
  readonly backends: readonly { readonly name: string; readonly hasLibrary: boolean }[];
}

/** Whether onnxruntime's library for a device that is not part of its main one lies in the package. */
function hasProviderLibrary(name: string): boolean {
  const folder = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const file = new RegExp(`^(lib)?onnxruntime_providers_${name}\\.(so|dll|dylib)$`);
  return readdirSync(join(folder, 'bin'), { recursive: true, encoding: 'utf8' }).some((path) =>
    file.test(basename(path)),
  );
}

/** Describes the runtime; that this module could be imported means that its library loads. */
export function describeRuntime(): RuntimeDescription {
  const backends = listSupportedBackends().map(({ name, bundled }) => ({
    name,
    hasLibrary: bundled || hasProviderLibrary(name),
  }));
  return { version: env.versions.node ?? env.versions.common, backends };
}
