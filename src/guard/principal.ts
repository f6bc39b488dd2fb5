// Who calls Latchkey itself, once the guard has let them in.
import type { FastifyRequest } from 'fastify'
import type { Actor } from '../audit/events.ts'
import { Problem } from '../http/problem.ts'
import type { ServiceIdentity } from '../identity/credentials.ts'
import type { Facts } from '../policy/facts.ts'
import type { Asker } from '../policy/judge.ts'

export type TokenPrincipal = { readonly kind: 'token'; readonly facts: Facts; readonly asker: Asker }
export type ServicePrincipal = {
  readonly kind: 'service'
  readonly service: ServiceIdentity
  readonly asker: Asker
}
export type Principal = TokenPrincipal | ServicePrincipal

/** The principal of a route that a token guards. Anything else is a route declared wrongly, so it is refused. */
export function tokenPrincipal(request: FastifyRequest): TokenPrincipal {
  if (request.principal?.kind === 'token') return request.principal
  throw new Problem('invalid-token', 'This needs a bearer token.')
}

export const may = ({ facts }: TokenPrincipal, scope: string): boolean => facts.scopes.includes(scope)

/** Who sees and reaches what is for admins only, in the catalog and behind gateways. */
export const isAdmin = ({ scopes }: Facts): boolean =>
  scopes.includes('services:admin') || scopes.includes('tokens:admin')

/** As whom an audit event names the caller. */
export function actorOf(request: FastifyRequest): Actor {
  const { principal } = request
  const name =
    principal === null
      ? 'anonymous'
      : principal.kind === 'token'
        ? principal.facts.subject
        : principal.service.id
  return {
    name,
    tokenId: principal?.kind === 'token' ? principal.facts.tokenId : null,
    requestId: request.id,
    clientIp: request.clientIp.text,
  }
}
