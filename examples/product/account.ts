// Routes of `posts` about the account: notifications, members, shares, webhook endpoints, and what only people may do.
import type { FastifyInstance } from 'fastify'
import { refuse } from './problem.ts'
import { empty, list, notFound, object, text } from './schemas.ts'

const settings = object({ mail: { type: 'boolean', examples: [true] } })
type Share = { readonly what: string; readonly with: string }
const share = object({ what: text(40, 'post_1'), with: text(100, 'user_7') })
const newEndpoint = object({ url: { ...text(300, 'https://example.com/hook'), format: 'uri' } })
const endpoint = object({ id: text(40, 'hook_1'), ...newEndpoint.properties })

export async function accountRoutes(app: FastifyInstance): Promise<void> {
  let notifications = { mail: true }
  const members = new Map<string, string>()
  const shares: Share[] = []
  const endpoints = new Map<string, { id: string; url: string }>()
  let madeEndpoints = 0

  app.get('/v1/account/notifications', {
    config: {
      auth: { access: 'both', scopes: ['notifications:read'], jobs: ['Read notification settings'] },
    },
    schema: {
      operationId: 'readNotifications',
      summary: 'Read notification settings',
      response: { 200: settings },
    },
    handler: async () => notifications,
  })

  app.put<{ Body: typeof notifications }>('/v1/account/notifications', {
    config: {
      auth: { access: 'both', scopes: ['notifications:write'], jobs: ['Change notification settings'] },
    },
    schema: {
      operationId: 'changeNotifications',
      summary: 'Change notification settings',
      body: settings,
      response: { 200: settings },
    },
    handler: async ({ body }) => {
      notifications = body
      return notifications
    },
  })

  app.put<{ Params: { userId: string }; Body: { role: string } }>('/v1/account/members/:userId', {
    config: { auth: { access: 'both', scopes: ['memberships:manage'], jobs: ['Add and remove members'] } },
    schema: {
      operationId: 'setMember',
      summary: 'Add a member, or change what they may do',
      params: object({ userId: text(100, 'user_7') }),
      body: object({ role: { enum: ['reader', 'writer'] } }),
      response: { 204: empty('It is so') },
    },
    handler: async ({ params, body }, reply) => {
      members.set(params.userId, body.role)
      return reply.code(204).send()
    },
  })

  app.post<{ Body: Share }>('/v1/account/shares', {
    config: { auth: { access: 'both', scopes: ['sharing:manage'], jobs: ['Share with others'] } },
    schema: {
      operationId: 'share',
      summary: 'Share something with somebody',
      body: share,
      response: { 201: share },
    },
    handler: async ({ body }, reply) => {
      shares.push(body)
      reply.code(201)
      return body
    },
  })

  app.get('/v1/account/webhooks', {
    config: {
      auth: { access: 'both', scopes: ['webhooks:manage'], jobs: ['Add and delete webhook endpoints'] },
    },
    schema: {
      operationId: 'listWebhooks',
      summary: 'List webhook endpoints',
      response: { 200: list(endpoint) },
    },
    handler: async () => [...endpoints.values()],
  })

  app.post<{ Body: { url: string } }>('/v1/account/webhooks', {
    config: {
      auth: { access: 'both', scopes: ['webhooks:manage'], jobs: ['Add and delete webhook endpoints'] },
    },
    schema: {
      operationId: 'addWebhook',
      summary: 'Add a webhook endpoint',
      body: newEndpoint,
      response: { 201: endpoint },
    },
    handler: async ({ body }, reply) => {
      madeEndpoints += 1
      const made = { id: `hook_${madeEndpoints}`, ...body }
      endpoints.set(made.id, made)
      reply.code(201)
      return made
    },
  })

  app.delete<{ Params: { endpointId: string } }>('/v1/account/webhooks/:endpointId', {
    config: {
      auth: {
        access: 'both',
        scopes: ['webhooks:manage'],
        jobs: ['Add and delete webhook endpoints'],
        errors: ['not-found'],
      },
    },
    schema: {
      operationId: 'deleteWebhook',
      summary: 'Delete a webhook endpoint',
      params: object({ endpointId: text(40, 'hook_1') }),
      response: { 204: empty('It is gone'), ...notFound },
    },
    handler: async ({ params: { endpointId } }, reply) =>
      endpoints.delete(endpointId)
        ? reply.code(204).send()
        : refuse(reply, 404, 'No such endpoint', `There is no webhook endpoint ${endpointId}.`),
  })

  app.put('/v1/account/password', {
    config: { auth: { access: 'browser-only', note: 'No token may ever change a password.' } },
    schema: {
      operationId: 'changePassword',
      summary: 'Change the password',
      body: object({ password: { type: 'string', minLength: 12, maxLength: 200 } }),
      response: { 204: empty('It is changed') },
    },
    // There are no passwords here: what is shown is who gets this far.
    handler: async (_request, reply) => reply.code(204).send(),
  })
}
