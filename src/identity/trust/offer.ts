// What the policies that trust a token give for it now: scopes within what their subjects may have, services, seconds.
import type { Trx } from '../../db/tables.ts'
import { type Declared, declaredNow } from '../../token/declared.ts'
import { services as allServices, holdSubject, type ServiceRow } from '../queries.ts'
import { grantedScopes } from './granted.ts'
import type { PolicyRow } from './queries.ts'
import type { Reason } from './reason.ts'

export type Asked = {
  /** null: all that there is. */
  readonly scopes: readonly string[] | null
  /** Ids or base URLs of services, or Latchkey's own URL, which stands for no narrowing. */
  readonly targets: readonly string[]
  /** null: a quarter of an hour. */
  readonly seconds: number | null
}
export type Offer = {
  readonly policy: PolicyRow
  readonly scopes: readonly string[]
  readonly services: readonly string[]
  readonly seconds: number
}
type Nothing = Reason | { readonly kind: 'no_such_scope' | 'no_such_target' }

const usualSeconds = 900
const mostSeconds = 3_600

/**
 * Of the oldest policy that has all that is asked for; else of the oldest that has some of it.
 * @param policies held by this transaction, oldest first @param issuer Latchkey's own
 */
export async function bestOffer(
  trx: Trx,
  policies: readonly PolicyRow[],
  asked: Asked,
  issuer: string,
  now: Date,
): Promise<Offer | Nothing> {
  const declared = await declaredNow(trx)
  const known = asked.targets.length > 0 ? await allServices(trx) : []
  const offers: (Offer | Nothing)[] = []
  for (const policy of policies) offers.push(await offerOf(trx, policy, asked, declared, known, issuer, now))
  const good = offers.filter((offer): offer is Offer => typeof offer === 'object' && 'policy' in offer)
  const hasAll = ({ scopes }: Offer) => {
    const given = new Set(scopes.flatMap((scope) => declared.get(scope)?.closure ?? []))
    return asked.scopes?.every((scope) => given.has(scope)) ?? true
  }
  return good.find(hasAll) ?? good[0] ?? offers[0]!
}

async function offerOf(
  trx: Trx,
  policy: PolicyRow,
  asked: Asked,
  declared: Declared,
  known: readonly ServiceRow[],
  issuer: string,
  now: Date,
): Promise<Offer | Nothing> {
  if (leftOf(policy, now) < 1) return 'policy_ended'
  const maker = await holdSubject(trx, policy.maker, now)
  if (maker.disabled_at !== null) return 'maker_disabled'
  const subject = await holdSubject(trx, policy.subject, now)
  if (subject.disabled_at !== null) return 'subject_disabled'
  const services = narrowed(policy, asked.targets, known, issuer)
  if (services === null) return { kind: 'no_such_target' }
  const scopes = grantedScopes(policy.scopes, asked.scopes, [maker.scope_cap, subject.scope_cap], declared)
  if (scopes.length === 0) return { kind: 'no_such_scope' }
  // A scope's own maximum is counted in days, so it is never what bounds this.
  const seconds = Math.min(
    asked.seconds ?? usualSeconds,
    policy.max_lifetime_minutes * 60,
    mostSeconds,
    leftOf(policy, now),
  )
  return { policy, scopes, services, seconds }
}

/** In whole seconds, as tokens are given: nothing that a policy gives outlives it. */
const leftOf = ({ expire_at }: PolicyRow, now: Date) =>
  expire_at === null ? mostSeconds : Math.floor((expire_at.getTime() - now.getTime()) / 1_000)

/** @returns null when something is asked for that the policy is not for, or that does not exist */
function narrowed(
  policy: PolicyRow,
  targets: readonly string[],
  known: readonly ServiceRow[],
  issuer: string,
): readonly string[] | null {
  const ids = targets
    .filter((target) => target !== issuer && target !== policy.audience)
    .map((target) => known.find(({ id, base_url }) => id === target || base_url === target)?.id)
  if (ids.length === 0) return policy.services
  const isAllowed = (id: string | undefined): id is string =>
    id !== undefined && (policy.services.length === 0 || policy.services.includes(id))
  return ids.every(isAllowed) ? [...new Set(ids)] : null
}
