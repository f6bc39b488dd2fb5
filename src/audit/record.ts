// Writes an audit event in the transaction of the change it records: either both are there or neither.
import { newId } from '../db/ids.ts'
import type { Trx } from '../db/tables.ts'
import type { Actor, AuditEvent } from './events.ts'

export async function record(trx: Trx, event: AuditEvent, actor: Actor, now: Date): Promise<void> {
  await trx
    .insertInto('audit_event')
    .values({
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
    .executeTakeFirstOrThrow()
}
