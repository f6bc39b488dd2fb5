// A token as the API shows it. The secret is not part of it: only provision and rotate add it, once.

import { earliest } from './expiry.ts'
import { showRanges } from './ip-restriction.ts'
import type { Status, TokenRow } from './queries.ts'
import type { TokenView } from './schemas.ts'

/** The first of these that is true; inStatus in queries.ts says the same in SQL. */
export function statusOf(row: TokenRow, now: Date): Status {
  if (row.revoked_at !== null) return 'revoked'
  if (row.expire_at !== null && row.expire_at <= now) return 'expired'
  if (row.disabled_at !== null || row.subject_disabled_at !== null) return 'disabled'
  return 'active'
}

/** The secret before the present one, while it still works: how it will end, and when, as far as that is known. */
function previousOf(
  row: TokenRow,
  now: Date,
): { previousEnds: 'grace' | 'first-use' | null; until: Date | null } {
  const over = { previousEnds: null, until: null }
  if (row.previous_ended !== false || row.revoked_at !== null) return over
  const until = row.previous_ends_at && earliest(row.previous_ends_at, row.expire_at)
  const end = until ?? row.expire_at
  if (end !== null && end <= now) return over
  return { previousEnds: row.first_use_ends === null ? 'grace' : 'first-use', until }
}

export function viewOf(row: TokenRow, now: Date): TokenView {
  const status = statusOf(row, now)
  const { previousEnds, until } = previousOf(row, now)
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    type: row.type,
    subject: row.subject,
    team: row.team,
    audience: row.audience,
    scopes: row.scopes,
    ipRestriction: showRanges(row.ip_ranges),
    metadata: row.metadata,
    active: status === 'active',
    status,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    expireAt: row.expire_at?.toISOString() ?? null,
    lastUsedAt: row.last_used_at?.toISOString() ?? null,
    revokedAt: row.revoked_at?.toISOString() ?? null,
    hint: row.hint,
    secretVersion: row.secret_version,
    previousEnds,
    previousSecretValidUntil: until?.toISOString() ?? null,
  }
}

/** Strong: revision covers what people change; by themselves change the last use, the status and the former secret. */
export function etagOf(row: TokenRow, now: Date): string {
  return `"${row.revision}.${row.last_used_at?.getTime() ?? 0}.${statusOf(row, now)}.${previousOf(row, now).previousEnds ?? ''}"`
}

/** If-Match compares what people change; that the token was used meanwhile must not get in their way. */
export function matches(ifMatch: string, row: TokenRow): boolean {
  return ifMatch.split(',').some((tag) => tag.trim() === '*' || tag.trim().startsWith(`"${row.revision}.`))
}
