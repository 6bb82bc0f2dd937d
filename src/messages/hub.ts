/** Texts about downloads from hubs. */
export const hubMessages = {
  'hub-unreachable': (f: { url: string; reason: string }) =>
    `${f.url}: the hub must answer, got ${f.reason}. Check the connection, or set HF_ENDPOINT (MODELSCOPE_ENDPOINT) to a mirror`,
  'hub-status': (f: { url: string; status: number }) => `${f.url}: the hub must give the file, got status ${f.status}`,
  'hub-ranges': (f: { url: string; status: number; name: string }) =>
    `${f.url}: the hub must give parts of a file, so that weights can be planned before they are downloaded, got all of it (status ${f.status}). Download it first with fettle download ${f.name}`,
  'hub-missing': (f: { hub: string; kind: string; name: string; what: string }) =>
    `${f.name}: ${f.hub} must have this ${f.kind}, got no such ${f.what}. Check the name, or the token if it is private`,
  'hub-access': (f: { hub: string; name: string; status: number; variable: string }) =>
    `${f.name}: ${f.hub} must allow access, got status ${f.status}. Accept its terms on the web page and set ${f.variable} to your access token`,
  'hub-answer': (f: { url: string; requirement: string; actual: string }) =>
    `${f.url}: the hub's answer must be ${f.requirement}, got ${f.actual}`,
  'hub-checksum': (f: { file: string; expected: string; actual: string }) =>
    `${f.file}: the downloaded file must have the checksum ${f.expected}, got ${f.actual}. It was removed: try again`,
  'hub-size': (f: { file: string; expectedBytes: number; actualBytes: number }) =>
    `${f.file}: the downloaded file must be ${f.expectedBytes} bytes long, got ${f.actualBytes}. It was removed: try again`,
  'hub-path': (f: { name: string; path: string }) =>
    `${f.name}: names of files must stay inside the folder, got ${JSON.stringify(f.path.slice(0, 120))}`,
  'hub-folder': (f: { path: string; parent: string; reason: string }) =>
    `${f.path}: must be a folder here, or else the name of a model on a hub, got a path into ${f.parent} that leads nowhere. Check it, or train first. Taken as a name: ${f.reason}`,
  'hub-offline': (f: { name: string; hub: string }) =>
    `${f.name}: must be a folder here or lie whole in the cache, since ${f.hub} is not to be asked (offline), got neither. Download it first with fettle download ${f.name}, without offline and HF_HUB_OFFLINE`,
  'hub-no-weights': (f: { name: string; hub: string }) =>
    `${f.name}: the model must have weights as safetensors or pytorch_model.bin, got none on ${f.hub}. Convert it, or choose another revision`,
  'hub-no-data': (f: { name: string; subset: string | null; split: string; available: readonly string[] }) =>
    `${f.name}: the data set must have the split ${f.split}${f.subset === null ? '' : ` of the subset ${f.subset}`}, got ${
      f.available.length === 0 ? 'no data files' : f.available.slice(0, 12).join(', ')
    }. Name them with subset and split in dataset_info.json`,
};
