// Refusals in OAuth's own shape (RFC 6749 §5.2): {error, error_description} as application/json. Its clients accept
// nothing else, so problem details stay out of /oauth2.
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { asProblem } from '../http/server.ts'

type Code =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_token'
  | 'insufficient_scope'
  | 'invalid_scope'
  | 'invalid_target'
  | 'unsupported_grant_type'
  | 'temporarily_unavailable'
  | 'server_error'

export class OAuthError extends Error {
  readonly status: number
  readonly error: Code
  readonly headers: Record<string, string>

  /** @param description only of %x20-21 / %x23-5B / %x5D-7E: no quotes, no backslash */
  constructor(status: number, error: Code, description: string, headers: Record<string, string> = {}) {
    super(description)
    this.status = status
    this.error = error
    this.headers = headers
  }
}

/** The answer to whatever was thrown on the way. */
export function oauthErrorAnswer(error: Error, route?: FastifyRequest['routeOptions']) {
  const known = error instanceof OAuthError ? error : translated(error as FastifyError, route)
  const body = JSON.stringify({ error: known.error, error_description: known.message })
  return { status: known.status, headers: known.headers, body }
}

export function sendOAuthError(
  error: FastifyError | OAuthError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const { status, headers, body } = oauthErrorAnswer(error, request.routeOptions)
  if (status >= 500) request.log.error({ err: error, req: request }, 'request failed')
  reply.code(status).headers(headers).type('application/json; charset=utf-8').send(body)
}

/** What parsers, the guard and the store refuse, said in OAuth's words. */
function translated(error: FastifyError, route?: FastifyRequest['routeOptions']): OAuthError {
  const problem = asProblem(error, route)
  const { status, headers } = problem
  const description = problem.message.replace(/["\\]/g, "'").replace(/[^\x20-\x7e]/g, '')
  if (status === 503)
    return new OAuthError(503, 'temporarily_unavailable', description, { ...headers, 'retry-after': '1' })
  if (status >= 500) return new OAuthError(500, 'server_error', 'An unexpected error.')
  if (status === 401) return new OAuthError(401, 'invalid_token', description, headers)
  if (status === 403) return new OAuthError(403, 'insufficient_scope', description, headers)
  return new OAuthError(status, 'invalid_request', description, headers)
}
