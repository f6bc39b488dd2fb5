// SQL over trust policies, and over which tokens of CI providers were used.
import type { Selectable } from 'kysely'
import type { Db, TrustPolicyTable, Trx } from '../../db/tables.ts'

export type PolicyRow = Selectable<TrustPolicyTable>
export type NewPolicy = Omit<PolicyRow, 'conditions' | 'revision'> & { conditions: string }

export const addPolicy = (trx: Trx, row: NewPolicy): Promise<PolicyRow> =>
  trx.insertInto('trust_policy').values(row).returningAll().executeTakeFirstOrThrow()

export const policyById = (db: Db, id: string): Promise<PolicyRow | undefined> =>
  db.selectFrom('trust_policy').selectAll().where('id', '=', id).executeTakeFirst()

export const lockPolicy = (trx: Trx, id: string): Promise<PolicyRow | undefined> =>
  trx.selectFrom('trust_policy').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()

export const changePolicy = (trx: Trx, { id, ...row }: NewPolicy): Promise<PolicyRow> =>
  trx
    .updateTable('trust_policy')
    .set((set) => ({ ...row, revision: set('revision', '+', 1) }))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()

export const removePolicy = (trx: Trx, id: string): Promise<PolicyRow | undefined> =>
  trx.deleteFrom('trust_policy').where('id', '=', id).returningAll().executeTakeFirst()

export type PolicyFilter = { readonly maker?: string; readonly team?: string }

/** Newest first. @param before a policy's id: only older ones */
export function listPolicies(
  db: Db,
  filter: PolicyFilter,
  before: string | null,
  limit: number,
): Promise<PolicyRow[]> {
  let query = db.selectFrom('trust_policy').selectAll().orderBy('id', 'desc').limit(limit)
  if (filter.maker !== undefined) query = query.where('maker', '=', filter.maker)
  if (filter.team !== undefined) query = query.where('team', '=', filter.team)
  if (before !== null) query = query.where('id', '<', before)
  return query.execute()
}

/** Oldest first, so that a new policy never takes over what an older one gives. */
export const policiesOfIssuer = (db: Db, issuer: string): Promise<PolicyRow[]> =>
  db.selectFrom('trust_policy').selectAll().where('issuer', '=', issuer).orderBy('id').execute()

/** Held as they are until the transaction ends: a change or removal waits, or has been seen. */
export const holdPolicies = (trx: Trx, ids: readonly string[]): Promise<PolicyRow[]> =>
  trx.selectFrom('trust_policy').selectAll().where('id', 'in', ids).orderBy('id').forShare().execute()

/** @returns whether this is its first use: of any number at once, on any replica, one is */
export async function useOnce(trx: Trx, issuer: string, jtiHash: Buffer, until: Date): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('federated_use')
    .values({ issuer, jti_hash: jtiHash, until })
    .onConflict((conflict) => conflict.columns(['issuer', 'jti_hash']).doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

export async function wasUsed(db: Db, issuer: string, jtiHash: Buffer): Promise<boolean> {
  const row = await db
    .selectFrom('federated_use')
    .select('until')
    .where('issuer', '=', issuer)
    .where('jti_hash', '=', jtiHash)
    .executeTakeFirst()
  return row !== undefined
}

const most = 10_000

/** What is refused by its age alone need not be remembered. @returns how many went */
export async function cleanUses(db: Db, now: Date): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('federated_use')
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('issuer', 'jti_hash'),
        'in',
        selectFrom('federated_use')
          .select(['issuer', 'jti_hash'])
          .where('until', '<=', now)
          .limit(most)
          .$asTuple('issuer', 'jti_hash'),
      ),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}
