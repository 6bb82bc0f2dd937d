/** The hubs that Fettle downloads from: their addresses, and what their answers look like. */
import { FormatError } from '../errors.ts';

/** Where a repository stands. */
export type HubName = 'huggingface' | 'modelscope';
/** What a repository holds. */
export type RepositoryKind = 'model' | 'dataset';

/** A repository on a hub. */
export interface Repository {
  readonly hub: HubName;
  readonly kind: RepositoryKind;
  /** `organisation/name`. */
  readonly name: string;
  /** Branch, tag or commit; left out means the hub's main branch. */
  readonly revision?: string | undefined;
}

/** A file of a repository. */
export interface HubFile {
  /** Path inside the repository. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256?: string;
  /** SHA-1 of the file as a git blob, where the hub gives no SHA-256. */
  readonly gitSha1?: string;
}

/** What is asked of the surroundings. All may be left out. */
export interface HubOptions {
  /** The hub's address; else HF_ENDPOINT or MODELSCOPE_ENDPOINT, else the public one. */
  readonly endpoint?: string | undefined;
  /** Access token; else HF_TOKEN or MODELSCOPE_API_TOKEN. */
  readonly token?: string | undefined;
  /** Folder of downloaded files; else HF_HUB_CACHE, HF_HOME/hub, ~/.cache/huggingface/hub, or MODELSCOPE_CACHE. */
  readonly cacheFolder?: string | undefined;
  /** Asks no hub; else HF_HUB_OFFLINE. */
  readonly offline?: boolean | undefined;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** In place of the global `fetch`, for tests. */
  readonly fetch?: typeof globalThis.fetch;
  /** Bytes that have arrived of a file, now and then. */
  readonly onProgress?: (path: string, bytes: number, totalBytes: number) => void;
  /** Milliseconds before the first repetition of a failed request; doubled each time. */
  readonly retryDelayMs?: number;
}

/** What is special about a hub. */
export interface HubSettings {
  /** Its name for people. */
  readonly title: string;
  readonly defaultEndpoint: string;
  readonly endpointVariable: string;
  readonly tokenVariable: string;
  readonly mainBranch: string;
  /** Address of what tells the commit of a revision, where the hub keeps commits apart. */
  commitUrl?(endpoint: string, repository: Repository, revision: string): string;
  /** Address of the list of files, and of the next part of it. */
  listUrl(endpoint: string, repository: Repository, revision: string): string;
  /** The files of an answer. */
  readFiles(answer: unknown, url: string): HubFile[];
  fileUrl(endpoint: string, repository: Repository, revision: string, path: string): string;
}

type Fields = Readonly<Record<string, unknown>>;

const isFields = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function requireList(value: unknown, url: string): Fields[] {
  if (Array.isArray(value)) return value.filter(isFields);
  throw new FormatError('hub-answer', {
    url,
    requirement: 'a list of files',
    actual: value === null ? 'null' : typeof value,
  });
}

/** A checksum in hexadecimal digits, which also serve as a file name. */
const checksum = (value: unknown, digits: number): string | undefined => {
  const hex = text(value)?.replace(/^sha256:/, '');
  return hex !== undefined && hex.length === digits && /^[0-9a-f]+$/.test(hex) ? hex : undefined;
};
const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const encodePath = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

const huggingface: HubSettings = {
  title: 'Hugging Face',
  defaultEndpoint: 'https://huggingface.co',
  endpointVariable: 'HF_ENDPOINT',
  tokenVariable: 'HF_TOKEN',
  mainBranch: 'main',
  commitUrl: (endpoint, { kind, name }, revision) =>
    `${endpoint}/api/${kind}s/${name}/revision/${encodeURIComponent(revision)}`,
  listUrl: (endpoint, { kind, name }, revision) =>
    `${endpoint}/api/${kind}s/${name}/tree/${encodeURIComponent(revision)}?recursive=true`,
  readFiles: (answer, url) =>
    requireList(answer, url)
      .filter(({ type, path }) => type === 'file' && typeof path === 'string')
      .map(({ path, size, oid, lfs }): HubFile => {
        const file = { path: path as string, bytes: Number(size) };
        const sha256 = isFields(lfs) ? checksum(lfs['oid'], 64) : undefined;
        if (sha256 !== undefined) return { ...file, bytes: Number((lfs as Fields)['size'] ?? size), sha256 };
        const gitSha1 = checksum(oid, 40);
        return gitSha1 === undefined ? file : { ...file, gitSha1 };
      }),
  fileUrl: (endpoint, { kind, name }, revision, path) =>
    `${endpoint}/${kind === 'dataset' ? 'datasets/' : ''}${name}/resolve/${encodeURIComponent(revision)}/${encodePath(path)}`,
};

const modelscope: HubSettings = {
  title: 'ModelScope',
  defaultEndpoint: 'https://modelscope.cn',
  endpointVariable: 'MODELSCOPE_ENDPOINT',
  tokenVariable: 'MODELSCOPE_API_TOKEN',
  mainBranch: 'master',
  listUrl: (endpoint, { kind, name }, revision) =>
    `${endpoint}/api/v1/${kind}s/${name}/repo/${kind === 'dataset' ? 'tree' : 'files'}?Revision=${encodeURIComponent(revision)}&Recursive=true`,
  readFiles: (answer, url) => {
    const data = isFields(answer) ? answer['Data'] : undefined;
    return requireList(isFields(data) ? data['Files'] : data, url)
      .filter(({ Type, Path }) => Type !== 'tree' && typeof Path === 'string')
      .map(({ Path, Size, Sha256 }): HubFile => {
        const file = { path: Path as string, bytes: Number(Size) };
        const sha256 = checksum(Sha256, 64);
        return sha256 === undefined ? file : { ...file, sha256 };
      });
  },
  fileUrl: (endpoint, { kind, name }, revision, path) =>
    `${endpoint}/api/v1/${kind}s/${name}/repo?Revision=${encodeURIComponent(revision)}&FilePath=${encodeURIComponent(path)}`,
};

/** The hubs by name. */
export const hubs: Readonly<Record<HubName, HubSettings>> = { huggingface, modelscope };

/** A hub's address without a slash at its end. */
export function endpointOf(hub: HubName, { endpoint, env = process.env }: HubOptions): string {
  const { endpointVariable, defaultEndpoint } = hubs[hub];
  return (endpoint ?? env[endpointVariable] ?? defaultEndpoint).replace(/\/+$/, '');
}

/** Whether no hub may be asked. */
export function isOffline({ offline, env = process.env }: HubOptions): boolean {
  return offline ?? ['1', 'true', 'yes', 'on'].includes((env['HF_HUB_OFFLINE'] ?? '').toLowerCase());
}
