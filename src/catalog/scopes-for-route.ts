// POST /api/v1/catalog/scopes-for: which scopes does a script need?
import Type from 'typebox'
import type { GuardDependencies } from '../guard/guard.ts'
import type { App } from '../http/server.ts'
import type { Catalog } from './catalog.ts'
import { scopesFor } from './scopes-for.ts'
import { anyViewer, cacheFor } from './viewer.ts'

const closed = { additionalProperties: false } as const
const text = (most: number, description: string, example: string) =>
  Type.String({ minLength: 1, maxLength: most, format: 'text', description, examples: [example] })
const strings = Type.Array(Type.String())

const Body = Type.Object(
  {
    endpoints: Type.Optional(
      Type.Array(
        Type.Object(
          {
            method: Type.String({
              pattern: '^[A-Za-z]{3,7}$',
              description: 'GET, POST, …',
              examples: ['GET'],
            }),
            path: text(500, 'As the catalog has it, or with values in it.', '/api/v1/tokens/{id}'),
            service: Type.Optional(text(64, 'Where several services have the path.', 'latchkey')),
          },
          closed,
        ),
        { maxItems: 100 },
      ),
    ),
    jobs: Type.Optional(
      Type.Array(text(200, 'One of the catalog’s jobs.', 'Protect a service with tokens'), { maxItems: 50 }),
    ),
  },
  { ...closed, minProperties: 1 },
)
const Answer = Type.Object(
  {
    scopes: Type.Array(Type.String(), { description: 'All that are needed; none is implied by another.' }),
    endpoints: Type.Array(
      Type.Object(
        {
          id: Type.String(),
          service: Type.String(),
          method: Type.String(),
          path: Type.String(),
          access: Type.String({ description: 'Whether a token can call it at all.' }),
          scopes: strings,
        },
        closed,
      ),
    ),
    jobs: Type.Array(Type.Object({ job: Type.String(), service: Type.String(), scopes: strings }, closed)),
  },
  closed,
)

export function scopesForRoute(app: App, catalog: Catalog, guard: GuardDependencies): void {
  app.route({
    method: 'POST',
    url: '/api/v1/catalog/scopes-for',
    config: {
      policy: { access: 'public' },
      catalog: { effects: { readOnly: true }, errors: ['validation-failed', 'unknown-field'] },
    },
    schema: {
      operationId: 'findScopes',
      summary: 'The smallest set of scopes for some endpoints or jobs',
      description: 'Give the script that calls them a token with just these.',
      tags: ['Catalog'],
      body: Body,
      response: { 200: Answer },
    },
    handler: async (request, reply) => {
      const viewer = await anyViewer(request, guard)
      const { snapshot, shown } = await catalog.shown(viewer)
      const { scopes, endpoints, jobs } = scopesFor(request.body, shown, snapshot)
      cacheFor(reply, viewer).header('cache-control', 'no-store')
      return {
        scopes,
        endpoints: endpoints.map((one) => ({ ...one, scopes: [...one.scopes] })),
        jobs: jobs.map((one) => ({ ...one, scopes: [...one.scopes] })),
      }
    },
  })
}
