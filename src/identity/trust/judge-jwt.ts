// A CI provider's token → the policies that trust it, or the first reason why none does. The cheap questions come
// first: nothing is fetched and no signature checked for a token that says itself that it is not for us.
import type { Db } from '../../db/tables.ts'
import { outOfTime, type Registered, readRegistered } from './claims.ts'
import { fits } from './conditions.ts'
import { type Jwt, readJwt } from './jwt.ts'
import type { CheckSignature } from './keys.ts'
import { type PolicyRow, policiesOfIssuer } from './queries.ts'
import type { Reason } from './reason.ts'

export type Trusted = {
  readonly jwt: Jwt
  readonly registered: Registered
  readonly policies: readonly PolicyRow[]
}
/** issuer: only one that some policy is for, as anybody can write anything there. */
export type Distrusted = {
  readonly reason: Reason
  readonly issuer: string | null
  readonly sub: string | null
}

/** @param now epoch milliseconds @throws IssuerOutOfReach */
export async function judgeJwt(
  text: string,
  db: Db,
  checkSignature: CheckSignature,
  now: number,
): Promise<Trusted | Distrusted> {
  const jwt = readJwt(text)
  if (typeof jwt === 'string') return { reason: jwt, issuer: null, sub: null }
  const registered = readRegistered(jwt.claims)
  if (typeof registered === 'string') return { reason: registered, issuer: null, sub: null }
  const { iss: issuer, sub, aud } = registered
  const known = await policiesOfIssuer(db, issuer)
  if (known.length === 0) return { reason: 'unknown_issuer', issuer: null, sub: null }
  const no = (reason: Reason): Distrusted => ({ reason, issuer, sub })
  const forUs = known.filter((policy) => aud.includes(policy.audience))
  if (forUs.length === 0) return no('wrong_audience')
  const reason = outOfTime(registered, now) ?? (await checkSignature(jwt, issuer))
  if (reason !== null) return no(reason)
  const policies = forUs.filter((policy) => fits(policy.conditions, jwt.claims, policy.provider))
  return policies.length > 0 ? { jwt, registered, policies } : no('no_match')
}
