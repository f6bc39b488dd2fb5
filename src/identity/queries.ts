// SQL over services, their secrets and scopes, and subjects.
import type { Selectable } from 'kysely'
import type { Db, ScopeGroupTable, ScopeTable, ServiceTable, SubjectTable, Trx } from '../db/tables.ts'

export type ServiceRow = Selectable<ServiceTable>
export type SubjectRow = Selectable<SubjectTable>
export type ScopeRow = Selectable<ScopeTable>
export type ScopeGroupRow = Selectable<ScopeGroupTable>
export type CredentialRow = { id: string; service_id: string; hint: string; created_at: Date }

export function serviceSecrets(db: Db, serviceId: string): Promise<{ phc: string; checksIp: boolean }[]> {
  return db
    .selectFrom('service_secret')
    .innerJoin('service', 'service.id', 'service_secret.service_id')
    .select(['service_secret.phc', 'service.checks_ip as checksIp'])
    .where('service.id', '=', serviceId)
    .orderBy('service_secret.id', 'desc')
    .execute()
}

export const services = (db: Db): Promise<ServiceRow[]> =>
  db.selectFrom('service').selectAll().orderBy('id').execute()

export const serviceById = (db: Db, id: string): Promise<ServiceRow | undefined> =>
  db.selectFrom('service').selectAll().where('id', '=', id).executeTakeFirst()

/** Held until the transaction ends, so that two callers cannot both take the last free place. */
export const lockService = (trx: Trx, id: string): Promise<ServiceRow | undefined> =>
  trx.selectFrom('service').selectAll().where('id', '=', id).forUpdate().executeTakeFirst()

export async function addService(trx: Trx, row: ServiceRow): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('service')
    .values(row)
    .onConflict((conflict) => conflict.column('id').doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

export const changeService = (trx: Trx, { id, ...row }: ServiceRow): Promise<ServiceRow> =>
  trx.updateTable('service').set(row).where('id', '=', id).returningAll().executeTakeFirstOrThrow()

export async function removeService(trx: Trx, id: string): Promise<boolean> {
  const { numDeletedRows } = await trx.deleteFrom('service').where('id', '=', id).executeTakeFirst()
  return numDeletedRows === 1n
}

export const credentials = (db: Db, serviceIds: readonly string[]): Promise<CredentialRow[]> =>
  db
    .selectFrom('service_secret')
    .select(['id', 'service_id', 'hint', 'created_at'])
    .where('service_id', 'in', serviceIds.length > 0 ? serviceIds : [''])
    .orderBy('id')
    .execute()

export const addCredential = (trx: Trx, row: CredentialRow & { phc: string }) =>
  trx.insertInto('service_secret').values(row).executeTakeFirstOrThrow()

export async function removeCredential(trx: Trx, serviceId: string, id: string): Promise<boolean> {
  const { numDeletedRows } = await trx
    .deleteFrom('service_secret')
    .where('id', '=', id)
    .where('service_id', '=', serviceId)
    .executeTakeFirst()
  return numDeletedRows === 1n
}

export const scopes = (db: Db): Promise<ScopeRow[]> =>
  db.selectFrom('scope').selectAll().orderBy('service_id').orderBy('position').execute()

export const scopeGroups = (db: Db): Promise<ScopeGroupRow[]> =>
  db.selectFrom('scope_group').selectAll().orderBy('service_id').orderBy('position').execute()

/**
 * All of a service's groups and scopes at once: what is not named any more is gone.
 * @returns the names that it got; another service may be declaring the same ones at this moment
 */
export async function replaceScopes(
  trx: Trx,
  serviceId: string,
  groups: readonly ScopeGroupRow[],
  rows: readonly ScopeRow[],
): Promise<string[]> {
  await trx.deleteFrom('scope').where('service_id', '=', serviceId).execute()
  await trx.deleteFrom('scope_group').where('service_id', '=', serviceId).execute()
  if (groups.length > 0) await trx.insertInto('scope_group').values(groups).execute()
  if (rows.length === 0) return []
  const got = await trx
    .insertInto('scope')
    .values(rows)
    .onConflict((conflict) => conflict.column('name').doNothing())
    .returning('name')
    .execute()
  return got.map((row) => row.name)
}

export const subjectById = (db: Db, id: string): Promise<SubjectRow | undefined> =>
  db.selectFrom('subject').selectAll().where('id', '=', id).executeTakeFirst()

/** Makes the subject known, and holds it as it is until the transaction ends: a disable waits or is seen. */
export async function holdSubject(trx: Trx, id: string, now: Date): Promise<SubjectRow> {
  await addSubject(trx, id, now)
  return trx.selectFrom('subject').selectAll().where('id', '=', id).forShare().executeTakeFirstOrThrow()
}

export async function changeSubject(
  trx: Trx,
  id: string,
  now: Date,
  change: (before: SubjectRow) => Partial<SubjectRow>,
): Promise<SubjectRow> {
  await addSubject(trx, id, now)
  const before = await trx
    .selectFrom('subject')
    .selectAll()
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirstOrThrow()
  return trx
    .updateTable('subject')
    .set({ id, ...change(before) })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
}

const addSubject = (trx: Trx, id: string, now: Date) =>
  trx
    .insertInto('subject')
    .values({ id, disabled_at: null, scope_cap: null, created_at: now })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute()
