// Changes a token: renames, describes, narrows. It never widens; for more, a new token is made.

import type { Actor } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import type { Trx } from '../db/tables.ts'
import { Problem } from '../http/problem.ts'
import { declaredNow } from './declared.ts'
import { isLater, readExpiry } from './expiry.ts'
import { reach } from './grants.ts'
import { noWider, readRanges, showRanges } from './ip-restriction.ts'
import { type TokenChange, type TokenRow, updateToken } from './queries.ts'
import type { NarrowBody } from './schemas.ts'

/** @param row as locked by this transaction @throws Problem */
export async function narrow(
  trx: Trx,
  row: TokenRow,
  body: NarrowBody,
  actor: Actor,
  now: Date,
): Promise<void> {
  if (row.revoked_at !== null)
    throw new Problem('conflict', 'The token is revoked; what is revoked stays as it is.')
  const change: TokenChange = {
    ...(body.name !== undefined && { name: body.name }),
    ...(body.description !== undefined && { description: body.description }),
    ...(body.metadata !== undefined && { metadata: JSON.stringify(body.metadata) }),
    ...(body.scopes !== undefined && { scopes: await fewerScopes(trx, row, body.scopes) }),
    ...(body.ipRestriction !== undefined && { ip_ranges: fewerRanges(row, body.ipRestriction) }),
    ...earlierEnd(row, body, now),
  }
  if (!(await updateToken(trx, row.id, row.revision, change))) throw new Error('A locked token has changed')
  const detail = { ...change, metadata: undefined, changed: Object.keys(body) }
  await record(trx, { action: 'token.updated', tokenId: row.id, subject: row.subject, detail }, actor, now)
}

async function fewerScopes(trx: Trx, row: TokenRow, scopes: string[]): Promise<string[]> {
  const declared = await declaredNow(trx)
  const held = new Set(row.scopes.flatMap((scope) => declared.get(scope)?.closure ?? [scope]))
  // A scope it holds may be declared no more; keeping it gives nothing, so it may be named all the same.
  const wanted = reach(
    scopes.filter((scope) => !row.scopes.includes(scope)),
    declared,
  )
  const more = [...wanted].filter((scope) => !held.has(scope))
  if (more.length > 0) throw wider(`scopes: ${more.join(', ')} would be new`)
  return scopes
}

function fewerRanges(row: TokenRow, input: NarrowBody['ipRestriction']): string[] {
  const ranges = readRanges(input)
  if (noWider(ranges, row.ip_ranges)) return ranges
  throw wider(`ipRestriction: it is ${showRanges(row.ip_ranges)} now`)
}

function earlierEnd(row: TokenRow, body: NarrowBody, now: Date): TokenChange {
  const end = readExpiry(body, now)
  if (end === undefined) return {}
  if (isLater(end, row.expire_at)) throw wider(`expireAt: it ends at ${row.expire_at!.toISOString()} now`)
  return { expire_at: end }
}

function wider(what: string): Problem {
  return new Problem('policy-violation', `${what}. A token is never widened: provision a new one.`)
}
