// The door for our own API: every route declares a policy, or the server does not start; the guard that enforces
// it is put in front of the handler here, from that declaration. What a token may do is judged by verify.
import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { type ClientIp, clientIp } from '../http/client-ip.ts'
import { Problem } from '../http/problem.ts'
import type { App } from '../http/server.ts'
import type { Credentials, ServiceIdentity } from '../identity/credentials.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import type { Facts } from '../policy/facts.ts'
import { type Asker, judge, type Question, unknownToken, type Verdict } from '../policy/judge.ts'
import type { Range } from '../policy/network.ts'
import type { Verify } from '../verify/verify.ts'
import { readAuthorization } from './authorization.ts'
import type { RoutePolicy } from './policy.ts'
import type { Principal } from './principal.ts'

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | null
    clientIp: ClientIp
  }
}

export type GuardDependencies = {
  readonly verify: Verify
  /** `header`: the Authorization header that they came in, if they did, to be recalled by. */
  readonly checkCredentials: Credentials['check']
  readonly recallHeader: Credentials['recall']
  readonly serviceById: (id: string) => Promise<ServiceIdentity | null>
  readonly trustedProxies: readonly Range[]
  readonly issuer: string
}

/** To be called before any route is registered. */
export function installGuard(app: App, dependencies: GuardDependencies): void {
  const routes: RouteOptions[] = []
  const enforced = new Set<RouteOptions>()
  app.decorateRequest('principal', null)
  app.decorateRequest('clientIp')
  app.addHook('onRequest', (request, _reply, done) => {
    request.clientIp = clientIp(request.raw, dependencies.trustedProxies)
    done()
  })
  app.addHook('onRoute', (route) => {
    routes.push(route)
    if (!route.config?.policy) return
    enforce(route, route.config.policy, dependencies)
    enforced.add(route)
  })
  app.addHook('onReady', async () => {
    // A policy that was declared too late to be enforced may only be one that asks for nothing.
    const open = routes.filter((route) => !enforced.has(route) && route.config?.policy?.access !== 'public')
    const names = open.map((route) => `${route.method} ${route.url}`)
    if (names.length > 0) throw new Error(`These routes declare no policy: ${names.join(', ')}`)
  })
}

function enforce(route: RouteOptions, policy: RoutePolicy, dependencies: GuardDependencies): void {
  if (policy.access === 'public') return
  // OAuth callers may identify themselves in the form, so theirs is read first; their door does the rest.
  if (policy.access === 'service' && policy.credentialsIn === 'header or form') return
  const admit = async (request: FastifyRequest, _reply: FastifyReply) => {
    request.principal = await authenticate(request, policy, dependencies)
  }
  route.onRequest = [admit, ...[route.onRequest ?? []].flat()]
}

/** Who a request comes from, by a policy; what the hook in front of each route does. @throws Problem */
export async function authenticate(
  request: FastifyRequest,
  policy: Exclude<RoutePolicy, { access: 'public' }>,
  dependencies: GuardDependencies,
): Promise<Principal> {
  const given = readAuthorization(request.headers.authorization)
  if (given.scheme === 'basic' && policy.access === 'service') {
    const service = await dependencies.checkCredentials(
      given.clientId,
      given.clientSecret,
      request.headers.authorization,
    )
    if (service) return { kind: 'service', service, asker: { kind: 'service', ...service } }
    throw new Problem(
      'invalid-token',
      'The client id or secret is wrong.',
      {},
      { 'www-authenticate': 'Basic realm="latchkey"' },
    )
  }
  if (given.scheme !== 'bearer') throw unauthenticated(given.scheme === 'none', dependencies.issuer)
  return admitBearer(given.secret, policy, request.clientIp, dependencies, request.headers['user-agent'])
}

/** The one way in for a bearer token to our own API. @throws Problem */
export async function admitBearer(
  secret: string,
  policy: Exclude<RoutePolicy, { access: 'public' }>,
  from: ClientIp,
  dependencies: GuardDependencies,
  agent?: string,
): Promise<Principal> {
  const question = questionFor(policy, from)
  const verdict = await dependencies.verify(secret, question, agent)
  if (!verdict.active) throw refusal(verdict, question.requiredScopes, from, dependencies.issuer)
  const { facts } = verdict
  return {
    kind: 'token',
    facts,
    asker: policy.access === 'service' ? await askerOf(facts.subject, dependencies) : question.asker,
  }
}

/** Judges a token that was admitted once more, by what is true of it now. @throws Problem */
export function readmit(request: FastifyRequest, facts: Facts | null, issuer: string, now: number): void {
  const { policy } = request.routeOptions.config
  if (request.principal?.kind !== 'token' || !policy || policy.access === 'public') return
  const question = questionFor(policy, request.clientIp)
  const verdict = facts === null ? unknownToken : judge(facts, question, now)
  if (!verdict.active) throw refusal(verdict, question.requiredScopes, request.clientIp, issuer)
  request.principal = { ...request.principal, facts: verdict.facts }
}

function questionFor(policy: Exclude<RoutePolicy, { access: 'public' }>, from: ClientIp): Question {
  const requiredScopes = policy.access === 'holder' ? [] : policy.scopes
  // Where a service needs no scope, neither does a token, be it meant for other services (docs/decisions/0005).
  const isForAny = policy.access === 'holder' || (policy.access === 'service' && requiredScopes.length === 0)
  const asker: Asker = isForAny ? { kind: 'holder' } : { kind: 'service', id: ownServiceId, checksIp: false }
  return { asker, clientIp: from.address, requiredScopes, team: null }
}

/** A bearer token whose subject is a registered service speaks for that service. */
async function askerOf(subject: string, { serviceById }: GuardDependencies): Promise<Asker> {
  const service = await serviceById(subject)
  return service ? { kind: 'service', ...service } : { kind: 'unregistered' }
}

const challenge = (issuer: string, rest = '') =>
  `Bearer realm="latchkey"${rest}, resource_metadata="${issuer}/.well-known/oauth-protected-resource"`

/** RFC 6750 §3: no error code for a caller that presented nothing. */
function unauthenticated(nothing: boolean, issuer: string): Problem {
  const detail = nothing
    ? 'No token was presented. Send "Authorization: Bearer <token>".'
    : 'The Authorization header cannot be read. Send "Authorization: Bearer <token>".'
  const header = challenge(issuer, nothing ? '' : ', error="invalid_token"')
  return new Problem('invalid-token', detail, {}, { 'www-authenticate': header })
}

function refusal(
  verdict: Verdict & { active: false },
  requiredScopes: readonly string[],
  from: ClientIp,
  issuer: string,
): Problem {
  if (verdict.code === 'missing_scope') {
    const scope = requiredScopes.join(' ')
    return new Problem(
      'insufficient-scope',
      `This needs the scope ${scope}. Provision a token that has it.`,
      { requiredScopes },
      { 'www-authenticate': challenge(issuer, `, error="insufficient_scope", scope="${scope}"`) },
    )
  }
  if (verdict.code === 'ip_not_allowed') {
    return new Problem('ip-not-allowed', `The token may not be used from ${from.text}.`, {
      clientIp: from.text,
    })
  }
  // Unknown, expired and revoked read the same: which it was is for its owner to see, not for who holds it.
  return new Problem(
    'invalid-token',
    'The token is not valid. Get a new one.',
    {},
    { 'www-authenticate': challenge(issuer, ', error="invalid_token"') },
  )
}
