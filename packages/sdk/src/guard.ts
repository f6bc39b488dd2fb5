// What the guards of all frameworks have in common: a request in the framework's words → the question to the verifier.
import { verifyBearer } from './bearer.ts'
import type { Verdict, Verifier } from './verdict.ts'

/** How to read a request beyond its token. `Request` is the framework's. */
export type GuardOptions<Request> = {
  /** The team that the request is about: the same for all, or told per request; undefined: any will do. */
  readonly team?: string | ((request: Request) => string | undefined)
  /** Where the bearer calls from. Default: what the framework says, which must know the proxies in front of it. */
  readonly clientIp?: (request: Request) => string | undefined
}

const scopePattern = /^[a-z][a-z0-9_.-]{0,47}:[a-z][a-z0-9_.-]{0,47}$/

/** A scope that nobody can have would lock everybody out, unnoticed until the first call. @throws TypeError */
export function checkScopes(scopes: readonly string[]): void {
  const wrong = scopes.find((scope) => typeof scope !== 'string' || !scopePattern.test(scope))
  if (wrong !== undefined)
    throw new TypeError(`${JSON.stringify(wrong)} is no scope: it must be like posts:read`)
}

export type Asked<Request> = {
  readonly request: Request
  readonly authorization: string | undefined
  readonly scopes: readonly string[]
  /** What the framework says. */
  readonly address: string | undefined
}

/** @returns the verdict; rejects only when the service's own `team` or `clientIp` throws */
export async function admit<Request>(
  verifier: Verifier,
  { team, clientIp }: GuardOptions<Request>,
  { request, authorization, scopes, address }: Asked<Request>,
): Promise<Verdict> {
  return verifyBearer(verifier, authorization, {
    scopes,
    team: typeof team === 'function' ? team(request) : team,
    clientIp: clientIp ? clientIp(request) : address,
  })
}
