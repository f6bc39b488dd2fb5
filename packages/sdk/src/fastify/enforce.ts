// Lets a request in by what its route declares, before its body is read. Deny is where it starts.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { admit, type GuardOptions } from '../guard.ts'
import { type HttpRefusal, httpRefusal } from '../refusal.ts'
import type { Token, Verifier } from '../verdict.ts'
import { type Declared, declaredBy } from './access.ts'
import { answersPreflights } from './routes.ts'

/** Whether the request carries a good session of the browser: the service's own business. */
export type SessionCheck = (request: FastifyRequest) => boolean | Promise<boolean>

export type EnforceOptions = GuardOptions<FastifyRequest> & {
  readonly verifier: Verifier
  readonly session?: SessionCheck
}

type Outcome = { readonly token: Token | null } | { readonly refusal: HttpRefusal }

/** An onRequest hook. */
export function enforce(options: EnforceOptions) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> => {
    if (request.is404 || isPreflight(request)) return undefined
    const declared = declaredBy(request.routeOptions.config.auth)
    const outcome = declared ? await decide(declared, request, options) : { refusal: undeclaredRefusal }
    if ('refusal' in outcome) return send(outcome.refusal, reply)
    request.auth = outcome.token
    return undefined
  }
}

async function decide(
  declared: Declared,
  request: FastifyRequest,
  options: EnforceOptions,
): Promise<Outcome> {
  const { access } = declared
  if (access === 'public' || access === 'webhook-ingress') return { token: null }
  if (access !== 'browser-only') {
    const presented = request.headers.authorization !== undefined
    const bySession = access === 'both' && !presented && (await options.session?.(request))
    return bySession ? { token: null } : byToken(declared, request, options)
  }
  return (await options.session?.(request)) ? { token: null } : { refusal: sessionRefusal }
}

async function byToken(
  { access, scopes }: Declared,
  request: FastifyRequest,
  options: EnforceOptions,
): Promise<Outcome> {
  const { authorization } = request.headers
  const verdict = await admit(options.verifier, options, {
    request,
    authorization,
    scopes,
    address: request.ip,
  })
  if (verdict.active && !isAmong(access, verdict.token)) return { refusal: bearerRefusals[access]! }
  if (verdict.active) return { token: verdict.token }
  if (verdict.status === 503) request.log.warn({ reason: verdict.reason }, 'no verdict on a token')
  return { refusal: httpRefusal(verdict) }
}

/** Whom Latchkey takes for an admin: by the scopes with which everything of Latchkey's can be changed. */
const adminScopes = ['services:admin', 'tokens:admin']

/** Besides the scopes, and as gateways are told by /forward-auth: a service account, or an admin. */
function isAmong(access: Declared['access'], { type, scopes }: Token): boolean {
  if (access === 'internal') return type === 'service'
  return access !== 'admin-only' || adminScopes.some((scope) => scopes.includes(scope))
}

/** Carries no credentials by design (Fetch standard §4.8); it is answered by a hook before or after this one. */
function isPreflight(request: FastifyRequest): boolean {
  const asks = request.headers['access-control-request-method'] !== undefined
  return asks && answersPreflights({ methods: [request.method], url: request.routeOptions.url ?? '' })
}

const forbidden = (code: string, detail: string) =>
  httpRefusal({
    problem: { type: 'about:blank', title: 'Forbidden', status: 403, detail, message: detail, code },
    challenge: null,
    retryAfterSeconds: null,
  })

const undeclaredRefusal = forbidden('route-undeclared', 'This route does not say who may call it.')
const bearerRefusals: Partial<Record<Declared['access'], HttpRefusal>> = {
  internal: forbidden('policy-violation', 'This is for services among themselves: it needs a service token.'),
  'admin-only': forbidden('policy-violation', 'This needs the token of an admin.'),
}
const sessionRefusal = forbidden('browser-session-required', 'This needs a session of the browser.')

// As bytes: to a string Fastify would add a charset, which JSON has none of (RFC 8259 §11).
const send = ({ status, headers, body }: HttpRefusal, reply: FastifyReply) =>
  reply.code(status).headers(headers).send(Buffer.from(body))
