// SQL over tokens. Writes are single conditional statements whose row count the caller asserts.
import { type ExpressionBuilder, type Selectable, type SqlBool, sql } from 'kysely'
import { type Given, statement } from '../db/statement.ts'
import type { Db, Tables, TokenTable, TokenUsageTable, Trx } from '../db/tables.ts'

/** A token as it is read: with what others know of it. */
export type TokenRow = Selectable<TokenTable> & {
  last_used_at: Date | null
  subject_disabled_at: Date | null
  /** Of the secret before the present one; null: there is none any more. */
  previous_ended: boolean | null
  previous_ends_at: Date | null
}

export type Status = 'active' | 'disabled' | 'expired' | 'revoked'

export type TokenFilter = {
  readonly status?: Status | 'any'
  readonly type?: TokenTable['type']
  readonly subject?: string
  readonly team?: string
  readonly scope?: string
  readonly q?: string
  readonly createdAfter?: string
  readonly createdBefore?: string
  readonly expiresBefore?: string
  /** A time, or `never`. */
  readonly lastUsedBefore?: string
}

const tokens = (db: Db) =>
  db
    .selectFrom('token')
    .innerJoin('subject', 'subject.id', 'token.subject')
    .leftJoin('token_usage', 'token_usage.token_id', 'token.id')
    .leftJoin('token_secret as previous', (join) =>
      join
        .onRef('previous.token_id', '=', 'token.id')
        .on('previous.version', '=', sql<number>`token.secret_version - 1`),
    )
    .selectAll('token')
    .select(['token_usage.last_used_at', 'subject.disabled_at as subject_disabled_at'])
    .select(['previous.ended as previous_ended', 'previous.ends_at as previous_ends_at'])

type ById = Given<{ id: string }>

const byId = statement((db, given: ById) => tokens(db).where('token.id', '=', given.id))

export const tokenById = async (db: Db, id: string): Promise<TokenRow | undefined> =>
  (await byId(db, { id })).rows[0]

export const usageOf = (db: Db, id: string): Promise<Selectable<TokenUsageTable> | undefined> =>
  db.selectFrom('token_usage').selectAll().where('token_id', '=', id).executeTakeFirst()

/** Newest first. @param before a token id: only older ones */
export function listTokens(
  db: Db,
  filter: TokenFilter,
  before: string | null,
  limit: number,
  now: Date,
): Promise<TokenRow[]> {
  let query = tokens(db).orderBy('token.id', 'desc').limit(limit)
  query = query.where((where) => inStatus(where, filter.status, now))
  if (filter.type !== undefined) query = query.where('token.type', '=', filter.type)
  if (filter.subject !== undefined) query = query.where('token.subject', '=', filter.subject)
  if (filter.team !== undefined) query = query.where('token.team', '=', filter.team)
  if (filter.scope !== undefined) query = query.where(sql<SqlBool>`${filter.scope} = any(token.scopes)`)
  if (filter.q !== undefined) query = query.where((where) => mentions(where, filter.q!))
  if (filter.createdAfter !== undefined)
    query = query.where('token.created_at', '>', new Date(filter.createdAfter))
  if (filter.createdBefore !== undefined)
    query = query.where('token.created_at', '<', new Date(filter.createdBefore))
  if (filter.expiresBefore !== undefined)
    query = query.where('token.expire_at', '<', new Date(filter.expiresBefore))
  if (filter.lastUsedBefore === 'never') query = query.where('token_usage.last_used_at', 'is', null)
  else if (filter.lastUsedBefore !== undefined)
    query = query.where('token_usage.last_used_at', '<', new Date(filter.lastUsedBefore))
  if (before !== null) query = query.where('token.id', '<', before)
  return query.execute()
}

type Joined = Tables & { token_usage: Tables['token_usage'] }
type Where = ExpressionBuilder<Joined, 'token' | 'subject' | 'token_usage'>

/** The same order of precedence as statusOf in model.ts. Left out: everything that is not revoked. */
function inStatus(where: Where, status: TokenFilter['status'], now: Date) {
  const revoked = where('token.revoked_at', 'is not', null)
  const expired = where('token.expire_at', '<=', now)
  const disabled = where.or([
    where('token.disabled_at', 'is not', null),
    where('subject.disabled_at', 'is not', null),
  ])
  const lives = sql<SqlBool>`(token.expire_at is null or token.expire_at > ${now})`
  switch (status) {
    case 'any':
      return sql<SqlBool>`true`
    case 'revoked':
      return revoked
    case 'expired':
      return where.and([where.not(revoked), expired])
    case 'disabled':
      return where.and([where.not(revoked), lives, disabled])
    case 'active':
      return where.and([where.not(revoked), lives, where.not(disabled)])
    case undefined:
      return where.not(revoked)
  }
}

