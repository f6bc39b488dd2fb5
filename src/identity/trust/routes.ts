// /api/v1/trust-policies: which CI jobs get which tokens. For admins of tokens only, since it is giving out tokens.
import Type from 'typebox'
import type { AuditEvent } from '../../audit/events.ts'
import { record } from '../../audit/record.ts'
import { newId } from '../../db/ids.ts'
import type { Db } from '../../db/tables.ts'
import { actorOf, tokenPrincipal } from '../../guard/principal.ts'
import type { Write } from '../../guard/write.ts'
import type { Cursors } from '../../http/cursor.ts'
import { page } from '../../http/page.ts'
import { fieldProblem, Problem } from '../../http/problem.ts'
import { ref } from '../../http/ref.ts'
import type { App } from '../../http/server.ts'
import { showRanges } from '../../token/ip-restriction.ts'
import { revokeOfPolicy } from '../../token/revoke.ts'
import { explain } from './explain.ts'
import type { CheckSignature } from './keys.ts'
import { drafted, redrafted } from './make.ts'
import {
  addPolicy,
  changePolicy,
  listPolicies,
  lockPolicy,
  type PolicyRow,
  policyById,
  removePolicy,
} from './queries.ts'
import {
  PolicyBody,
  PolicyChanges,
  PolicyId,
  PolicyQuery,
  PolicySchema,
  type PolicyView,
  RemovedSchema,
  TestBody,
  TestedSchema,
} from './schemas.ts'

export type TrustDependencies = {
  readonly db: Db
  readonly write: Write
  readonly cursors: Cursors
  readonly issuer: string
  /** Origins of issuers that may be inside. */
  readonly internal: readonly string[]
  readonly checkSignature: CheckSignature
  readonly now: () => number
  readonly onRevoked: (count: number) => void
}

const tags = ['Trust policies']
const policy = { access: 'token', scopes: ['tokens:admin'] } as const

