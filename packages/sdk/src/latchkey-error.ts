// Every way in which a call of the REST API fails, as one type: what Latchkey answered (RFC 9457, or RFC 6749 §5.2 from
// its OAuth endpoints), or that it gave no answer. Never has a secret in it.

export type FieldError = {
  readonly pointer?: string
  readonly parameter?: string
  readonly detail: string
}

type Details = {
  readonly status: number
  readonly code: string
  readonly requestId: string | null
  readonly page: string | null
  readonly errors: readonly FieldError[]
  readonly requiredScopes: readonly string[]
  readonly retryAfterSeconds: number | null
  readonly body: unknown
}

export class LatchkeyError extends Error {
  override readonly name = 'LatchkeyError'
  /** The HTTP status; 0 when there was no answer. */
  readonly status: number
  /** One of the catalog's problem codes, or `unreachable`, `timeout`, `redirected`, `unreadable`. */
  readonly code: string
  readonly requestId: string | null
  /** URL of a page about this kind of problem. */
  readonly page: string | null
  readonly errors: readonly FieldError[]
  /** With code `insufficient-scope`: all that the call needs. */
  readonly requiredScopes: readonly string[]
  readonly retryAfterSeconds: number | null
  /** The answer as it came, parsed if it is JSON; null when there was none. */
  readonly body: unknown

  /** @param detail what is wrong and what to change, for people */
  constructor(detail: string, details: Partial<Details> & Pick<Details, 'status' | 'code'>) {
    super(detail)
    this.status = details.status
    this.code = details.code
    this.requestId = details.requestId ?? null
    this.page = details.page ?? null
    this.errors = details.errors ?? []
    this.requiredScopes = details.requiredScopes ?? []
    this.retryAfterSeconds = details.retryAfterSeconds ?? null
    this.body = details.body ?? null
  }

  /** The same as `message`, by the name that the API gives it. */
  get detail(): string {
    return this.message
  }
}

/** @param body parsed, if it was JSON */
export function errorOf(status: number, headers: Pick<Headers, 'get'>, body: unknown): LatchkeyError {
  const said = isObject(body) ? body : {}
  const text = (name: string) => (typeof said[name] === 'string' ? said[name] : null)
  const list = (name: string) => (Array.isArray(said[name]) ? said[name] : [])
  const code = text('code') ?? text('error') ?? 'unreadable'
  const detail = text('detail') ?? text('error_description') ?? `The answer was ${status} without a reason.`
  return new LatchkeyError(detail, {
    status,
    code,
    requestId: text('requestId') ?? headers.get('x-request-id'),
    page: text('type'),
    errors: list('errors').filter(isFieldError),
    requiredScopes: list('requiredScopes').filter((scope) => typeof scope === 'string'),
    retryAfterSeconds: secondsOf(headers.get('retry-after')),
    body,
  })
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null
const isFieldError = (value: unknown): value is FieldError =>
  isObject(value) && typeof value['detail'] === 'string'

function secondsOf(retryAfter: string | null): number | null {
  return retryAfter !== null && /^\d{1,6}$/.test(retryAfter) ? Number(retryAfter) : null
}
