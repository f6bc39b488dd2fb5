// Ends a token for ever, for the REST API and for RFC 7009 alike.
import type { Actor } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import type { Invalidation } from '../db/change.ts'
import type { Trx } from '../db/tables.ts'
import { markRevoked, type TokenRow } from './queries.ts'

/** @param row as locked by this transaction @returns whether it was this call that revoked it */
export async function revokeToken(
  trx: Trx,
  row: TokenRow,
  actor: Actor,
  invalidate: (what: Invalidation) => void,
  now: Date,
): Promise<boolean> {
  // Also when it was revoked before: whoever is answered "revoked" may rely on it being so everywhere.
  invalidate({ kind: 'token', id: row.id })
  if (!(await markRevoked(trx, row.id, actor.name, now))) return false
  await record(
    trx,
    { action: 'token.revoked', tokenId: row.id, subject: row.subject, detail: { name: row.name } },
    actor,
    now,
  )
  return true
}
