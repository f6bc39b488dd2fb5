// /oauth2/introspect (RFC 7662) and /oauth2/revoke (RFC 7009), for clients that know only the RFCs.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Change } from '../db/change.ts'
import type { GuardDependencies } from '../guard/guard.ts'
import { actorOf } from '../guard/principal.ts'
import { Problem } from '../http/problem.ts'
import type { App } from '../http/server.ts'
import type { SecretShape } from '../token/format.ts'
import { lockToken, tokenIdByDigest } from '../token/queries.ts'
import { revokeToken } from '../token/revoke.ts'
import { authenticateCaller } from './caller.ts'
import { readForm, required } from './form.ts'
import type { Introspect, Presented } from './introspect.ts'
import { introspectionHeaders } from './lane.ts'
import { oauthDoor } from './oauth-door.ts'

export type OAuthDependencies = {
  readonly change: Change
  /** Whether what is read from now on is from the server that counts. */
  readonly confirm: () => Promise<boolean>
  readonly guard: GuardDependencies
  readonly shape: SecretShape
  readonly digests: (secret: string) => Buffer[]
  readonly introspect: Introspect
  readonly now: () => number
  readonly onRevoked: () => void
}

const tags = ['OAuth']
const closed = { additionalProperties: false } as const
const credentials = {
  client_id: Type.Optional(Type.String({ description: 'Instead of Basic.' })),
  client_secret: Type.Optional(Type.String({ description: 'Instead of Basic.' })),
}
const hint = Type.Optional(Type.String({ description: 'Ignored: every kind of token is looked for.' }))

/** Documentation only: a form is checked by hand, because unknown parameters must be ignored and repeated ones not. */
const IntrospectForm = Type.Object({
  token: Type.String(),
  token_type_hint: hint,
  client_ip: Type.Optional(
    Type.String({ description: 'Where the bearer calls from; needed for IP-restricted tokens.' }),
  ),
  scope: Type.Optional(
    Type.String({
      description: 'Scopes that are needed, separated by spaces; lacking one, the token is inactive.',
    }),
  ),
  team: Type.Optional(Type.String({ description: 'The team the request is about.' })),
  ...credentials,
})
const RevokeForm = Type.Object({ token: Type.String(), token_type_hint: hint, ...credentials })

const text = Type.Optional(Type.String())
const number = Type.Optional(Type.Integer())
const IntrospectionSchema = Type.Object(
  {
    active: Type.Boolean({ description: 'false: there is no other member, whatever the cause.' }),
    scope: text,
    client_id: text,
    username: text,
    token_type: text,
    exp: number,
    iat: number,
    sub: text,
    aud: Type.Optional(Type.Array(Type.String())),
    iss: text,
    jti: text,
    token_kind: text,
    team: text,
    ip_ranges: Type.Optional(Type.Array(Type.String())),
  },
  { $id: 'Introspection', ...closed },
)

export function oauthRoutes(root: App, dependencies: OAuthDependencies): void {
  root.addSchema(IntrospectionSchema)
  oauthDoor(root, (app) => {
    introspectRoute(app, dependencies.introspect)
    revokeRoute(app, dependencies)
  })
}

function introspectRoute(app: App, introspect: Introspect): void {
  app.route({
    method: 'POST',
    url: '/oauth2/introspect',
    config: {
      policy: { access: 'service', scopes: ['tokens:introspect'], credentialsIn: 'header or form' },
      catalog: { effects: { readOnly: true }, note: 'A form, not JSON; for JSON use checkToken.' },
    },
    schema: {
      operationId: 'introspectToken',
      summary: 'Ask whether a token is good (RFC 7662)',
      description: 'client_ip, scope and team are judged too, where they are given.',
      tags,
      consumes: ['application/x-www-form-urlencoded'],
      body: IntrospectForm,
      response: { 200: { $ref: 'Introspection#' } },
    },
    handler: async (request, reply) => {
      const answer = await introspect(presentedBy(request))
      // A string is sent as it is: the schema documents, it does not serialize.
      return reply.headers(introspectionHeaders).send(answer as never)
    },
  })
}

/**
 * Whoever presents a whole secret could end it as its bearer; so any authenticated caller may end it here, and the
 * answer is 200 whether or not it existed (RFC 7009 §2.2).
 */
function revokeRoute(
  app: App,
  { change, confirm, guard, shape, digests, now, onRevoked }: OAuthDependencies,
): void {
  app.route({
    method: 'POST',
    url: '/oauth2/revoke',
    config: {
      policy: { access: 'service', scopes: [], credentialsIn: 'header or form' },
      catalog: {
        effects: { readOnly: false, destructive: true },
        note: 'A form, not JSON. 200 also for a token that does not exist.',
      },
    },
    schema: {
      operationId: 'revokeBySecret',
      summary: 'Revoke a token by its secret (RFC 7009)',
      tags,
      consumes: ['application/x-www-form-urlencoded'],
      body: RevokeForm,
      response: { 200: Type.Object({}, { description: 'The token is good nowhere any more.' }) },
    },
    handler: async (request, reply) => {
      const form = readForm(bodyOf(request))
      const { authorization, from } = presentedBy(request)
      request.principal = await authenticateCaller(authorization, form, [], from, guard)
      const secret = required(form, 'token')
      // What is none of ours takes no connection that is kept for revokes.
      if (!shape(secret)) return reply.send({})
      const presented = digests(secret)
      const revoke = () =>
        change(async (trx, invalidate) => {
          const at = new Date(now())
          const id = await tokenIdByDigest(trx, presented, at)
          const row = id === undefined ? undefined : await lockToken(trx, id)
          return row && revokeToken(trx, row, actorOf(request), invalidate, at)
        })
      let first = await revoke()
      // A former primary does not know what was made on the new one; "revoked" must not be said of a token that lives on.
      if (first === undefined) {
        if (!(await confirm()))
          throw new Problem('unavailable', 'It cannot be known at the moment what the token is. Try again.')
        first = await revoke()
      }
      if (first) onRevoked()
      return reply.send({})
    },
  })
}

const bodyOf = (request: FastifyRequest) => (typeof request.body === 'string' ? request.body : '')

const presentedBy = (request: FastifyRequest): Presented => ({
  authorization: request.headers.authorization,
  form: bodyOf(request),
  from: () => request.clientIp,
})
