// /api/v1/tokens: provision, list, read, narrow, revoke; rotating and pausing are rotate-routes.ts and pause-routes.ts. Own tokens with tokens:read and tokens:write, everybody's
// with tokens:admin; another subject's token looks as if it were not there.
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Db } from '../db/tables.ts'
import { actorOf, may, type TokenPrincipal, tokenPrincipal } from '../guard/principal.ts'
import type { Write } from '../guard/write.ts'
import type { Cursors } from '../http/cursor.ts'
import { notModified } from '../http/etag.ts'
import { page } from '../http/page.ts'
import { Problem } from '../http/problem.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { acknowledged, preferred } from './acknowledge.ts'
import { etagOf, matches, viewOf } from './model.ts'
import { narrow } from './narrow.ts'
import { once } from './once.ts'
import { pauseRoutes } from './pause-routes.ts'
import { type Mint, provision } from './provision.ts'
import { listTokens, tokenById, usageOf } from './queries.ts'
import { createRetries, RetryHeaders, refuseReplay } from './retries.ts'
import { revokeToken } from './revoke.ts'
import { rotateRoutes } from './rotate-routes.ts'
import {
  Id,
  IfMatch,
  ListQuery,
  NarrowBody,
  ProvisionBody,
  ProvisionedSchema,
  RevokedSchema,
  RevokingSchema,
  TokenSchema,
  UsageSchema,
} from './schemas.ts'
import { visible } from './visible.ts'

export type TokenDependencies = {
  readonly db: Db
  readonly write: Write
  readonly writeNew: Write
  readonly mint: Mint
  readonly cursors: Cursors
  readonly issuer: string
  readonly now: () => number
  /** After a commit, no replica is behind for longer. */
  readonly effectiveWithinMs: number
  readonly onProvisioned: (type: string) => void
  readonly onRevoked: () => void
}

const tags = ['Tokens']

