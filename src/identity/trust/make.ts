// Makes and changes trust policies: without pitfalls, and never wider than the token that asks. Whoever makes or
// changes one answers for the whole of it from then on (docs/decisions/0014).
import type { Trx } from '../../db/tables.ts'
import type { TokenPrincipal } from '../../guard/principal.ts'
import { didYouMean } from '../../http/nearest.ts'
import { fieldProblem, Problem } from '../../http/problem.ts'
import { type Declared, declaredNow } from '../../token/declared.ts'
import { reach, refuseTooMuch, withinMaker } from '../../token/grants.ts'
import { readRanges } from '../../token/ip-restriction.ts'
import { ownServiceId } from '../own-scopes.ts'
import { holdSubject, services } from '../queries.ts'
import type { Conditions } from './conditions.ts'
import { wrongIssuer } from './issuer.ts'
import { pitfallsOf, withTrigger } from './pitfalls.ts'
import { type Provider, providerOf } from './provider.ts'
import type { NewPolicy, PolicyRow } from './queries.ts'
import type { PolicyBody, PolicyChanges } from './schemas.ts'

export type Surroundings = {
  /** Latchkey's own. */
  readonly issuer: string
  /** Origins that the operator lists. */
  readonly internal: readonly string[]
}

/** What is stored of a new policy. @throws Problem */
export async function drafted(
  trx: Trx,
  id: string,
  body: PolicyBody,
  maker: TokenPrincipal,
  around: Surroundings,
  now: Date,
): Promise<NewPolicy> {
  const wrong = wrongIssuer(body.issuer, around.internal)
  if (wrong !== null) throw fieldProblem('/issuer', wrong)
  const provider = chosenProvider(body)
  const fixed = { id, provider, issuer: body.issuer, subject: body.subject ?? `ci_${id}` }
  const asked = { audience: around.issuer, maxLifetimeMinutes: 15, ...body }
  return settled(trx, { ...fixed, created_at: now, created_by: maker.facts.subject }, asked, maker, now)
}

/** The same after a change; what is left out stays, and is looked at again. @throws Problem */
export function redrafted(
  trx: Trx,
  row: PolicyRow,
  changes: PolicyChanges,
  maker: TokenPrincipal,
  now: Date,
): Promise<NewPolicy> {
  const before = {
    name: row.name,
    description: row.description,
    audience: row.audience,
    conditions: row.conditions,
    scopes: row.scopes,
    team: row.team,
    services: row.services,
    ipRestriction: row.ip_ranges,
    maxLifetimeMinutes: row.max_lifetime_minutes,
    expireAt: row.expire_at?.toISOString() ?? null,
  }
  const { id, provider, issuer, subject, created_at, created_by } = row
  const fixed = { id, provider, issuer, subject, created_at, created_by }
  return settled(trx, fixed, { ...before, ...changes } as Asked, maker, now)
}

type Fixed = Pick<NewPolicy, 'id' | 'provider' | 'issuer' | 'subject' | 'created_at' | 'created_by'>
type Asked = Omit<PolicyBody, 'issuer' | 'provider' | 'subject'> & {
  audience: string
  maxLifetimeMinutes: number
}

async function settled(
  trx: Trx,
  fixed: Fixed,
  asked: Asked,
  maker: TokenPrincipal,
  now: Date,
): Promise<NewPolicy> {
  const conditions = withTrigger(fixed.provider, asked.conditions as Conditions)
  refusePitfalls({ ...fixed, audience: asked.audience, conditions })
  const declared = await declaredNow(trx)
  refuseTooMuch(asked.scopes, declared, await holdSubject(trx, fixed.subject, now), maker)
  await refuseUnknownServices(trx, asked.services ?? [])
  return {
    ...fixed,
    ...boundsOf(asked, declared, maker, now),
    name: asked.name,
    description: asked.description ?? null,
    audience: asked.audience,
    conditions: JSON.stringify(conditions),
    scopes: asked.scopes,
    max_lifetime_minutes: asked.maxLifetimeMinutes,
    maker: maker.facts.subject,
    maker_token_id: maker.facts.tokenId,
    updated_at: now,
  }
}

/** GitHub is not "any issuer": its rules are not for choosing. */
function chosenProvider({ issuer, provider }: PolicyBody): Provider {
  const known = providerOf(issuer)
  if (known !== null && provider !== undefined && provider !== known)
    throw fieldProblem('/provider', `This issuer is ${known}.`)
  return known ?? provider ?? 'oidc'
}

function refusePitfalls(draft: Parameters<typeof pitfallsOf>[0]): void {
  const [first, ...others] = pitfallsOf(draft)
  if (!first) return
  const detail = `${first.pointer.slice(1)}: ${first.detail}`
  throw new Problem('validation-failed', detail, { errors: [first, ...others] })
}

/** As for a token (docs/decisions/0012); and the end too, as far as Latchkey itself is concerned. */
function boundsOf(asked: Asked, declared: Declared, maker: TokenPrincipal, now: Date) {
  const own = [...reach(asked.scopes, declared)].filter(
    (scope) => declared.get(scope)?.service_id === ownServiceId,
  )
  refuseAdministration(own)
  const wanted = {
    ...(asked.ipRestriction !== undefined && { ranges: readRanges(asked.ipRestriction) }),
    ...(asked.team !== undefined && { team: asked.team }),
    ...(asked.services !== undefined && { audience: asked.services }),
  }
  const { ranges, team, audience } = withinMaker(wanted, own.length > 0, maker)
  const expire_at = endOf(asked.expireAt ?? null, own.length > 0 ? maker.facts.expireAt : null, now)
  return { ip_ranges: ranges, team, services: audience, expire_at }
}

/** A job that may administer Latchkey could make policies of its own, and so stay for ever. */
function refuseAdministration(own: readonly string[]): void {
  const admin = own.filter((scope) => scope.endsWith(':admin'))
  if (admin.length === 0) return
  throw new Problem('policy-violation', `scopes: ${admin.join(', ')} is not given to CI jobs.`)
}

function endOf(asked: string | null, latest: number | null, now: Date): Date | null {
  if (asked === null) return latest === null ? null : new Date(latest)
  const end = new Date(asked)
  if (end <= now) throw fieldProblem('/expireAt', 'Must be in the future.')
  if (latest === null || end.getTime() <= latest) return end
  const detail = `expireAt: what gives scopes of Latchkey’s own ends with the token that makes it, at ${new Date(latest).toISOString()}.`
  throw new Problem('policy-violation', detail)
}

async function refuseUnknownServices(trx: Trx, ids: readonly string[]): Promise<void> {
  const known = (await services(trx)).map((service) => service.id)
  const at = ids.findIndex((id) => !known.includes(id))
  if (at < 0) return
  throw fieldProblem(`/services/${at}`, `There is no service "${ids[at]}".${didYouMean(ids[at]!, known)}`)
}
