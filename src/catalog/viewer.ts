// Who looks at the catalog: anybody, an admin, who is shown more, or a token that asks what it may itself do.
import type { FastifyReply, FastifyRequest } from 'fastify'
import { readAuthorization } from '../guard/authorization.ts'
import { admitBearer, authenticate, type GuardDependencies } from '../guard/guard.ts'
import { isAdmin, type TokenPrincipal } from '../guard/principal.ts'
import { Problem } from '../http/problem.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import type { Facts } from '../policy/facts.ts'

export type Viewer = {
  /** Sees what is internal or for admins only. */
  readonly isAdmin: boolean
  /** Of the token that asks about itself. */
  readonly self: Facts | null
}

/** The token that asks about itself, as at GET /tokens/self. @throws Problem when it is not good */
export async function selfViewer(request: FastifyRequest, guard: GuardDependencies): Promise<Viewer> {
  const principal = (await authenticate(request, { access: 'holder' }, guard)) as TokenPrincipal
  const { audience } = principal.facts
  const isForUs = audience.length === 0 || audience.includes(ownServiceId)
  return { isAdmin: isForUs && isAdmin(principal.facts), self: principal.facts }
}

/** Whoever does not show to be an admin sees what all see, whatever else it shows. */
export async function anyViewer(request: FastifyRequest, guard: GuardDependencies): Promise<Viewer> {
  const given = readAuthorization(request.headers.authorization)
  if (given.scheme !== 'bearer') return { isAdmin: false, self: null }
  const agent = request.headers['user-agent']
  try {
    const policy = { access: 'token', scopes: [] } as const
    const principal = await admitBearer(given.secret, policy, request.clientIp, guard, agent)
    return { isAdmin: isAdmin((principal as TokenPrincipal).facts), self: null }
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    return { isAdmin: false, self: null }
  }
}

/** What is for all may be kept by all; what depends on who asks, by nobody. */
export function cacheFor(reply: FastifyReply, { isAdmin, self }: Viewer): FastifyReply {
  const isPrivate = isAdmin || self !== null
  return reply.headers({
    vary: 'Authorization',
    'cache-control': isPrivate ? 'private, no-store' : 'public, max-age=60',
  })
}