export function trustRoutes(app: App, dependencies: TrustDependencies): void {
  const { db, write, cursors, issuer, internal, checkSignature, onRevoked } = dependencies
  const now = () => new Date(dependencies.now())
  app.addSchema(PolicySchema)
  app.addSchema(TestedSchema)

  app.route({
    method: 'POST',
    url: '/api/v1/trust-policies',
    config: {
      policy,
      catalog: {
        effects: { readOnly: false },
        errors: ['validation-failed', 'unknown-field', 'unknown-scope', 'policy-violation'],
      },
    },
    schema: {
      operationId: 'createTrustPolicy',
      summary: 'Let CI jobs exchange their provider’s token for one of Latchkey’s',
      description:
        'Refused where it would trust more than one workload: names that can be taken over, patterns, jobs for people from outside. Never wider than the token that makes it.',
      tags,
      body: PolicyBody,
      response: { 200: ref(PolicySchema) },
    },
    handler: async (request, reply) => {
      const row = await write(request, async (trx) => {
        const id = newId('pol', now().getTime())
        const draft = await drafted(
          trx,
          id,
          request.body,
          tokenPrincipal(request),
          { issuer, internal },
          now(),
        )
        const made = await addPolicy(trx, draft)
        await record(trx, eventOf('trust_policy.created', made), actorOf(request), now())
        return made
      })
      return reply.header('location', `/api/v1/trust-policies/${row.id}`).send(viewOf(row) as never)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/trust-policies',
    config: { policy, catalog: { effects: { readOnly: true }, errors: ['validation-failed'] } },
    schema: {
      operationId: 'listTrustPolicies',
      summary: 'List trust policies, newest first',
      description:
        'A bare array; the next page is in the Link header. With maker, those that somebody who leaves has answered for.',
      tags,
      querystring: PolicyQuery,
      response: { 200: Type.Array(ref(PolicySchema)) },
    },
    handler: async (request, reply) => {
      const { limit = 30, cursor, ...filter } = request.query
      const list = ['trust policies', tokenPrincipal(request).facts.subject, Object.entries(filter).sort()]
      const read = (before: string | null, most: number) => listPolicies(db, filter, before, most)
      const rows = await page(request, reply, { cursors, issuer, list, cursor, limit, read })
      return rows.map(viewOf) as never
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/trust-policies/:id',
    config: { policy, catalog: { effects: { readOnly: true }, errors: ['not-found'] } },
    schema: {
      operationId: 'readTrustPolicy',
      summary: 'Show a trust policy',
      tags,
      params: PolicyId,
      response: { 200: ref(PolicySchema) },
    },
    handler: async ({ params: { id } }) => viewOf(known(await policyById(db, id))) as never,
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/trust-policies/:id',
    config: {
      policy,
      catalog: {
        effects: { readOnly: false },
        errors: ['validation-failed', 'unknown-field', 'unknown-scope', 'policy-violation', 'not-found'],
      },
    },
    schema: {
      operationId: 'changeTrustPolicy',
      summary: 'Change a trust policy, and answer for it',
      description:
        'What is left out stays. The whole of it is judged anew, as if the caller had made it. Tokens that were exchanged before stay as they are, and end within the hour.',
      tags,
      params: PolicyId,
      body: PolicyChanges,
      response: { 200: ref(PolicySchema) },
    },
    handler: async (request) => {
      const row = await write(request, async (trx) => {
        const before = known(await lockPolicy(trx, request.params.id))
        const after = await changePolicy(
          trx,
          await redrafted(trx, before, request.body, tokenPrincipal(request), now()),
        )
        await record(trx, eventOf('trust_policy.updated', after), actorOf(request), now())
        return after
      })
      return viewOf(row) as never
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/trust-policies/:id',
    config: { policy, catalog: { effects: { readOnly: false, destructive: true }, errors: ['not-found'] } },
    schema: {
      operationId: 'removeTrustPolicy',
      summary: 'Remove a trust policy, and revoke the tokens that came of it',
      description:
        'When this is answered, nothing is exchanged by it any more, and no replica accepts a token that it gave, or that such a token made.',
      tags,
      params: PolicyId,
      response: { 200: RemovedSchema },
    },
    handler: async (request) => {
      const { id } = request.params
      const revokedTokens = await write(request, async (trx, invalidate) => {
        // First: an exchange that holds it has committed then, and its token is seen.
        const gone = known(await removePolicy(trx, id))
        const count = await revokeOfPolicy(trx, id, actorOf(request), invalidate, now())
        await record(trx, eventOf('trust_policy.removed', gone, count), actorOf(request), now())
        return count
      })
      onRevoked(revokedTokens)
      return { message: 'Trust policy removed', status: 200, id, revokedTokens }
    },
  })

  app.route({
    method: 'POST',
    url: '/api/v1/trust-policies/:id/test',
    config: {
      policy,
      catalog: { effects: { readOnly: true }, errors: ['validation-failed', 'unknown-field', 'not-found'] },
    },
    schema: {
      operationId: 'testTrustPolicy',
      summary: 'Explain why a token matches a trust policy, or does not',
      description: 'Claim by claim. A token is not used up by it.',
      tags,
      params: PolicyId,
      body: TestBody,
      response: { 200: ref(TestedSchema) },
    },
    handler: async (request) => {
      const row = known(await policyById(db, request.params.id))
      const { token, claims } = request.body
      if ((token === undefined) === (claims === undefined))
        throw fieldProblem('/token', 'Give a token, or claims.')
      const sample = token === undefined ? { claims: claims as Record<string, unknown> } : { token }
      return (await explain(row, sample, db, checkSignature, dependencies.now())) as never
    },
  })
}

function known(row: PolicyRow | undefined): PolicyRow {
  if (row) return row
  throw new Problem('not-found', 'There is no such trust policy.')
}

type Action = 'trust_policy.created' | 'trust_policy.updated' | 'trust_policy.removed'

function eventOf(action: Action, row: PolicyRow, revokedTokens?: number): AuditEvent {
  const { id: policyId, subject, ...detail } = viewOf(row)
  return { action, subject, detail: { policyId, ...detail, revokedTokens } }
}

function viewOf(row: PolicyRow): PolicyView {
  return {
    id: row.id,
    name: row.name,
    description: row.description,
    provider: row.provider,
    issuer: row.issuer,
    audience: row.audience,
    conditions: row.conditions,
    scopes: row.scopes,
    team: row.team,
    services: row.services,
    ipRestriction: showRanges(row.ip_ranges),
    maxLifetimeMinutes: row.max_lifetime_minutes,
    subject: row.subject,
    maker: row.maker,
    expireAt: row.expire_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    createdBy: row.created_by,
    updatedAt: row.updated_at.toISOString(),
  }
}
