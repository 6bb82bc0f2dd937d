/** What differs between providers of OpenAI's chat interface, as data. */

/** Names of the body's fields, false where the provider refuses a field. */
export interface RequestFields {
  readonly maxTokens: 'max_tokens' | 'max_completion_tokens';
  readonly temperature: boolean;
  readonly topP: boolean;
  readonly seed: boolean;
}

/** One provider. */
export interface Provider {
  readonly baseUrl?: string;
  /** Environment variable of its key. */
  readonly keyVariable: string;
  /** Whether it answers without a key too. */
  readonly keyOptional: boolean;
  readonly fields: RequestFields;
  /** Models whose fields differ, by the beginning of their names. */
  readonly models?: readonly { readonly pattern: RegExp; readonly fields: Partial<RequestFields> }[];
  /** Codes in the body of a 429 that no waiting cures. */
  readonly hopelessCodes: readonly string[];
}

const common: RequestFields = { maxTokens: 'max_tokens', temperature: true, topP: true, seed: true };

export const providers = {
  openai: {
    baseUrl: 'https://api.openai.com/v1',
    keyVariable: 'OPENAI_API_KEY',
    keyOptional: false,
    fields: { ...common, maxTokens: 'max_completion_tokens' },
    // Models that think first take no sampling settings.
    models: [{ pattern: /^(?:o\d|gpt-5)/, fields: { temperature: false, topP: false, seed: false } }],
    hopelessCodes: ['insufficient_quota', 'billing_hard_limit_reached'],
  },
  deepseek: {
    baseUrl: 'https://api.deepseek.com',
    keyVariable: 'DEEPSEEK_API_KEY',
    keyOptional: false,
    fields: { ...common, seed: false },
    hopelessCodes: [],
  },
  dashscope: {
    baseUrl: 'https://dashscope.aliyuncs.com/compatible-mode/v1',
    keyVariable: 'DASHSCOPE_API_KEY',
    keyOptional: false,
    fields: common,
    hopelessCodes: ['Arrearage', 'insufficient_quota'],
  },
  vllm: {
    baseUrl: 'http://127.0.0.1:8000/v1',
    keyVariable: 'VLLM_API_KEY',
    keyOptional: true,
    fields: common,
    hopelessCodes: [],
  },
  ollama: {
    baseUrl: 'http://127.0.0.1:11434/v1',
    keyVariable: 'OLLAMA_API_KEY',
    keyOptional: true,
    fields: common,
    hopelessCodes: [],
  },
  /** Any other server of this interface, `fettle serve` among them: its address must be given. */
  compatible: {
    keyVariable: 'FETTLE_API_KEY',
    keyOptional: true,
    fields: common,
    hopelessCodes: ['insufficient_quota'],
  },
} as const satisfies Readonly<Record<string, Provider>>;

/** Name of a provider. */
export type ProviderName = keyof typeof providers;

/** The fields that a model of a provider takes. */
export function fieldsOf(provider: Provider, model: string): RequestFields {
  const special = provider.models?.find(({ pattern }) => pattern.test(model));
  return { ...provider.fields, ...special?.fields };
}
