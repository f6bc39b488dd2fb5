// GET /api/programmatic/catalog, and a page for each kind of problem.
import type { RouteOptions } from 'fastify'
import Type from 'typebox'
import type { Db } from '../db/tables.ts'
import { notModified, strongEtag } from '../http/etag.ts'
import { didYouMean } from '../http/nearest.ts'
import { Problem } from '../http/problem.ts'
import { type ProblemCode, problems } from '../http/problems.ts'
import type { App } from '../http/server.ts'
import { ownServiceId } from '../identity/own-scopes.ts'
import { scopeGroups, scopes, services } from '../identity/queries.ts'
import { type Endpoint, endpointsOf } from './endpoints.ts'
import { catalogDocument } from './render.ts'
import { ownWorkflows } from './workflows.ts'

export type CatalogDependencies = {
  readonly db: Db
  readonly issuer: string
  readonly version: string
  readonly tokenPrefix: string
}

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

export function catalogRoutes(
  app: App,
  endpoints: () => readonly Endpoint[],
  dependencies: CatalogDependencies,
): void {
  const { db, issuer, version, tokenPrefix } = dependencies

  app.route({
    method: 'GET',
    url: '/api/programmatic/catalog',
    config,
    schema: {
      operationId: 'readCatalog',
      summary: 'What can be called, with which scopes',
      description: 'Generated from the declarations that are enforced: it cannot be out of date.',
      tags: ['Catalog'],
      response: anyObject,
    },
    handler: async (request, reply) => {
      const [servicesNow, groups, scopesNow] = await Promise.all([services(db), scopeGroups(db), scopes(db)])
      const content = { issuer, version, tokenPrefix, services: servicesNow, groups, scopes: scopesNow }
      const document = catalogDocument({ ...content, endpoints: endpoints(), workflows: ownWorkflows })
      const etag = strongEtag(JSON.stringify(document))
      if (notModified(request, reply, etag)) return reply
      return reply
        .header('cache-control', 'public, max-age=60')
        .send({ revision: etag.slice(1, -1), ...document })
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
