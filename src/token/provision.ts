// Makes a token: decides what it is given, mints its secret, writes both and the record of it.

import type { Actor } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import { newId } from '../db/ids.ts'
import type { Trx } from '../db/tables.ts'
import { didYouMean } from '../http/nearest.ts'
import { fieldProblem, Problem } from '../http/problem.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import { holdSubject, services } from '../identity/queries.ts'
import { type Declared, declaredNow } from './declared.ts'
import { chooseExpiry, lifetimeOf } from './expiry.ts'
import { hintOf, mintSecret } from './format.ts'
import { isAdmin, type Maker, reach, refuseTooMuch, withinMaker } from './grants.ts'
import { readRanges } from './ip-restriction.ts'
import type { KeyRing } from './key-ring.ts'
import { insertToken, type NewToken, policyOf } from './queries.ts'
import type { ProvisionBody } from './schemas.ts'

export type Mint = { readonly ring: KeyRing; readonly prefix: string; readonly neverAllowed: boolean }

/** @returns the new token's id, and its secret: the only time that it is known @throws Problem */
export async function provision(
  trx: Trx,
  body: ProvisionBody,
  maker: Maker,
  actor: Actor,
  mint: Mint,
  now: Date,
): Promise<{ id: string; secret: string }> {
  const subjectId = body.subject ?? maker?.facts.subject ?? actor.name
  if (!isAdmin(maker) && subjectId !== maker?.facts.subject) {
    throw new Problem(
      'policy-violation',
      `subject: only a token with tokens:admin makes tokens for others than ${maker?.facts.subject}.`,
    )
  }
  const subject = await holdSubject(trx, subjectId, now)
  const declared = await declaredNow(trx)
  const scopes = body.scopes ?? []
  refuseTooMuch(scopes, declared, subject, maker)
  await refuseUnknownServices(trx, body.audience ?? [])
  const secret = mintSecret(mint.prefix, body.type ?? 'personal')
  const token: NewToken = {
    ...identityOf(body, subjectId, actor, now),
    ...reachOf(body, scopes, declared, maker),
    scopes,
    trust_policy: maker && policyOf(trx, maker.facts.tokenId),
    hint: hintOf(secret),
    expire_at: expiryOf(body, scopes, declared, maker, mint, now),
  }
  await insertToken(trx, token, { digest: mint.ring.digest(secret), key_id: mint.ring.currentId, version: 1 })
  const { id, name, type, team, audience, expire_at } = token
  const detail = { name, type, scopes, team, audience, ipRanges: token.ip_ranges, expireAt: expire_at }
  await record(trx, { action: 'token.provisioned', tokenId: id, subject: subjectId, detail }, actor, now)
  return { id, secret }
}

function identityOf(body: ProvisionBody, subject: string, actor: Actor, now: Date) {
  return {
    id: newId('tok', now.getTime()),
    type: body.type ?? ('personal' as const),
    name: body.name,
    description: body.description ?? null,
    subject,
    metadata: JSON.stringify(body.metadata ?? {}),
    created_at: now,
    created_by: actor.name,
  }
}

function reachOf(body: ProvisionBody, scopes: readonly string[], declared: Declared, maker: Maker) {
  const asked = {
    ...(body.ipRestriction !== undefined && { ranges: readRanges(body.ipRestriction) }),
    ...(body.team !== undefined && { team: body.team }),
    ...(body.audience !== undefined && { audience: body.audience }),
  }
  const own = [...reach(scopes, declared)].some((scope) => declared.get(scope)?.service_id === ownServiceId)
  const { ranges, team, audience } = withinMaker(asked, own, maker)
  return { ip_ranges: ranges, team, audience }
}

function expiryOf(
  body: ProvisionBody,
  scopes: readonly string[],
  declared: Declared,
  maker: Maker,
  mint: Mint,
  now: Date,
) {
  const { neverAllowed } = mint
  return chooseExpiry(body, { neverAllowed, ...lifetimeOf(reach(scopes, declared), declared, maker) }, now)
}

async function refuseUnknownServices(trx: Trx, audience: readonly string[]): Promise<void> {
  if (audience.length === 0) return
  const known = (await services(trx)).map((service) => service.id)
  const at = audience.findIndex((id) => !known.includes(id))
  if (at >= 0) {
    throw fieldProblem(
      `/audience/${at}`,
      `There is no service "${audience[at]}".${didYouMean(audience[at]!, known)}`,
    )
  }
}
