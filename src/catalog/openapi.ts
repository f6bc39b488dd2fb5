// Our OpenAPI 3.1 document, from the same route declarations as the catalog; and the page to try it on.
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyContextConfig, FastifySchema } from 'fastify'
import type { RoutePolicy } from '../guard/policy.ts'
import { notModified, strongEtag } from '../http/etag.ts'
import { type ProblemCode, problems } from '../http/problems.ts'
import type { App } from '../http/server.ts'
import { errorsOf, isOAuth } from './own.ts'

/** Everything the page needs comes from here; no upgrade-insecure-requests, which would break plain http. */
const docsPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

const tags = {
  Tokens: 'Provision, list, narrow and revoke tokens.',
  Verify: 'Is this token good, and may it do this? In JSON, for gateways, and as a stream of what to forget.',
  OAuth: 'The same for clients that know only the RFCs.',
  Services: 'The product services that ask, and the scopes they declare.',
  Subjects: 'Who owns tokens, and what they may have.',
  'Trust policies': 'Which CI jobs may exchange their provider’s token for which of Latchkey’s.',
  Catalog: 'What can be called, with which scopes, and what can go wrong.',
  Audit: 'Who did what.',
  Discovery: 'Where OAuth clients find the endpoints.',
  Operation: 'Probes.',
}

/** To be called before any route is registered. */
export async function describeApi(
  app: App,
  { issuer, version }: { issuer: string; version: string },
): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Latchkey',
        version,
        summary: 'API tokens: who is this bearer, and may it do this, here, now?',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: issuer }],
      tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'A Latchkey token.' },
          client: {
            type: 'http',
            scheme: 'basic',
            description: 'Client id and secret of a registered service.',
          },
        },
      },
    },
    refResolver: { buildLocalReference: (json) => String(json['$id']) },
    transform: ({ schema, url, route }) => {
      const { policy, catalog }: FastifyContextConfig = route.config ?? {}
      if (!policy || !schema?.operationId) return { schema: { ...schema, hide: true }, url }
      return { schema: { ...schema, ...secured(schema, policy, catalog?.errors ?? []) }, url }
    },
  })
}

function secured(schema: FastifySchema, policy: RoutePolicy, errors: readonly ProblemCode[]) {
  const scopes = 'scopes' in policy ? [...policy.scopes] : []
  const byClient = policy.access === 'service' ? [{ client: [] }] : []
  const refusals = isOAuth(policy) ? oauthErrors : problemResponses([...errorsOf(policy), ...errors])
  const response = { ...refusals, ...(schema.response as object) }
  return { response, security: policy.access === 'public' ? [] : [{ token: scopes }, ...byClient] }
}

function problemResponses(codes: readonly ProblemCode[]) {
  const byStatus = new Map<number, ProblemCode[]>()
  for (const code of new Set(codes)) {
    const { status } = problems[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const entries = [...byStatus].map(([status, list]) => {
    const description = list.map((code) => problems[code].title).join('; ')
    return [
      status,
      { description, content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } } },
    ]
  })
  return Object.fromEntries(entries)
}

const oauthError = {
  type: 'object',
  properties: { error: { type: 'string' }, error_description: { type: 'string' } },
  required: ['error'],
}

/** RFC 6749 §5.2 and RFC 6750 §3.1, as what they are answered with. */
const oauthErrors = Object.fromEntries(
  [
    [400, 'invalid_request'],
    [401, 'invalid_client, invalid_token'],
    [403, 'insufficient_scope'],
    [413, 'invalid_request: the body is too large'],
    [415, 'invalid_request: the body is no form'],
    [503, 'temporarily_unavailable'],
  ].map(([status, description]) => [
    status,
    { description, content: { 'application/json': { schema: oauthError } } },
  ]),
)

/** To be called after all other routes are registered. */
export async function apiPages(app: App): Promise<void> {
  app.route({
    method: 'GET',
    url: '/openapi.json',
    config: { policy: { access: 'public' } },
    schema: { hide: true },
    handler: (request, reply) => {
      const document = JSON.stringify(app.swagger())
      if (notModified(request, reply, strongEtag(document))) return reply
      return reply.header('cache-control', 'public, max-age=60').type('application/json').send(document)
    },
  })
  await app.register(async (pages) => {
    // The page's own files: open to all, as what they show is. Declared here, for the plugin does not know of policies.
    pages.addHook('onRoute', (route) => {
      route.config = { ...route.config, policy: { access: 'public' } }
    })
    await pages.register(swaggerUi, {
      routePrefix: '/docs',
      staticCSP: docsPolicy,
      uiConfig: { docExpansion: 'list', persistAuthorization: false, validatorUrl: null },
    })
  })
}
