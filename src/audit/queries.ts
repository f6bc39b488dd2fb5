// Reads audit events, newest first.
import type { Selectable } from 'kysely'
import type { AuditEventTable, Db } from '../db/tables.ts'

export type AuditFilter = {
  tokenId?: string
  subject?: string
  serviceId?: string
  action?: string
  since?: string
}

/** @param before an event id: only older ones */
export function auditEvents(
  db: Db,
  filter: AuditFilter,
  before: string | null,
  limit: number,
): Promise<Selectable<AuditEventTable>[]> {
  let query = db.selectFrom('audit_event').selectAll().orderBy('id', 'desc').limit(limit)
  if (filter.tokenId !== undefined) query = query.where('token_id', '=', filter.tokenId)
  if (filter.subject !== undefined) query = query.where('subject', '=', filter.subject)
  if (filter.serviceId !== undefined) query = query.where('service_id', '=', filter.serviceId)
  if (filter.action !== undefined) query = query.where('action', '=', filter.action)
  if (filter.since !== undefined) query = query.where('at', '>=', new Date(filter.since))
  if (before !== null) query = query.where('id', '<', before)
  return query.execute()
}
