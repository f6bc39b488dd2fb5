// Our OpenAPI 3.1 document, from the same route declarations as the catalog; and the page to try it on.
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyContextConfig, FastifySchema } from 'fastify'
import type { RoutePolicy } from '../guard/policy.ts'
import { notModified, strongEtag } from '../http/etag.ts'
import { type ProblemCode, problems } from '../http/problems.ts'
import type { App } from '../http/server.ts'
import { errorsOf } from './endpoints.ts'

/** Everything the page needs comes from here; no upgrade-insecure-requests, which would break plain http. */
const docsPolicy =
  "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"

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
      tags: [
        'Tokens',
        'Verify',
        'OAuth',
        'Services',
        'Subjects',
        'Catalog',
        'Audit',
        'Discovery',
        'Operation',
      ].map((name) => ({ name })),
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
  const response = {
    ...(schema.response as object),
    ...errorResponses([...errorsOf(policy), ...errors], url(schema)),
  }
  return { response, security: policy.access === 'public' ? [] : [{ token: scopes }, ...byClient] }
}

const url = (schema: FastifySchema) => (schema.tags?.includes('OAuth') ? 'oauth' : 'rest')

/** OAuth endpoints answer {error, error_description}; everything else a Problem. */
function errorResponses(codes: readonly ProblemCode[], kind: 'oauth' | 'rest') {
  const byStatus = new Map<number, ProblemCode[]>()
  for (const code of new Set(codes)) {
    const { status } = problems[code]
    byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  }
  const entries = [...byStatus].map(([status, list]) => {
    const description = list.map((code) => problems[code].title).join('; ')
    const content =
      kind === 'rest'
        ? { 'application/problem+json': { schema: { $ref: 'Problem#' } } }
        : { 'application/json': { schema: oauthError } }
    return [status, { description, content }]
  })
  return Object.fromEntries(entries)
}

const oauthError = {
  type: 'object',
  properties: { error: { type: 'string' }, error_description: { type: 'string' } },
  required: ['error'],
}

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
