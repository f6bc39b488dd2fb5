// SQL over what services publish: their documents and their guidance; and which scopes live tokens hold.
import { type Selectable, sql } from 'kysely'
import type { Db, ServiceDocumentTable, Trx } from '../db/tables.ts'
import type { Guidance, Job, Preset, ServiceWorkflow } from './guidance.ts'

export type DocumentRow = Selectable<ServiceDocumentTable>

/** One publishing at a time: whether routes overlap and scopes exist is a question about all services. */
export const lockCatalog = (trx: Trx) =>
  sql`select pg_advisory_xact_lock(hashtext('latchkey catalog'))`.execute(trx)

export const digests = (db: Db): Promise<Omit<DocumentRow, 'document'>[]> =>
  db
    .selectFrom('service_document')
    .select(['service_id', 'digest', 'published_at'])
    .orderBy('service_id')
    .execute()

export const documents = (db: Db, serviceIds: readonly string[]): Promise<DocumentRow[]> =>
  db
    .selectFrom('service_document')
    .selectAll()
    .where('service_id', 'in', [...serviceIds, ''])
    .execute()

export async function documentOf(db: Db, serviceId: string): Promise<DocumentRow | undefined> {
  return (await documents(db, [serviceId]))[0]
}

export const putDocument = (trx: Trx, { service_id, ...rest }: DocumentRow) =>
  trx
    .insertInto('service_document')
    .values({ service_id, ...rest })
    .onConflict((conflict) => conflict.column('service_id').doUpdateSet(rest))
    .executeTakeFirstOrThrow()

export async function guidance(db: Db): Promise<Guidance[]> {
  const rows = await db.selectFrom('service_guidance').selectAll().orderBy('service_id').execute()
  return rows.map((row) => ({
    service: row.service_id,
    presets: row.presets as Preset[],
    jobs: row.jobs as Job[],
    workflows: row.workflows as ServiceWorkflow[],
  }))
}

export function putGuidance(trx: Trx, { service, presets, jobs, workflows }: Guidance) {
  const columns = {
    presets: JSON.stringify(presets),
    jobs: JSON.stringify(jobs),
    workflows: JSON.stringify(workflows),
  }
  return trx
    .insertInto('service_guidance')
    .values({ service_id: service, ...columns })
    .onConflict((conflict) => conflict.column('service_id').doUpdateSet(columns))
    .executeTakeFirstOrThrow()
}

export type Held = { readonly scope: string; readonly liveTokens: number }

/** Of these scopes, those that tokens have which are not revoked and not expired, themselves or through others. */
export async function heldScopes(db: Db, scopes: readonly string[], now: Date): Promise<Held[]> {
  if (scopes.length === 0) return []
  const { rows } = await sql<{ scope: string; tokens: number }>`
    select wanted.scope, count(*) as tokens
    from unnest(${[...scopes]}::text[]) as wanted(scope)
    join token t on t.revoked_at is null and (t.expire_at is null or t.expire_at > ${now})
      and exists (select from scope s where s.name = any(t.scopes) and wanted.scope = any(s.closure))
    group by wanted.scope order by wanted.scope`.execute(db)
  return rows.map(({ scope, tokens }) => ({ scope, liveTokens: Number(tokens) }))
}
