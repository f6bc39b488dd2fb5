// Writes an audit event in the transaction of the change it records: either both are there or neither.
import type { Insertable } from 'kysely'
import { newId } from '../db/ids.ts'
import { type Given, statement } from '../db/statement.ts'
import type { AuditEventTable, Trx } from '../db/tables.ts'
import type { Actor, AuditEvent } from './events.ts'

const insert = statement((db, given: Given<Insertable<AuditEventTable>>) =>
  db.insertInto('audit_event').values({
    id: given.id,
    at: given.at,
    action: given.action,
    actor: given.actor,
    actor_token_id: given.actor_token_id,
    token_id: given.token_id,
    subject: given.subject,
    service_id: given.service_id,
    request_id: given.request_id,
    client_ip: given.client_ip,
    detail: given.detail,
  }),
)

export async function record(trx: Trx, event: AuditEvent, actor: Actor, now: Date): Promise<void> {
  await insert(trx, {
    id: newId('evt', now.getTime()),
    at: now,
    action: event.action,
    actor: actor.name,
    actor_token_id: actor.tokenId,
    token_id: 'tokenId' in event ? event.tokenId : null,
    subject: 'subject' in event ? event.subject : null,
    service_id: 'serviceId' in event ? event.serviceId : null,
    request_id: actor.requestId,
    client_ip: actor.clientIp,
    detail: JSON.stringify(event.detail),
  })
}
