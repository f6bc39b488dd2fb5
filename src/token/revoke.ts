// Ends a token for ever, for the REST API and for RFC 7009 alike; or all that came of a trust policy.
import type { Actor, AuditEvent } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import type { Invalidation } from '../db/change.ts'
import type { Trx } from '../db/tables.ts'
import { markRevoked, markRevokedOfPolicy, type TokenRow } from './queries.ts'

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
  if (row.revoked_at !== null) return false
  const [isDone] = await Promise.all([
    markRevoked(trx, row.id, actor.name, now),
    record(trx, revoked(row), actor, now),
  ])
  if (!isDone) throw new Error(`${row.id} is not locked`)
  return true
}

/**
 * For a policy that gives nothing any more. One of its tokens may be making another at this moment, which is seen only
 * when that is done; so it is looked again until nothing is left. @returns how many
 */
export async function revokeOfPolicy(
  trx: Trx,
  policyId: string,
  actor: Actor,
  invalidate: (what: Invalidation) => void,
  now: Date,
): Promise<number> {
  let count = 0
  for (;;) {
    const rows = await markRevokedOfPolicy(trx, policyId, actor.name, now)
    if (rows.length === 0) return count
    count += rows.length
    // By subject: of tokens there may be thousands, and a notification has to name what it is about.
    for (const id of new Set(rows.map(({ subject }) => subject))) invalidate({ kind: 'subject', id })
    for (const row of rows) await record(trx, revoked(row), actor, now)
  }
}

const revoked = ({ id, name, subject }: Pick<TokenRow, 'id' | 'name' | 'subject'>): AuditEvent => ({
  action: 'token.revoked',
  tokenId: id,
  subject,
  detail: { name },
})
