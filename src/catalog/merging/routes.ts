// GET /api/programmatic/openapi.json and openapi/{service}.json: what is published, for generators of clients.
import Type from 'typebox'
import type { GuardDependencies } from '../../guard/guard.ts'
import { notModified } from '../../http/etag.ts'
import { didYouMean } from '../../http/nearest.ts'
import { Problem } from '../../http/problem.ts'
import type { App } from '../../http/server.ts'
import { ownServiceId } from '../../identity/own-scopes.ts'
import { anyViewer, cacheFor } from '../viewer.ts'
import { createDocuments, type MergedDependencies } from './documents.ts'

const config = { policy: { access: 'public' }, catalog: { effects: { readOnly: true } } } as const
const anyObject = { 200: Type.Object({}, { additionalProperties: true }) }
const Service = Type.Object({
  service: Type.String({ maxLength: 64, format: 'text', description: 'A service id.' }),
})

export function openapiRoutes(
  app: App,
  dependencies: MergedDependencies & { guard: GuardDependencies },
): void {
  const { guard, catalog } = dependencies
  const documents = createDocuments(dependencies)

  app.route({
    method: 'GET',
    url: '/api/programmatic/openapi.json',
    config,
    schema: {
      operationId: 'readMergedOpenapi',
      summary: 'The API of all services as one OpenAPI 3.1 document',
      description:
        'Each path says in `servers` where it is. Names that two services share have the service in front.',
      tags: ['Catalog'],
      response: anyObject,
    },
    handler: async (request, reply) => {
      const viewer = await anyViewer(request, guard)
      const { text, etag } = await documents.page(null, viewer)
      if (notModified(request, cacheFor(reply, viewer), etag)) return reply
      return reply.type('application/json').send(text as never)
    },
  })

  app.route({
    method: 'GET',
    url: '/api/programmatic/openapi/:service.json',
    config: { ...config, catalog: { ...config.catalog, errors: ['not-found'] } },
    schema: {
      operationId: 'readServiceOpenapi',
      summary: 'The API of one service as an OpenAPI 3.1 document',
      description: 'What the catalog shows of it, with all scopes in `security`.',
      tags: ['Catalog'],
      params: Service,
      response: anyObject,
    },
    handler: async (request, reply) => {
      const { service } = request.params
      const viewer = await anyViewer(request, guard)
      const { snapshot } = await catalog.shown(viewer)
      const known = [ownServiceId, ...snapshot.services.map((one) => one.id)]
      if (!known.includes(service))
        throw new Problem(
          'not-found',
          `No service "${service}" has published anything.${didYouMean(service, known)}`,
        )
      const { text, etag } = await documents.page(service, viewer)
      if (notModified(request, cacheFor(reply, viewer), etag)) return reply
      return reply.type('application/json').send(text as never)
    },
  })
}
