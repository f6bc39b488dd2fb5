// PUT and GET /api/v1/services/{id}/openapi: the document that a service publishes its API by.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import { tokenPrincipal } from '../guard/principal.ts'
import { notModified } from '../http/etag.ts'
import { Problem } from '../http/problem.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { ServiceId } from '../identity/schemas.ts'
import { refuseOtherServices, refuseOwn } from '../identity/spokesman.ts'
import { dryRun, etagOf, type PublishDependencies, publish } from './publish.ts'
import { PublishedSchema } from './publish-schemas.ts'
import { documentOf } from './queries.ts'
import type { Syntax } from './reading/parse.ts'

const tags = ['Services']
const policy = { access: 'token', scopes: ['catalog:publish'] } as const
const bodyLimitBytes = 5 * 1024 * 1024
const IfMatch = Type.Object({
  'if-match': Type.Optional(
    Type.String({ maxLength: 1_000, description: 'ETag of the document that is to be replaced.' }),
  ),
})
const Query = Type.Object(
  {
    dryRun: Type.Optional(
      Type.Boolean({ description: 'Only say what would change, and what it would be refused for.' }),
    ),
  },
  { additionalProperties: false },
)
/** It was read by nobody yet when this is looked at. */
const AnyDocument = Type.Unsafe<Uint8Array>({
  description: 'OpenAPI 3.0 or 3.1, as JSON or YAML, up to 5 MB.',
})

const syntaxOf: Record<string, Syntax> = {
  'application/json': 'json',
  'application/openapi+json': 'json',
  'application/vnd.oai.openapi+json': 'json',
  'application/yaml': 'yaml',
  'application/x-yaml': 'yaml',
  'text/yaml': 'yaml',
  'application/openapi+yaml': 'yaml',
  'application/vnd.oai.openapi': 'yaml',
}

export function publishRoutes(app: App, dependencies: PublishDependencies): void {
  app.addSchema(PublishedSchema)
  app.register(async (scope: App) => documentRoutes(scope, dependencies))
}

function documentRoutes(app: App, dependencies: PublishDependencies): void {
  // As bytes, and only here: they are read in a thread of their own.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(Object.keys(syntaxOf), { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )

  app.route({
    method: 'PUT',
    url: '/api/v1/services/:id/openapi',
    bodyLimit: bodyLimitBytes,
    config: {
      policy,
      catalog: {
        effects: { readOnly: false },
        errors: [
          'validation-failed',
          'unknown-scope',
          'not-found',
          'policy-violation',
          'conflict',
          'precondition-failed',
          'too-large',
          'unsupported-media-type',
        ],
        note: 'Publishing the same document again changes nothing, so every replica of a service may do it at its start.',
      },
    },
    schema: {
      operationId: 'publishOpenapi',
      summary: 'Publish the API of a service',
      description:
        'Its routes are enforced by gateways and shown in the catalog as soon as this is answered. Each needs `security`: the scopes of a token, or `[]` for public; more is said under `x-latchkey`. Needs services:admin, or a token whose subject is the service.',
      tags,
      consumes: Object.keys(syntaxOf),
      params: ServiceId,
      querystring: Query,
      headers: IfMatch,
      body: AnyDocument,
      response: { 200: ref(PublishedSchema) },
    },
    handler: async (request, reply) => {
      const { id } = request.params
      refuseOwn(id)
      refuseOtherServices(tokenPrincipal(request), id)
      const ifMatch = request.headers['if-match']
      const submission = { service: id, bytes: bytesOf(request.body), syntax: syntaxIn(request), ifMatch }
      if (request.query.dryRun) return dryRun(submission, dependencies)
      const answer = await publish(request, submission, dependencies)
      reply.header('etag', etagOf(answer.digest))
      return answer
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/services/:id/openapi',
    config: { policy, catalog: { effects: { readOnly: true }, errors: ['not-found', 'policy-violation'] } },
    schema: {
      operationId: 'readPublishedOpenapi',
      summary: 'Show the document that a service has published',
      description: 'All of it, as JSON, what the catalog does not show included.',
      tags,
      params: ServiceId,
      response: { 200: Type.Object({}, { additionalProperties: true }) },
    },
    handler: async (request, reply) => {
      const { id } = request.params
      refuseOtherServices(tokenPrincipal(request), id)
      const row = await documentOf(dependencies.db, id)
      if (!row) throw new Problem('not-found', 'There is no such service, or it has published nothing.')
      if (notModified(request, reply, etagOf(row.digest))) return reply
      return reply.type('application/json').send(row.document as never)
    },
  })
}

function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array && body.length > 0) return body
  throw new Problem('validation-failed', 'The body is empty; send the OpenAPI document.')
}

function syntaxIn(request: FastifyRequest): Syntax {
  const [type = ''] = (request.headers['content-type'] ?? '').split(';')
  return syntaxOf[type.trim().toLowerCase()] ?? 'yaml'
}
