// GET /api/programmatic/catalog, and a page for each kind of problem.
import type { RouteOptions } from 'fastify'
import Type from 'typebox'
import type { GuardDependencies } from '../guard/guard.ts'
import { notModified } from '../http/etag.ts'
import { didYouMean } from '../http/nearest.ts'
import { Problem } from '../http/problem.ts'
import { type ProblemCode, problems } from '../http/problems.ts'
import type { App } from '../http/server.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import type { Catalog } from './catalog.ts'
import type { Endpoint } from './endpoint.ts'
import { CatalogQuery } from './filter.ts'
import { endpointsOf } from './own.ts'
import { anyViewer, cacheFor, selfViewer } from './viewer.ts'

export type CatalogDependencies = { readonly catalog: Catalog; readonly guard: GuardDependencies }

const config = { policy: { access: 'public' }, catalog: { effects: { readOnly: true } } } as const
const anyObject = { 200: Type.Object({}, { additionalProperties: true }) }

/** To be called before any route is registered; the endpoints are complete once the server is ready. */
export function collectEndpoints(app: App): () => readonly Endpoint[] {
  const routes: RouteOptions[] = []
  let endpoints: readonly Endpoint[] | null = null
  app.addHook('onRoute', (route) => void routes.push(route))
  return () => {
    endpoints ??= endpointsOf(routes, app.getSchemas(), ownServiceId)
    return endpoints
  }
}

export function catalogRoutes(app: App, { catalog, guard }: CatalogDependencies): void {
  app.route({
    method: 'GET',
    url: '/api/programmatic/catalog',
    config: {
      ...config,
      catalog: {
        ...config.catalog,
        errors: ['validation-failed', 'unknown-field', 'invalid-token'],
        note: 'Begin with view=summary; with for=self and a bearer token, each endpoint says whether the token may call it.',
      },
    },
    schema: {
      operationId: 'readCatalog',
      summary: 'What can be called, with which scopes',
      description:
        'Of all services, generated from the declarations that are enforced: it cannot be out of date. Admins see internal endpoints, too.',
      tags: ['Catalog'],
      querystring: CatalogQuery,
      response: anyObject,
    },
    handler: async (request, reply) => {
      const { query } = request
      const viewer = await (query.for === 'self' ? selfViewer : anyViewer)(request, guard)
      const { text, etag } = await catalog.page(query, viewer)
      if (notModified(request, cacheFor(reply, viewer), etag)) return reply
      return reply.type('application/json').send(text as never)
    },
  })

  app.route({
    method: 'GET',
    url: '/problems',
    config,
    schema: {
      operationId: 'listProblems',
      summary: 'Every kind of refusal',
      tags: ['Catalog'],
      response: anyObject,
    },
    handler: async () => problems,
  })

  app.route({
    method: 'GET',
    url: '/problems/:code',
    config: { ...config, catalog: { ...config.catalog, errors: ['not-found'] } },
    schema: {
      operationId: 'readProblem',
      summary: 'What a kind of refusal means and what to do about it',
      description: 'JSON, or a page for a browser.',
      tags: ['Catalog'],
      params: Type.Object({ code: Type.String({ maxLength: 64 }) }),
      response: anyObject,
    },
    handler: async (request, reply) => {
      const { code } = request.params
      if (!Object.hasOwn(problems, code)) {
        throw new Problem('not-found', `There is no such code.${didYouMean(code, Object.keys(problems))}`)
      }
      const kind = problems[code as ProblemCode]
      if (!request.headers.accept?.includes('text/html')) return { code, ...kind }
      return reply
        .header('content-security-policy', "default-src 'none'; frame-ancestors 'none'")
        .type('text/html; charset=utf-8')
        .send(problemPage(code, kind) as never)
    },
  })
}

/** Only texts of our own: nothing here comes from a caller. */
function problemPage(code: string, kind: (typeof problems)[ProblemCode]): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>${code}</title><h1>${kind.title}</h1>
<p><code>${code}</code>, HTTP ${kind.status}</p><p>${kind.meaning}</p><h2>What to do</h2><p>${kind.whatToDo}</p></html>`
}
