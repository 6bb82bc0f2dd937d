export { canonicalJson, type ChatAnswer, type ChatMessage, type ChatRequest, messagesKey, requestKey } from './chat.ts';
export { type Clock, systemClock } from './clock.ts';
export {
  defaultConcurrency,
  defaultTimeoutMs,
  type Endpoint,
  type EndpointOptions,
  type KeyedAnswer,
  openEndpoint,
} from './endpoint.ts';
export { type Journal, type JournalEntry, openJournal, readJournal } from './journal.ts';
export { type ProviderName, providers } from './providers.ts';
export { Account, type Price, type Spending } from './spending.ts';
