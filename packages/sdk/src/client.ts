// The REST API from a program: one call, or the pages of a list. What the paths mean is in the catalog; how a call fails
// is latchkey-error.ts. The secret goes into one header, to one origin: no redirect and no link takes it elsewhere.
import { causeOf } from './cause.ts'
import { baseUrl } from './latchkey.ts'
import { errorOf, LatchkeyError } from './latchkey-error.ts'

export { type FieldError, LatchkeyError } from './latchkey-error.ts'

export type ClientOptions = {
  /** Where Latchkey is: `https://tokens.example.com`, with or without a path. */
  readonly url: string
  /** The secret of a token. Left out: calls are made as anybody. */
  readonly token?: string | undefined
  /** Milliseconds to wait for an answer. Default: 30,000. */
  readonly timeoutMs?: number | undefined
  /** Default: `latchkey-sdk`. */
  readonly userAgent?: string | undefined
  /** Default: the platform's. */
  readonly fetch?: Fetch | undefined
}

/** What is asked of fetch: the platform's does, and whatever does no less. */
export type Fetch = (
  url: string,
  request: {
    method: string
    headers: Record<string, string>
    body?: string | Uint8Array | URLSearchParams
    /** Aborted when it took too long; what rejects then is its reason. */
    signal: AbortSignal
    redirect: 'manual'
  },
) => Promise<{ status: number; headers: AnswerHeaders; text(): Promise<string> }>

/** As many of one name are one, joined by commas. */
export type AnswerHeaders = Pick<Headers, 'get'> & Iterable<[string, string]>

export type Query = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

export type Call = {
  /** Members that are undefined are left out; a list is sent as many times as it has elements. */
  readonly query?: Query | undefined
  /** Sent as JSON; text, bytes and forms as they are. */
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** `body`: parsed if it is JSON, else text; `T` is what the caller expects it to be. */
export type Answer<T> = { readonly status: number; readonly headers: AnswerHeaders; readonly body: T }

export type Client = {
  readonly url: string
  /** @throws LatchkeyError for every answer that is no success (or 304), and when there is none */
  call<T>(method: string, path: string, call?: Call): Promise<Answer<T>>
  /** A list page by page, from the one that is asked for to the last. @throws LatchkeyError */
  pages<T>(path: string, call?: Call): AsyncGenerator<Answer<T>, void, void>
}

/** @throws TypeError that names the option that is wrong, not its value */
export function createClient(options: ClientOptions): Client {
  const url = baseUrl(options.url, 'createClient')
  const { timeoutMs = 30_000, userAgent = 'latchkey-sdk', fetch = globalThis.fetch } = options
  const own = { 'user-agent': userAgent, accept: 'application/json', ...authorization(options.token) }

  async function call<T>(method: string, path: string, { query, body, headers }: Call = {}) {
    const sent = encode(body)
    const request = {
      method,
      headers: { ...own, ...sent.headers, ...headers },
      signal: AbortSignal.timeout(timeoutMs),
      // Whoever redirects us would get the secret.
      redirect: 'manual' as const,
      ...(sent.body !== undefined && { body: sent.body }),
    }
    const { response, text } = await exchange(fetch, url + pathOf(path) + queryOf(path, query), request)
    return read<T>(response, text)
  }

  async function* pages<T>(path: string, first: Call = {}) {
    let answer = await call<T>('GET', path, first)
    yield answer
    for (let query = nextQuery(answer.headers); query !== null; query = nextQuery(answer.headers)) {
      answer = await call<T>('GET', path.split('?')[0]!, { ...first, query })
      yield answer
    }
  }

  return { url, call, pages }
}

/** Checked here, because the platform quotes a header that it does not take. */
function authorization(token: string | undefined): Record<string, string> {
  if (token === undefined) return {}
  if (!/^[\x21-\x7e]+$/.test(token)) throw new TypeError('createClient: token is no secret: it has blanks')
  return { authorization: `Bearer ${token}` }
}

function pathOf(path: string): string {
  if (!path.startsWith('/')) throw new TypeError('path must begin with "/"')
  return path
}

function queryOf(path: string, query: Query = {}): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((one) => one !== undefined)
      .map((one): [string, string] => [name, String(one)]),
  )
  if (pairs.length === 0) return ''
  return `${path.includes('?') ? '&' : '?'}${new URLSearchParams(pairs)}`
}

function encode(body: unknown): {
  headers: Record<string, string>
  body?: string | Uint8Array | URLSearchParams
} {
  if (body === undefined) return { headers: {} }
  if (typeof body === 'string' || body instanceof Uint8Array || body instanceof URLSearchParams)
    return { headers: {}, body }
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
}

async function exchange(fetch: Fetch, url: string, request: Parameters<Fetch>[1]) {
  try {
    const response = await fetch(url, request)
    return { response, text: await response.text() }
  } catch (error) {
    const { origin } = new URL(url)
    if ((error as Error).name === 'TimeoutError')
      throw new LatchkeyError(`${origin} did not answer in time.`, { status: 0, code: 'timeout' })
    const detail = `${origin} cannot be reached: ${causeOf(error)}.`
    throw new LatchkeyError(detail, { status: 0, code: 'unreachable' })
  }
}

function read<T>({ status, headers }: Awaited<ReturnType<Fetch>>, text: string): Answer<T> {
  if ([301, 302, 303, 307, 308].includes(status)) throw redirected(status, headers)
  const body = parse(status, headers, text)
  if (status >= 400) throw errorOf(status, headers, body)
  return { status, headers, body: body as T }
}

function redirected(status: number, headers: AnswerHeaders): LatchkeyError {
  const location = headers.get('location')
  const elsewhere = location && URL.canParse(location) ? new URL(location).origin : 'another path'
  const detail = `This address redirects to ${elsewhere}, where no secret is taken by itself: use that URL.`
  return new LatchkeyError(detail, { status, code: 'redirected' })
}

function parse(status: number, headers: AnswerHeaders, text: string): unknown {
  if (!/^[^;]*[/+]json\b/i.test(headers.get('content-type') ?? '')) return text
  try {
    return text === '' ? null : JSON.parse(text)
  } catch {
    throw new LatchkeyError('The answer says that it is JSON, and is not.', { status, code: 'unreadable' })
  }
}

/**
 * What to ask for next (RFC 8288), of the same path. Of the link's target only the query is taken, so that it does not
 * matter under which name Latchkey knows itself, and that no link leads away from it. Null: that was the last page.
 */
export function nextQuery(headers: AnswerHeaders): Query | null {
  const target = /<([^>]*)>\s*;[^,]*\brel="?next\b/.exec(headers.get('link') ?? '')?.[1]
  if (target === undefined) return null
  const { searchParams } = new URL(target, 'http://latchkey.invalid')
  return Object.fromEntries(
    [...new Set(searchParams.keys())].map((name) => [name, searchParams.getAll(name)]),
  )
}
