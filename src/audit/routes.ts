// GET /api/v1/audit-events: who did what, newest first.
import Type from 'typebox'
import type { Db } from '../db/tables.ts'
import { tokenPrincipal } from '../guard/principal.ts'
import type { Cursors } from '../http/cursor.ts'
import { page } from '../http/page.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { auditActions } from './events.ts'
import { auditEvents } from './queries.ts'

export type AuditDependencies = { readonly db: Db; readonly cursors: Cursors; readonly issuer: string }

const nullable = Type.Union([Type.String(), Type.Null()])
const EventSchema = Type.Object(
  {
    id: Type.String(),
    at: Type.String({ format: 'date-time' }),
    action: Type.String({ description: `One of ${auditActions.join(', ')}; more may come.` }),
    actor: Type.String({ description: 'The subject or service that did it.' }),
    actorTokenId: nullable,
    tokenId: nullable,
    subject: nullable,
    serviceId: nullable,
    requestId: nullable,
    clientIp: nullable,
    detail: Type.Object({}, { additionalProperties: true }),
  },
  { $id: 'AuditEvent', additionalProperties: false },
)

const Query = Type.Object(
  {
    tokenId: Type.Optional(Type.String({ maxLength: 64, format: 'text' })),
    subject: Type.Optional(Type.String({ maxLength: 100, format: 'text' })),
    serviceId: Type.Optional(Type.String({ maxLength: 64, format: 'text' })),
    action: Type.Optional(Type.Enum(auditActions)),
    since: Type.Optional(Type.String({ format: 'date-time', description: 'At this time or later.' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 30 })),
    cursor: Type.Optional(
      Type.String({ maxLength: 500, description: 'From the Link header of the page before.' }),
    ),
  },
  { additionalProperties: false },
)

export function auditRoutes(app: App, { db, cursors, issuer }: AuditDependencies): void {
  app.addSchema(EventSchema)
  app.route({
    method: 'GET',
    url: '/api/v1/audit-events',
    config: {
      policy: { access: 'token', scopes: ['audit:read'] },
      catalog: { effects: { readOnly: true }, errors: ['validation-failed', 'unknown-field'] },
    },
    schema: {
      operationId: 'listAuditEvents',
      summary: 'List audit events, newest first',
      description:
        'Every change is recorded in the transaction that makes it. A bare array; the next page is in the Link header.',
      tags: ['Audit'],
      querystring: Query,
      response: { 200: Type.Array(ref(EventSchema)) },
    },
    handler: async (request, reply) => {
      const { limit = 30, cursor, ...filter } = request.query
      const list = ['audit', tokenPrincipal(request).facts.subject, Object.entries(filter).sort()]
      const read = (before: string | null, most: number) => auditEvents(db, filter, before, most)
      const rows = await page(request, reply, { cursors, issuer, list, cursor, limit, read })
      return rows.map((row) => ({
        id: row.id,
        at: row.at.toISOString(),
        action: row.action,
        actor: row.actor,
        actorTokenId: row.actor_token_id,
        tokenId: row.token_id,
        subject: row.subject,
        serviceId: row.service_id,
        requestId: row.request_id,
        clientIp: row.client_ip,
        detail: row.detail,
      }))
    },
  })
}
