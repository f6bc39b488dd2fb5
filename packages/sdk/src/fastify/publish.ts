// Sends the document to Latchkey's catalog when the service is ready. A service works without being in the catalog, so
// trouble is logged and tried again, and never stops it.
import type { FastifyBaseLogger } from 'fastify'
import { causeOf } from '../cause.ts'
import type { Document } from './document.ts'

export type PublishOptions = {
  /** The service's id in Latchkey. */
  readonly service: string
  /** A bearer token with `catalog:publish`, or how to get it. */
  readonly token: string | (() => string | Promise<string>)
  /** Where Latchkey is. Default: where the verifier asks. */
  readonly url?: string
  /** Milliseconds to wait before each further attempt. Default: 1,000, 5,000 and 30,000. */
  readonly retryAfterMs?: readonly number[]
}

const timeoutMs = 3_000

/**
 * Resolves after the first attempt, so that a service which is ready is in the catalog if that was possible at all; what
 * remains to be done goes on in the background until `stopped`.
 */
export async function publish(
  document: Document,
  url: string,
  options: PublishOptions,
  log: FastifyBaseLogger,
  stopped: AbortSignal,
): Promise<void> {
  const [next, ...later] = options.retryAfterMs ?? [1_000, 5_000, 30_000]
  const failure = await attempt(document, url, options, log)
  if (failure === null || stopped.aborted) return
  const again = failure.worthRetrying && next !== undefined
  log.warn(
    { service: options.service, failure: failure.what, again },
    'the API was not published to the catalog',
  )
  if (!again) return
  const retry = () => void publish(document, url, { ...options, retryAfterMs: later }, log, stopped)
  const timer = setTimeout(retry, next).unref()
  stopped.addEventListener('abort', () => clearTimeout(timer), { once: true })
}

type Failure = { readonly what: string; readonly worthRetrying: boolean }

async function attempt(
  document: Document,
  url: string,
  { service, token }: PublishOptions,
  log: FastifyBaseLogger,
): Promise<Failure | null> {
  try {
    const bearer = typeof token === 'function' ? await token() : token
    const response = await fetch(`${url}/api/v1/services/${encodeURIComponent(service)}/openapi`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
      body: JSON.stringify(document),
      redirect: 'error',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const answer = (await response.json().catch(() => ({}))) as Record<string, unknown>
    if (!response.ok) return refused(response.status, answer)
    log.info(
      { service, changed: answer['changed'], digest: answer['digest'] },
      'the API is published to the catalog',
    )
    return null
  } catch (error) {
    return { what: causeOf(error), worthRetrying: true }
  }
}

/** Latchkey says what is wrong with a document, and repeats no secret. */
function refused(status: number, answer: Record<string, unknown>): Failure {
  const detail = typeof answer['detail'] === 'string' ? `: ${answer['detail']}` : ''
  return { what: `${status}${detail}`, worthRetrying: status >= 500 || status === 429 }
}