function mentions(where: Where, text: string) {
  const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`
  return where.or([
    where('token.name', 'ilike', pattern),
    where('token.description', 'ilike', pattern),
    where('token.hint', 'ilike', pattern),
  ])
}

/** What a token begins without. */
type Later =
  | 'secret_version'
  | 'first_use_ends'
  | 'revision'
  | 'disabled_at'
  | 'disabled_by'
  | 'disabled_by_admin'
  | 'revoked_at'
  | 'revoked_by'

export type NewToken = Omit<Selectable<TokenTable>, 'metadata' | 'trust_policy' | Later> & {
  metadata: string
  trust_policy: string | null | ReturnType<typeof policyOf>
}
export type NewSecret = { digest: Buffer; key_id: string; version: number }

/** For a token that another one makes: what comes of a policy stays so, however many steps away. */
export const policyOf = (trx: Trx, tokenId: string) =>
  trx.selectFrom('token as maker').select('maker.trust_policy').where('maker.id', '=', tokenId)

export async function insertToken(trx: Trx, token: NewToken, secret: NewSecret): Promise<void> {
  await trx.insertInto('token').values(token).executeTakeFirstOrThrow()
  await trx
    .insertInto('token_secret')
    .values({ ...secret, token_id: token.id, created_at: token.created_at, ends_at: null })
    .executeTakeFirstOrThrow()
}

const lockedById = statement((db, given: ById) =>
  tokens(db).where('token.id', '=', given.id).forUpdate('token'),
)

/** Held until the transaction ends, for a change that depends on what the token is now. */
export const lockToken = async (trx: Trx, id: string): Promise<TokenRow | undefined> =>
  (await lockedById(trx, { id })).rows[0]

const withSubject = (db: Db, given: ById) =>
  db
    .selectFrom('token')
    .innerJoin('subject', 'subject.id', 'token.subject')
    .select('token.id')
    .where('token.id', '=', given.id)
const shareMaker = statement((db, given: ById) => withSubject(db, given).forShare())
const lockMaker = statement((db, given: ById) => withSubject(db, given).forUpdate('token'))

/**
 * Keeps the token that makes a change, and its subject, as they are until the transaction ends: a revoke or a
 * narrowing of it waits, or has been seen. Else a stolen token could mint its successor while it is being revoked.
 * @param itself whether it is about to be changed: then it is locked for that at once, as sharing first would deadlock
 */
export async function holdMaker(trx: Trx, id: string, itself: boolean): Promise<void> {
  await (itself ? lockMaker : shareMaker)(trx, { id })
}

export type TokenChange = Partial<
  Pick<NewToken, 'name' | 'description' | 'scopes' | 'ip_ranges' | 'expire_at' | 'metadata'>
>

/** @returns whether the token was there, unrevoked, at that revision */
export async function updateToken(
  trx: Trx,
  id: string,
  revision: number,
  change: TokenChange,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('token')
    .set({ ...change, revision: revision + 1 })
    .where('id', '=', id)
    .where('revision', '=', revision)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

const revokeUnrevoked = statement((db, given: Given<{ id: string; by: string; now: Date }>) =>
  db
    .updateTable('token')
    .set((set) => ({ revoked_at: given.now, revoked_by: given.by, revision: set('revision', '+', 1) }))
    .where('id', '=', given.id)
    .where('revoked_at', 'is', null),
)

/** @returns false: it was revoked before */
export async function markRevoked(trx: Trx, id: string, by: string, now: Date): Promise<boolean> {
  const { numAffectedRows } = await revokeUnrevoked(trx, { id, by, now })
  return numAffectedRows === 1n
}

/** All that came of a policy and is not over, by this or any other replica's clock. @returns those that this call revoked */
export function markRevokedOfPolicy(
  trx: Trx,
  policyId: string,
  by: string,
  now: Date,
): Promise<Pick<TokenRow, 'id' | 'name' | 'subject'>[]> {
  const surelyOver = new Date(now.getTime() - mostClockDifferenceMs)
  return trx
    .updateTable('token')
    .set((set) => ({ revoked_at: now, revoked_by: by, revision: set('revision', '+', 1) }))
    .where('trust_policy', '=', policyId)
    .where('revoked_at', 'is', null)
    .where((where) => where.or([where('expire_at', 'is', null), where('expire_at', '>', surelyOver)]))
    .returning(['id', 'name', 'subject'])
    .execute()
}

const mostClockDifferenceMs = 60_000

/** By a secret that is not over: who has one that a rotation has ended has nothing of the token any more. */
export async function tokenIdByDigest(
  db: Db,
  digests: readonly Buffer[],
  now: Date,
): Promise<string | undefined> {
  const row = await db
    .selectFrom('token_secret')
    .select('token_id')
    .where('digest', 'in', [...digests])
    .where('ended', '=', false)
    .where((eb) => eb.or([eb('ends_at', 'is', null), eb('ends_at', '>', now)]))
    .executeTakeFirst()
  return row?.token_id
}

/** @returns whether this call paused it; false when it was paused before, unless an admin's pause replaces its owner's */
export async function markDisabled(
  trx: Trx,
  { id, disabled_at }: TokenRow,
  { by, byAdmin }: { by: string; byAdmin: boolean },
  now: Date,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('token')
    .set((set) => ({
      disabled_at: disabled_at ?? now,
      disabled_by: by,
      disabled_by_admin: byAdmin,
      revision: set('revision', '+', 1),
    }))
    .where('id', '=', id)
    .where('revoked_at', 'is', null)
    .where((where) =>
      where.or([
        where('disabled_at', 'is', null),
        where.and([where('disabled_by_admin', '=', false), where.val(byAdmin)]),
      ]),
    )
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** @returns whether this call let it go on; false when it was not paused */
export async function markEnabled(trx: Trx, { id }: TokenRow): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('token')
    .set((set) => ({
      disabled_at: null,
      disabled_by: null,
      disabled_by_admin: false,
      revision: set('revision', '+', 1),
    }))
    .where('id', '=', id)
    .where('disabled_at', 'is not', null)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}
