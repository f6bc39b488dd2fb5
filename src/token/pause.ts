// Pauses a token and lets it go on: reversible, unlike revoke.
import type { Actor } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import type { Trx } from '../db/tables.ts'
import type { TokenPrincipal } from '../guard/principal.ts'
import { Problem } from '../http/problem.ts'
import { isAdmin } from './grants.ts'
import { markDisabled, markEnabled, type TokenRow } from './queries.ts'

/** @param row as locked by this transaction */
export async function disableToken(trx: Trx, row: TokenRow, caller: TokenPrincipal, actor: Actor, now: Date) {
  refuseRevoked(row)
  const { subject } = caller.facts
  // The owner's own pause is the owner's to undo, whatever else the owner may do.
  const byAdmin = subject !== row.subject
  if (!(await markDisabled(trx, row, { by: actor.name, byAdmin }, now))) return
  await recordPause(trx, 'token.disabled', row, actor, now)
}

/** @param row as locked by this transaction */
export async function enableToken(trx: Trx, row: TokenRow, caller: TokenPrincipal, actor: Actor, now: Date) {
  refuseRevoked(row)
  if (row.disabled_by_admin && !isAdmin(caller))
    throw new Problem('policy-violation', 'An admin has disabled this token; only an admin enables it.')
  if (!(await markEnabled(trx, row))) return
  await recordPause(trx, 'token.enabled', row, actor, now)
}

function refuseRevoked(row: TokenRow): void {
  if (row.revoked_at !== null)
    throw new Problem('conflict', 'The token is revoked; what is revoked stays as it is.')
}

function recordPause(
  trx: Trx,
  action: 'token.disabled' | 'token.enabled',
  row: TokenRow,
  actor: Actor,
  now: Date,
) {
  const detail = { name: row.name }
  return record(trx, { action, tokenId: row.id, subject: row.subject, detail }, actor, now)
}
