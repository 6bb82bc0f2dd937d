/** What the runtime on this machine is: for `fettle doctor` and for the record of a run. */
import { env, listSupportedBackends } from 'onnxruntime-node';

/** The loaded runtime. */
export interface RuntimeDescription {
  /** onnxruntime's version. */
  readonly version: string;
  /** Names of the devices that its build knows; `cuda` also needs its library beside the package. */
  readonly backends: readonly { readonly name: string; readonly bundled: boolean }[];
}

/** Describes the runtime; that this module could be imported means that its library loads. */
export function describeRuntime(): RuntimeDescription {
  return { version: env.versions.node ?? env.versions.common, backends: listSupportedBackends() };
}
