// SQL over the secrets of a token: the present one, and the one before it while that still lives. Which ends when is
// decided in rotate.ts.
import { sql } from 'kysely'
import type { Db, Trx } from '../db/tables.ts'
import type { NewSecret, TokenRow } from './queries.ts'

/** What becomes of the secret that is replaced. `at` null: it lives until the new one is first used. */
export type PreviousEnd = { readonly ended: boolean; readonly at: Date | null; readonly onFirstUse: boolean }

export type Replacement = {
  readonly secret: NewSecret
  readonly hint: string
  readonly expireAt: Date | null
  readonly previous: PreviousEnd
}

/** @param row as locked by this transaction */
export async function replaceSecret(
  trx: Trx,
  row: TokenRow,
  { secret, hint, expireAt, previous }: Replacement,
  now: Date,
): Promise<void> {
  const present = row.secret_version
  const changed = await trx
    .updateTable('token')
    .set({
      hint,
      expire_at: expireAt,
      secret_version: secret.version,
      first_use_ends: previous.onFirstUse ? present : null,
      revision: row.revision + 1,
    })
    .where('id', '=', row.id)
    .where('revision', '=', row.revision)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  await endOlder(trx, row.id, present, now)
  const replaced = await trx
    .updateTable('token_secret')
    .set({ ended: previous.ended, ends_at: previous.at })
    .where('token_id', '=', row.id)
    .where('version', '=', present)
    .where('ended', '=', false)
    .executeTakeFirst()
  if (changed.numUpdatedRows !== 1n || replaced.numUpdatedRows !== 1n)
    throw new Error('A locked token has changed')
  await trx
    .insertInto('token_secret')
    .values({ ...secret, token_id: row.id, created_at: now, ends_at: null })
    .executeTakeFirstOrThrow()
}

/** Two live secrets at most: whatever came before the one that is being replaced is over. */
async function endOlder(trx: Trx, tokenId: string, present: number, now: Date): Promise<void> {
  await trx
    .updateTable('token_secret')
    .set({ ended: true, ends_at: sql<Date>`least(ends_at, ${now}::timestamptz)` })
    .where('token_id', '=', tokenId)
    .where('version', '<', present)
    .where('ended', '=', false)
    .execute()
}

/** @returns which of the token's secrets it is */
export async function versionOf(db: Db, digests: readonly Buffer[]): Promise<number | undefined> {
  const row = await db
    .selectFrom('token_secret')
    .select('version')
    .where('digest', 'in', [...digests])
    .executeTakeFirst()
  return row?.version
}
