// Says check by check and claim by claim whether a policy would take a token, and why not. For whoever may make
// policies; who presents a token for exchange is told nothing of this.
import type { Db } from '../../db/tables.ts'
import { outOfTime, type Registered, readRegistered } from './claims.ts'
import { compare, type Finding } from './conditions.ts'
import { hashOf } from './exchange.ts'
import { type Claims, type Jwt, readJwt } from './jwt.ts'
import { type CheckSignature, IssuerOutOfReach } from './keys.ts'
import { looksLike } from './provider.ts'
import { type PolicyRow, wasUsed } from './queries.ts'
import { type Reason, reasons } from './reason.ts'

export type Check = { readonly check: string; readonly ok: boolean; readonly why: string }
export type Explanation = { matches: boolean; checks: Check[]; conditions: Finding[] }

export type Sample = { readonly token: string } | { readonly claims: Claims }

/** @param now epoch milliseconds */
export async function explain(
  policy: PolicyRow,
  sample: Sample,
  db: Db,
  checkSignature: CheckSignature,
  now: number,
): Promise<Explanation> {
  const jwt = 'token' in sample ? readJwt(sample.token) : null
  if (typeof jwt === 'string') return { matches: false, checks: [of('form', jwt)], conditions: [] }
  const claims = jwt?.claims ?? (sample as { claims: Claims }).claims
  const checks = [of('form', null), ...(await checksOf(policy, claims, jwt, db, checkSignature, now))]
  const conditions = compare(policy.conditions, claims, policy.provider)
  const matches = [...checks, ...conditions].every(({ ok }) => ok)
  return { matches, checks, conditions }
}

async function checksOf(
  policy: PolicyRow,
  claims: Claims,
  jwt: Jwt | null,
  db: Db,
  checkSignature: CheckSignature,
  now: number,
): Promise<Check[]> {
  const registered = readRegistered(claims)
  if (typeof registered === 'string') return [of('claims', registered)]
  const { iss, aud } = registered
  const isOurs = iss === policy.issuer
  const whose = policy.provider === 'oidc' ? looksLike(claims) : null
  return [
    said('issuer', isOurs, `The policy is for ${policy.issuer}.`),
    said('audience', aud.includes(policy.audience), `The policy is for ${policy.audience}.`),
    said('provider', whose === null, `By its claims it is of ${whose}; say so in the policy.`),
    of('time', outOfTime(registered, now)),
    said('policy', policy.expire_at === null || policy.expire_at.getTime() > now, reasons.policy_ended),
    ...(isOurs ? [await signed(jwt, iss, checkSignature), await firstUse(registered, db)] : []),
  ]
}

async function signed(jwt: Jwt | null, issuer: string, checkSignature: CheckSignature): Promise<Check> {
  if (jwt === null) return { check: 'signature', ok: true, why: 'Not checked: these are claims without one.' }
  try {
    return of('signature', await checkSignature(jwt, issuer))
  } catch (error) {
    if (!(error instanceof IssuerOutOfReach)) throw error
    return said('signature', false, 'The issuer’s keys cannot be had at the moment.')
  }
}

const firstUse = async ({ iss, jti }: Registered, db: Db): Promise<Check> =>
  of('single use', (await wasUsed(db, iss, hashOf(jti))) ? 'replayed' : null)

const of = (check: string, reason: Reason | null): Check =>
  said(check, reason === null, reason === null ? '' : reasons[reason])

const said = (check: string, ok: boolean, otherwise: string): Check => ({
  check,
  ok,
  why: ok ? 'As it must be.' : otherwise,
})
