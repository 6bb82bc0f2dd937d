/** A refusal in OpenAI's form: status, type, message, and the field of the request that it is about. */

/** OpenAI's names of kinds of errors. */
export type ApiErrorType =
  | 'invalid_request_error'
  | 'authentication_error'
  | 'not_found_error'
  | 'rate_limit_error'
  | 'timeout_error'
  | 'server_error';

export class ApiError extends Error {
  readonly status: number;
  readonly type: ApiErrorType;
  readonly param: string | null;
  readonly code: string | null;

  constructor(
    status: number,
    type: ApiErrorType,
    message: string,
    param: string | null = null,
    code: string | null = null,
  ) {
    super(message);
    this.status = status;
    this.type = type;
    this.param = param;
    this.code = code;
  }

  /** What is sent. */
  get body(): { readonly error: Readonly<Record<string, string | null>> } {
    const { message, type, param, code } = this;
    return { error: { message, type, param, code } };
  }
}

/** A wrong field of a request. */
export function badField(param: string, requirement: string, value: unknown): ApiError {
  const shown = value === undefined ? 'nothing' : (JSON.stringify(value) ?? typeof value);
  const got = shown.length > 80 ? `${shown.slice(0, 80)}...` : shown;
  return new ApiError(400, 'invalid_request_error', `${param} must be ${requirement}, got ${got}`, param);
}
