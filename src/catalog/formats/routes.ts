// GET arazzo.json, /llms.txt and /.well-known/api-catalog: what the catalog says, for readers of other formats.
import type { FastifyReply, FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { GuardDependencies } from '../../guard/guard.ts'
import { notModified } from '../../http/etag.ts'
import type { App } from '../../http/server.ts'
import type { Catalog } from '../catalog.ts'
import type { Site } from '../render.ts'
import { anyViewer, cacheFor, type Viewer } from '../viewer.ts'
import { apiCatalog, apiCatalogLink, linksetType } from './api-catalog.ts'
import { arazzoDocument } from './arazzo.ts'
import { llmsText } from './llms.ts'
import { pagesOf } from './pages.ts'

export type FormatsDependencies = {
  readonly catalog: Catalog
  readonly guard: GuardDependencies
  readonly site: Site
}

const config = { policy: { access: 'public' }, catalog: { effects: { readOnly: true } } } as const
const answered = (type: string, schema: object) => ({
  200: { description: 'OK', content: { [type]: { schema } } },
})
const anyObject = Type.Object({}, { additionalProperties: true })
const anybody: Viewer = { isAdmin: false, self: null }

export function formatRoutes(app: App, { catalog, guard, site }: FormatsDependencies): void {
  const arazzo = pagesOf(catalog, ({ shown }) => JSON.stringify(arazzoDocument(site, shown)))
  const llms = pagesOf(catalog, (state) => llmsText(site, state))
  const linkset = pagesOf(catalog, ({ snapshot }) => JSON.stringify(apiCatalog(site, snapshot)))

  const answerTo =
    (pages: typeof arazzo, type: string) => async (request: FastifyRequest, reply: FastifyReply) => {
      const viewer = await anyViewer(request, guard)
      const { text, etag } = await pages(viewer)
      if (notModified(request, cacheFor(reply, viewer), etag)) return reply
      return reply.type(type).send(text)
    }

  app.route({
    method: 'GET',
    url: '/api/programmatic/arazzo.json',
    config,
    schema: {
      operationId: 'readArazzo',
      summary: 'The workflows as an Arazzo 1.0 document',
      description: 'For runners: each step names its operation, what goes in and what comes out.',
      tags: ['Catalog'],
      response: { 200: anyObject },
    },
    handler: answerTo(arazzo, 'application/json') as never,
  })

  app.route({
    method: 'GET',
    url: '/llms.txt',
    config,
    schema: {
      operationId: 'readLlmsText',
      summary: 'Where agents should begin',
      tags: ['Catalog'],
      response: answered('text/plain', { type: 'string' }),
    },
    handler: answerTo(llms, 'text/plain; charset=utf-8') as never,
  })

  app.route({
    method: 'GET',
    url: '/.well-known/api-catalog',
    config,
    schema: {
      operationId: 'readApiCatalog',
      summary: 'The published APIs as a linkset (RFC 9727)',
      tags: ['Discovery'],
      response: answered('application/linkset+json', anyObject),
    },
    handler: (async (request: FastifyRequest, reply: FastifyReply) => {
      // The same for all: services are no secret, only some of their endpoints are.
      const { text, etag } = await linkset(anybody)
      reply.headers({ link: apiCatalogLink(site.issuer), 'cache-control': 'public, max-age=60' })
      if (notModified(request, reply, etag)) return reply
      // As bytes: to text Fastify would add a charset, which this type has not.
      return reply.type(linksetType).send(Buffer.from(text))
    }) as never,
  })
}
