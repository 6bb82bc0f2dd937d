export { closest, editDistance } from './closest.ts';
export { formatBytes, formatCount, formatDuration, formatNumber } from './format.ts';
export { hashKey, mix32, permutation, RandomStream } from './hash.ts';
export { escapeHtml } from './html.ts';
