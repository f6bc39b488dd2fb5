// "May this request pass?", asked by a gateway in front of a product service: 200, 401 or 403, nothing else (503 for
// trouble of our own), because gateways make an error of anything more. What it answers is the same for all of them.
import { readAuthorization } from '../guard/authorization.ts'
import type { ClientIp } from '../http/client-ip.ts'
import type { LaneAnswer } from '../http/lane.ts'
import type { ServiceIdentity } from '../identity/credentials.ts'
import type { Facts } from '../policy/facts.ts'
import type { Asker, Verdict } from '../policy/judge.ts'
import type { Verify } from '../verify/verify.ts'

export type Passing = {
  readonly authorization: string | undefined
  /** What the gateway's own configuration says, in the query of the URL that it calls. */
  readonly asked: Asked
  readonly from: ClientIp
  readonly agent: string | undefined
}

export type Asked = {
  /** The scopes that are needed; null: the gateway does not say. */
  readonly scopes: readonly string[] | null
  readonly service: ServiceIdentity | null
  readonly team: string | null
}

export type ForwardAuth = (passing: Passing) => LaneAnswer | Promise<LaneAnswer>

export type ForwardAuthDependencies = {
  readonly verify: Verify
  readonly onChecked: (active: boolean) => void
}

/** Rejects, or throws, only when nothing can be known now. */
export function createForwardAuth({ verify, onChecked }: ForwardAuthDependencies): ForwardAuth {
  return ({ authorization, asked, from, agent }) => {
    const given = readAuthorization(authorization)
    if (given.scheme !== 'bearer') return refused(401, given.scheme === 'none' ? challenge : invalidRequest)
    // Which scopes are needed is not known, so none would do.
    if (asked.scopes === null) return refused(403, challenge)
    const { scopes, service, team } = asked
    const asker = service ? askerOf(service) : unregistered
    const question = { asker, clientIp: from.address, requiredScopes: scopes, team }
    const verdict = verify(given.secret, question, agent)
    const answer = (settled: Verdict) => {
      onChecked(settled.active)
      return settled.active ? passed(settled.facts) : refusedFor(settled, scopes)
    }
    return verdict instanceof Promise ? verdict.then(answer) : answer(verdict)
  }
}

const unregistered: Asker = { kind: 'unregistered' }
/** The gateway is asked for an address, so none is left for the service to check. */
const askerOf = ({ id }: ServiceIdentity): Asker => ({ kind: 'service', id, checksIp: false })
const challenge = 'Bearer realm="latchkey"'
const invalidRequest = `${challenge}, error="invalid_request"`
const invalidToken = `${challenge}, error="invalid_token"`

/** Always all four, never empty: a header that is missing lets through one that the client sent (GHSA-7r4p-vjf4-gxv4). */
function passed(facts: Facts): LaneAnswer {
  return {
    status: 200,
    headers: [
      'x-auth-subject',
      facts.subject,
      'x-auth-token-id',
      facts.tokenId,
      'x-auth-scopes',
      scopesHeader(facts.scopes),
      'x-auth-team',
      facts.team ?? '-',
    ],
    body: '',
  }
}

/** Equal tokens share one list of scopes in memory, so its text is made once. */
const scopesHeaders = new WeakMap<readonly string[], string>()

function scopesHeader(scopes: readonly string[]): string {
  let text = scopesHeaders.get(scopes)
  if (text === undefined) {
    text = scopes.join(' ') || '-'
    scopesHeaders.set(scopes, text)
  }
  return text
}

function refusedFor({ code }: Verdict & { active: false }, scopes: readonly string[]): LaneAnswer {
  if (code === 'missing_scope') {
    return refused(403, `${challenge}, error="insufficient_scope", scope="${scopes.join(' ')}"`)
  }
  return code === 'ip_not_allowed' || code === 'wrong_team'
    ? refused(403, challenge)
    : refused(401, invalidToken)
}

function refused(status: 401 | 403, wwwAuthenticate: string): LaneAnswer {
  return { status, headers: ['www-authenticate', wwwAuthenticate], body: '' }
}
