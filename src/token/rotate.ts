// Gives a token a new secret: the same id, the same rights, and an end for the secret before. Who may have the new one
// is decided in grants.ts, what is written in secrets.ts.
import type { Actor } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import type { Trx } from '../db/tables.ts'
import type { TokenPrincipal } from '../guard/principal.ts'
import { fieldProblem, Problem } from '../http/problem.ts'
import { type Declared, declaredNow } from './declared.ts'
import { dayMs, durationMs } from './duration.ts'
import { chooseExpiry, earliest, isLater, lifetimeOf, readExpiry } from './expiry.ts'
import { hintOf, mintSecret } from './format.ts'
import { refuseWider } from './grants.ts'
import { statusOf } from './model.ts'
import type { Mint } from './provision.ts'
import type { TokenRow } from './queries.ts'
import type { RotateBody } from './schemas.ts'
import { type PreviousEnd, replaceSecret } from './secrets.ts'

const longestGraceDays = 90

/** @param row as locked by this transaction @returns the new secret: the only time that it is known @throws Problem */
export async function rotate(
  trx: Trx,
  row: TokenRow,
  body: RotateBody,
  maker: TokenPrincipal,
  actor: Actor,
  mint: Mint,
  now: Date,
): Promise<string> {
  refuseLifeless(row, now)
  const declared = await declaredNow(trx)
  const expireAt = newEnd(row, body, declared, maker, mint, now)
  if (row.id !== maker.facts.tokenId) refuseWider({ ...boundsOf(row), expireAt }, declared, maker)
  const previous = previousEnd(row, body, expireAt, now)
  const token = mintSecret(mint.prefix, row.type)
  const version = row.secret_version + 1
  const secret = { digest: mint.ring.digest(token), key_id: mint.ring.currentId, version }
  const hint = hintOf(token)
  await replaceSecret(trx, row, { secret, hint, expireAt, previous }, now)
  const detail = { secretVersion: version, hint, previousHint: row.hint, previousEnd: previous, expireAt }
  await record(trx, { action: 'token.rotated', tokenId: row.id, subject: row.subject, detail }, actor, now)
  return token
}

/** What a token has now, for those who want its secret. */
export const boundsOf = (row: TokenRow) => ({
  scopes: row.scopes,
  ranges: row.ip_ranges,
  team: row.team,
  audience: row.audience,
  expireAt: row.expire_at,
})

function refuseLifeless(row: TokenRow, now: Date): void {
  const status = statusOf(row, now)
  if (status !== 'active')
    throw new Problem('conflict', `The token is ${status}; only an active one can be rotated.`)
  // Its end is what it is about; the CI job gets another by the way it got this one.
  if (row.type === 'federated')
    throw new Problem('policy-violation', 'A federated token is not rotated: exchange for a new one.')
}

/** As it was, earlier, or later as far as the caller could give such an end to a new token. */
function newEnd(
  row: TokenRow,
  body: RotateBody,
  declared: Declared,
  maker: TokenPrincipal,
  { neverAllowed }: Mint,
  now: Date,
): Date | null {
  const asked = readExpiry(body, now)
  if (asked === undefined) return row.expire_at
  if (!isLater(asked, row.expire_at)) return asked
  const reached = row.scopes.flatMap((scope) => declared.get(scope)?.closure ?? [])
  return chooseExpiry(body, { neverAllowed, ...lifetimeOf(reached, declared, maker) }, now)
}

/** A later end is for the new secret: the one before keeps at most the end that it had. */
function previousEnd(row: TokenRow, body: RotateBody, expireAt: Date | null, now: Date): PreviousEnd {
  const onFirstUse = body.previousEnds === 'first-use'
  const graceMs = body.gracePeriod === undefined ? (onFirstUse ? null : 0) : readGrace(body.gracePeriod)
  if (graceMs === 0) return { ended: true, at: now, onFirstUse: false }
  const bound = isLater(expireAt, row.expire_at) ? row.expire_at : null
  if (graceMs === null) return { ended: false, at: bound, onFirstUse }
  const at = earliest(new Date(now.getTime() + graceMs), earliest(row.expire_at, expireAt))
  return { ended: false, at, onFirstUse }
}

function readGrace(text: string | number): number {
  const ms = typeof text === 'string' && !/\d/.test(text) ? Number.NaN : durationMs(text)
  if (ms <= longestGraceDays * dayMs) return ms
  throw fieldProblem(
    '/gracePeriod',
    `Must be 24h, PT24H or seconds, and at most ${longestGraceDays} days; 0: none.`,
  )
}
