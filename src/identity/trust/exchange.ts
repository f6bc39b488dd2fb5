// Exchanges a CI provider's token for one of ours (RFC 8693): whom to trust is judge-jwt.ts, what to give offer.ts.
// Here they become one token, once, recorded, in one transaction.
import { createHash } from 'node:crypto'
import type { Actor } from '../../audit/events.ts'
import { record } from '../../audit/record.ts'
import type { Change } from '../../db/change.ts'
import type { Db, Trx } from '../../db/tables.ts'
import { provisionFederated } from '../../token/federated.ts'
import type { Mint } from '../../token/provision.ts'
import { forgettableAt } from './claims.ts'
import type { Flood } from './flood.ts'
import { type Distrusted, judgeJwt, type Trusted } from './judge-jwt.ts'
import { type CheckSignature, IssuerOutOfReach } from './keys.ts'
import { type Asked, bestOffer, type Offer } from './offer.ts'
import { holdPolicies, useOnce } from './queries.ts'
import type { Reason } from './reason.ts'
import { metadataOf, runName } from './run.ts'

export type Outcome =
  | {
      readonly kind: 'granted'
      readonly secret: string
      readonly expiresInSeconds: number
      readonly scopes: readonly string[]
    }
  /** Not trusted. Why is in the audit events, and nowhere else. */
  | { readonly kind: 'untrusted' }
  /** Trusted, but not for that. */
  | { readonly kind: 'no_such_scope' | 'no_such_target' }
  | { readonly kind: 'too_many' | 'out_of_reach' }

export type From = { readonly requestId: string; readonly clientIp: string }
export type Exchange = (text: string, asked: Asked, from: From) => Promise<Outcome>

export type ExchangeDependencies = {
  readonly db: Db
  readonly change: Change
  readonly checkSignature: CheckSignature
  readonly mint: Mint
  /** Latchkey's own. */
  readonly issuer: string
  readonly now: () => number
  /** By address: what is presented and comes to nothing. */
  readonly flood: Flood
  /** By issuer: refusals that are worth a row each. */
  readonly recorded: Flood
}

export function createExchange(dependencies: ExchangeDependencies): Exchange {
  const { db, change, checkSignature, now, flood } = dependencies
  return async (text, asked, from) => {
    if (!flood.take(from.clientIp)) return { kind: 'too_many' }
    try {
      const judged = await judgeJwt(text, db, checkSignature, now())
      if ('reason' in judged) return await refused(judged, from, dependencies)
      const outcome = await change((trx) => exchanged(trx, judged, asked, from, dependencies))
      if (typeof outcome === 'string') {
        const { iss: issuer, sub } = judged.registered
        return await refused({ reason: outcome, issuer, sub }, from, dependencies)
      }
      flood.giveBack(from.clientIp)
      return outcome
    } catch (error) {
      // Neither is the caller's doing.
      flood.giveBack(from.clientIp)
      if (error instanceof IssuerOutOfReach) return { kind: 'out_of_reach' }
      throw error
    }
  }
}

/** Writes nothing unless it grants, so that what is refused can be asked for again in another way. */
async function exchanged(
  trx: Trx,
  { jwt, registered, policies }: Trusted,
  asked: Asked,
  from: From,
  { mint, issuer, now }: ExchangeDependencies,
): Promise<Outcome | Reason> {
  const at = new Date(now())
  const held = await holdPolicies(
    trx,
    policies.map((one) => one.id),
  )
  // Changed since it was judged: another try will be judged by what it is now.
  const same = held.filter((row) =>
    policies.some((one) => one.id === row.id && one.revision === row.revision),
  )
  if (same.length === 0) return 'policy_changed'
  const offer = await bestOffer(trx, same, asked, issuer, at)
  if (typeof offer === 'string') return offer
  if ('kind' in offer) return offer
  const until = new Date(forgettableAt(registered))
  if (!(await useOnce(trx, registered.iss, hashOf(registered.jti), until))) return 'replayed'
  const { policy, scopes, seconds } = offer
  const actor: Actor = { name: policy.subject, tokenId: null, ...from }
  const { secret } = await provisionFederated(trx, wantedOf(offer, jwt.claims, at), actor, mint, at)
  return { kind: 'granted', secret, expiresInSeconds: seconds, scopes }
}

function wantedOf({ policy, scopes, services, seconds }: Offer, claims: Trusted['jwt']['claims'], at: Date) {
  return {
    name: runName(claims, policy.provider),
    policy: policy.id,
    metadata: metadataOf(claims, policy.provider, policy.id),
    subject: policy.subject,
    team: policy.team,
    audience: [...services],
    scopes: [...scopes],
    ranges: policy.ip_ranges,
    expireAt: new Date(at.getTime() + seconds * 1_000),
  }
}

export const hashOf = (jti: string) => createHash('sha256').update(jti).digest()

/** Recorded where somebody may want to know: of an issuer that is trusted with something, and not endlessly. */
async function refused(
  { reason, issuer, sub }: Distrusted,
  from: From,
  { change, now, recorded }: ExchangeDependencies,
): Promise<Outcome> {
  if (issuer !== null && recorded.take(issuer)) {
    const actor: Actor = { name: 'anonymous', tokenId: null, ...from }
    const detail = { reason, issuer, sub }
    await change((trx) => record(trx, { action: 'exchange.refused', detail }, actor, new Date(now())))
  }
  return { kind: 'untrusted' }
}
