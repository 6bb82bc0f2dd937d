export { hubCacheFolder } from './cache.ts';
export { type DatasetPart, downloadDataset } from './dataset.ts';
export { downloadFile, downloadFiles, type Listing, listFiles } from './download.ts';
export { type HubFile, type HubName, type HubOptions, type Repository, type RepositoryKind } from './hub.ts';
export { type OutlinedConfig, type PendingDownload, withOutline } from './outline.ts';
export { downloadModel, hubOf, type ModelPart, type ModelSource, withLocalModels } from './model.ts';