export function tokenRoutes(app: App, dependencies: TokenDependencies): void {
  for (const schema of [TokenSchema, ProvisionedSchema, RevokedSchema, RevokingSchema, UsageSchema])
    app.addSchema(schema)
  const { db, write, writeNew, mint, cursors, issuer, effectiveWithinMs, onProvisioned, onRevoked } =
    dependencies
  const now = () => new Date(dependencies.now())
  const retries = createRetries(mint.ring)
  rotateRoutes(app, { ...dependencies, retries })
  pauseRoutes(app, dependencies)

  app.route({
    method: 'POST',
    url: '/api/v1/tokens',
    config: {
      policy: { access: 'token', scopes: ['tokens:write'] },
      catalog: {
        effects: { readOnly: false },
        errors: [
          'validation-failed',
          'unknown-field',
          'unknown-scope',
          'policy-violation',
          'idempotency-in-progress',
          'idempotency-key-reused',
        ],
      },
    },
    schema: {
      operationId: 'provisionToken',
      summary: 'Create (provision) a token',
      description:
        'The secret is in the member `token` of this one answer, and nowhere else, ever. With an Idempotency-Key, the same request is answered the same for ten minutes.',
      tags,
      headers: RetryHeaders,
      body: ProvisionBody,
      response: { 200: ref(ProvisionedSchema) },
    },
    handler: async (request, reply) => {
      const retry = retries.of(request)
      const { answer, replayed } = await writeNew(request, (trx) => {
        const caller = tokenPrincipal(request)
        const at = now()
        // What the answer needs is read before the commit: nothing may fail between the change and its answer.
        const make = async () => {
          const made = await provision(trx, request.body, caller, actorOf(request), mint, at)
          const view = viewOf((await tokenById(trx, made.id))!, at)
          return { tokenId: made.id, answer: { ...view, token: made.secret } }
        }
        return once(trx, retry, at, make, (id) => refuseReplay(trx, id, caller))
      })
      if (replayed) reply.header('idempotency-replayed', 'true')
      else onProvisioned(answer.type)
      return reply.header('location', `/api/v1/tokens/${answer.id}`).send(answer)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/tokens',
    config: {
      policy: { access: 'token', scopes: ['tokens:read'] },
      catalog: { effects: { readOnly: true }, errors: ['validation-failed'] },
    },
    schema: {
      operationId: 'listTokens',
      summary: 'List tokens, newest first',
      description:
        'A bare array; the next page is in the Link header. Everybody’s with tokens:admin, else the caller’s own.',
      tags,
      querystring: ListQuery,
      response: { 200: Type.Array(ref(TokenSchema)) },
    },
    handler: async (request, reply) => {
      const { limit = 30, cursor, ...asked } = request.query
      const caller = tokenPrincipal(request)
      const filter = may(caller, 'tokens:admin')
        ? asked
        : { ...asked, subject: ownOnly(caller, asked.subject) }
      const list = ['tokens', caller.facts.subject, Object.entries(filter).sort()]
      const read = (before: string | null, most: number) => listTokens(db, filter, before, most, now())
      const rows = await page(request, reply, { cursors, issuer, list, cursor, limit, read })
      return rows.map((row) => viewOf(row, now()))
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/tokens/self',
    config: { policy: { access: 'holder' }, catalog: { effects: { readOnly: true } } },
    schema: {
      operationId: 'readSelf',
      summary: 'Show the token that makes this call',
      tags,
      response: { 200: ref(TokenSchema) },
    },
    handler: async (request) => viewOf((await tokenById(db, tokenPrincipal(request).facts.tokenId))!, now()),
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/tokens/self',
    config: { policy: { access: 'holder' }, catalog: { effects: { readOnly: false, destructive: true } } },
    schema: {
      operationId: 'revokeSelf',
      summary: 'Revoke the token that makes this call',
      tags,
      response: { 200: ref(RevokedSchema), 202: ref(RevokingSchema) },
    },
    handler: (request, reply) => revoke(request, reply, tokenPrincipal(request).facts.tokenId) as never,
  })

  app.route({
    method: 'GET',
    url: '/api/v1/tokens/:id',
    config: {
      policy: { access: 'token', scopes: ['tokens:read'] },
      catalog: { effects: { readOnly: true }, errors: ['not-found'] },
    },
    schema: {
      operationId: 'readToken',
      summary: 'Show a token',
      tags,
      params: Id,
      response: { 200: ref(TokenSchema) },
    },
    handler: async (request, reply) => {
      const row = visible(await tokenById(db, request.params.id), tokenPrincipal(request))
      if (notModified(request, reply, etagOf(row, now()))) return reply
      return viewOf(row, now())
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/tokens/:id/usage',
    config: {
      policy: { access: 'token', scopes: ['tokens:read'] },
      catalog: { effects: { readOnly: true }, errors: ['not-found'] },
    },
    schema: {
      operationId: 'readTokenUsage',
      summary: 'Show how a token is used',
      description: 'Gathered in memory and written every few seconds; a crash loses the last of them.',
      tags,
      params: Id,
      response: { 200: ref(UsageSchema) },
    },
    handler: async (request) => {
      const { id } = visible(await tokenById(db, request.params.id), tokenPrincipal(request))
      const usage = await usageOf(db, id)
      return {
        id,
        useCount: usage?.use_count ?? 0,
        lastUsedAt: usage?.last_used_at.toISOString() ?? null,
        lastUsedIp: usage?.last_used_ip ?? null,
        lastUserAgent: usage?.last_user_agent ?? null,
        exercisedScopes: usage?.exercised_scopes ?? [],
      }
    },
  })

  app.route({
    method: 'PATCH',
    url: '/api/v1/tokens/:id',
    config: {
      policy: { access: 'token', scopes: ['tokens:write'] },
      catalog: {
        effects: { readOnly: false },
        errors: [
          'validation-failed',
          'unknown-field',
          'unknown-scope',
          'policy-violation',
          'not-found',
          'conflict',
          'precondition-failed',
        ],
      },
    },
    schema: {
      operationId: 'narrowToken',
      summary: 'Rename, describe or narrow a token',
      description: 'What is left out stays. A token is never widened; for more, provision a new one.',
      tags,
      params: Id,
      headers: IfMatch,
      body: NarrowBody,
      response: { 200: ref(TokenSchema) },
    },
    handler: async (request, reply) => {
      const { id } = request.params
      const after = await write(
        request,
        async (trx, invalidate, target) => {
          const row = visible(target, tokenPrincipal(request))
          const expected = request.headers['if-match']
          if (expected !== undefined && !matches(expected, row)) {
            throw new Problem('precondition-failed', 'The token has changed since it was read.')
          }
          await narrow(trx, row, request.body, actorOf(request), now())
          invalidate({ kind: 'token', id })
          return (await tokenById(trx, id))!
        },
        { target: id },
      )
      reply.header('etag', etagOf(after, now()))
      return viewOf(after, now())
    },
  })

  app.route({
    method: 'DELETE',
    url: '/api/v1/tokens/:id',
    config: {
      policy: { access: 'token', scopes: ['tokens:write'] },
      catalog: { effects: { readOnly: false, destructive: true }, errors: ['not-found'] },
    },
    schema: {
      operationId: 'revokeToken',
      summary: 'Revoke a token, for ever',
      description:
        'When this is answered, no replica accepts the token any more. Revoking again is no error. With Prefer: respond-async, 202 and effectiveBy at once.',
      tags,
      params: Id,
      response: { 200: ref(RevokedSchema), 202: ref(RevokingSchema) },
    },
    handler: (request, reply) => revoke(request, reply, request.params.id) as never,
  })

  async function revoke(request: FastifyRequest, reply: FastifyReply, id: string) {
    const wish = preferred(request)
    const { first, at } = await write(
      request,
      async (trx, invalidate, target) => {
        const before = visible(target, tokenPrincipal(request))
        const at = now()
        const first = await revokeToken(trx, before, actorOf(request), invalidate, at)
        return { first, at: first ? at : before.revoked_at! }
      },
      { target: id, acknowledge: wish.acknowledge },
    )
    if (first) onRevoked()
    const effect = acknowledged(reply, wish, now(), effectiveWithinMs)
    const revokedAt = at.toISOString()
    const message = first ? 'Token revoked' : 'Token was already revoked'
    return { message, id, revokedAt, status: wish.atOnce ? 202 : 200, ...effect }
  }
}

function ownOnly(caller: TokenPrincipal, asked: string | undefined): string {
  const own = caller.facts.subject
  if (asked === undefined || asked === own) return own
  throw new Problem(
    'policy-violation',
    `subject: this token sees the tokens of ${own} only; others need tokens:admin.`,
  )
}
