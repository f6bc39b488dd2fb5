// Work that gives out a secret, done once for each Idempotency-Key: whoever asks again gets the same answer, for ten
// minutes. The answer is kept in the transaction that does the work, so after a crash either both are there or neither.
import { sql } from 'kysely'
import type { Trx } from '../db/tables.ts'
import { Problem } from '../http/problem.ts'
import type { RetryKey } from './idempotency-key.ts'

export type Retry = { readonly key: RetryKey; readonly fingerprint: Buffer }
/** What is answered, and about which token. It is kept as JSON. */
export type Made<T> = { readonly tokenId: string; readonly answer: T }
export type Done<T> = Made<T> & { readonly replayed: boolean }

const keptMs = 10 * 60_000

/**
 * @param retry null: the caller gave no key @param make the work @param admit throws if the caller may not have the secret
 * of this token now, whatever it was given before
 */
export async function once<T extends object>(
  trx: Trx,
  retry: Retry | null,
  now: Date,
  make: () => Promise<Made<T>>,
  admit: (tokenId: string) => Promise<void>,
): Promise<Done<T>> {
  if (retry === null) return { ...(await make()), replayed: false }
  await claim(trx, retry)
  const kept = await keptAnswer(trx, retry, now)
  if (kept) {
    await admit(kept.tokenId)
    return { ...kept, answer: JSON.parse(kept.answer), replayed: true }
  }
  const made = await make()
  await keep(trx, retry, made, now)
  return { ...made, replayed: false }
}

/** Until the transaction ends, however it ends: a process that dies leaves nothing behind that had to be taken over. */
async function claim(trx: Trx, { key }: Retry): Promise<void> {
  const number = key.id.readBigInt64BE().toString()
  const { rows } = await sql<{
    got: boolean
  }>`select pg_try_advisory_xact_lock(${number}::bigint) as got`.execute(trx)
  if (rows[0]!.got) return
  throw new Problem(
    'idempotency-in-progress',
    'A request with this Idempotency-Key is being worked on.',
    {},
    { 'retry-after': '1' },
  )
}

async function keptAnswer(trx: Trx, { key, fingerprint }: Retry, now: Date) {
  const row = await trx
    .selectFrom('replay')
    .select(['fingerprint', 'token_id', 'sealed'])
    .where('id', '=', key.id)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  if (!row) return null
  if (!fingerprint.equals(row.fingerprint)) {
    throw new Problem(
      'idempotency-key-reused',
      'This Idempotency-Key was used for another request. Take a new key for each.',
    )
  }
  return { tokenId: row.token_id, answer: key.open(row.sealed) }
}

/** In place of one that is over and was not cleaned away yet. */
async function keep<T>(trx: Trx, { key, fingerprint }: Retry, made: Made<T>, now: Date): Promise<void> {
  const row = {
    fingerprint,
    token_id: made.tokenId,
    sealed: key.seal(JSON.stringify(made.answer)),
    expires_at: new Date(now.getTime() + keptMs),
  }
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('replay')
    .values({ id: key.id, ...row })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(row).where('replay.expires_at', '<=', now))
    .executeTakeFirst()
  if (numInsertedOrUpdatedRows !== 1n) throw new Error('An answer was kept twice')
}
