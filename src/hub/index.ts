export { type DatasetPart, downloadDataset } from './dataset.ts';
export { downloadFile, listFiles, repositoryFolder } from './download.ts';
export { type HubFile, type HubName, type HubOptions, type Repository, type RepositoryKind } from './hub.ts';
export { downloadModel } from './model.ts';
