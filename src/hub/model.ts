/** The files of a model on a hub that Fettle reads: configuration, tokenizer, template and safetensors weights. */
import { downloadFile, listFiles, repositoryFolder } from './download.ts';
import { type HubFile, type HubOptions, hubs, type Repository } from './hub.ts';
import { FileError } from '../errors.ts';

const small =
  /(^|\/)(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab|chat_template|adapter_config|fettle_template|model\.safetensors\.index)\.json$|(^|\/)(merges\.txt|chat_template\.jinja|LICENSE[^/]*|README\.md|NOTICE[^/]*)$|\.(model|tiktoken)$/i;
const weights = /\.safetensors$/i;

/** Which files of a model are needed: those at its top level; consolidated copies of the weights are left out. */
export function chooseModelFiles(files: readonly HubFile[]): HubFile[] {
  const top = files.filter(({ path }) => !path.includes('/'));
  const tensors = top.filter(({ path }) => weights.test(path));
  const sharded = tensors.filter(({ path }) => /-\d+-of-\d+\.safetensors$/i.test(path));
  const own = tensors.filter(({ path }) => /^(model|adapter_model)/i.test(path));
  const chosen = sharded.length > 0 ? sharded : own.length > 0 ? own : tensors;
  return [...top.filter(({ path }) => small.test(path)), ...chosen].sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Downloads a model and returns its folder, which is a `model_name_or_path`.
 * @throws FileError `hub-no-weights` where it has no safetensors, and what `listFiles` and `downloadFile` throw.
 */
export async function downloadModel(
  name: string,
  hub: Repository['hub'],
  revision: string | undefined,
  options: HubOptions = {},
): Promise<string> {
  const repository: Repository = { hub, kind: 'model', name, revision };
  const files = chooseModelFiles(await listFiles(repository, options));
  if (!files.some(({ path }) => weights.test(path))) {
    throw new FileError('hub-no-weights', { name, hub: hubs[hub].title });
  }
  for (const file of files) await downloadFile(repository, file, options);
  return repositoryFolder(repository, options);
}
