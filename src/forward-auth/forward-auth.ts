// "May this request pass?", asked by a gateway in front of a product service: 200, 401 or 403, nothing else (503 for
// trouble of our own), because gateways make an error of anything more. What it answers is the same for all of them.
// Which scopes are needed, the gateway's configuration says, or the catalog, by the request that it asks about.

import { readAuthorization } from '../guard/authorization.ts'
import { isAdmin } from '../guard/principal.ts'
import type { ClientIp } from '../http/client-ip.ts'
import type { LaneAnswer } from '../http/lane.ts'
import type { Facts } from '../policy/facts.ts'
import type { Asker, Verdict } from '../policy/judge.ts'
import type { Verify } from '../verify/verify.ts'
import type { Need } from './need.ts'

export type Passing = {
  readonly authorization: string | undefined
  readonly need: Need
  /** The service that the request is for; null: nobody says. */
  readonly service: string | null
  readonly team: string | null
  readonly from: ClientIp
  readonly agent: string | undefined
}

/**
 * Why a request does not pass, for whoever sets the gateway up: it is counted, as most gateways tell nobody.
 * Of the gateway: what it says of itself, its credentials, and which request it is about. Of that: whether anybody has
 * published it for tokens. Of the bearer: the rest.
 */
export const refusals = [
  ...(['query', 'service', 'gateway', 'unsaid', 'request', 'endpoint'] as const),
  ...(['no_token', 'token', 'audience', 'bearer', 'scope', 'address', 'team'] as const),
] as const
export type Refusal = (typeof refusals)[number]

/** @property why null: it passes */
export type ForwardAnswer = LaneAnswer & { readonly why: Refusal | null }
export type ForwardAuth = (passing: Passing) => ForwardAnswer | Promise<ForwardAnswer>

export type ForwardAuthDependencies = {
  readonly verify: Verify
  readonly onChecked: (active: boolean) => void
}

/** Rejects, or throws, only when nothing can be known now. */
export function createForwardAuth({ verify, onChecked }: ForwardAuthDependencies): ForwardAuth {
  return ({ authorization, need, service, team, from, agent }) => {
    if (need.kind === 'open') return anonymous
    if (need.kind === 'closed') return denied(need.why)
    const given = readAuthorization(authorization)
    if (given.scheme !== 'bearer') return given.scheme === 'none' ? noToken : noBearer
    const asker = service === null ? unregistered : askerOf(service)
    const question = { asker, clientIp: from.address, requiredScopes: need.scopes, team }
    const verdict = verify(given.secret, question, agent)
    const answer = (settled: Verdict) => {
      onChecked(settled.active)
      return settled.active ? passedBy(need, settled.facts) : refusedFor(settled, need.scopes)
    }
    return verdict instanceof Promise ? verdict.then(answer) : answer(verdict)
  }
}

const unregistered: Asker = { kind: 'unregistered' }
/** The gateway is asked for an address, so none is left for the service to check. */
const askerOf = (id: string): Asker => ({ kind: 'service', id, checksIp: false })

const challenge = 'Bearer realm="latchkey"'
const invalidRequest = `${challenge}, error="invalid_request"`
const invalidToken = `${challenge}, error="invalid_token"`

const noToken = refused('no_token', 401, challenge)
const noBearer = refused('no_token', 401, invalidRequest)

export const denied = (why: Refusal): ForwardAnswer => refused(why, 403, challenge)

function passedBy({ bearer }: Need & { kind: 'token' }, facts: Facts): ForwardAnswer {
  const isAmong = bearer === 'any' || (bearer === 'service' ? facts.type === 'service' : isAdmin(facts))
  return isAmong ? passed(facts) : denied('bearer')
}

/** Always all four, never empty: a header that is missing lets through one that the client sent (GHSA-7r4p-vjf4-gxv4). */
function passed({ subject, tokenId, scopes, team }: Facts): ForwardAnswer {
  return identified(subject, tokenId, scopesHeader(scopes), team ?? '-')
}

function identified(subject: string, tokenId: string, scopes: string, team: string): ForwardAnswer {
  const headers = [
    'x-auth-subject',
    subject,
    'x-auth-token-id',
    tokenId,
    'x-auth-scopes',
    scopes,
    'x-auth-team',
    team,
  ]
  return { status: 200, headers, body: '', why: null }
}

/** Whoever it is: what else they sent is not looked at, and not passed on as who they are. */
const anonymous = identified('-', '-', '-', '-')

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

function refusedFor({ code }: Verdict & { active: false }, scopes: readonly string[]): ForwardAnswer {
  if (code === 'missing_scope') {
    return refused('scope', 403, `${challenge}, error="insufficient_scope", scope="${scopes.join(' ')}"`)
  }
  if (code === 'ip_not_allowed') return denied('address')
  if (code === 'wrong_team') return denied('team')
  return refused(code === 'wrong_audience' ? 'audience' : 'token', 401, invalidToken)
}

function refused(why: Refusal, status: 401 | 403, wwwAuthenticate: string): ForwardAnswer {
  return { status, headers: ['www-authenticate', wwwAuthenticate], body: '', why }
}
