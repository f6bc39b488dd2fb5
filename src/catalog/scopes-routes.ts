// PUT and GET /api/v1/services/{id}/scopes: what a service lets tokens do, and the guidance that goes with it.
import Type, { type Static } from 'typebox'
import { record } from '../audit/record.ts'
import type { Db, Trx } from '../db/tables.ts'
import { actorOf, tokenPrincipal } from '../guard/principal.ts'
import type { Write } from '../guard/write.ts'
import { Problem } from '../http/problem.ts'
import { ref } from '../http/ref.ts'
import type { App } from '../http/server.ts'
import { declareScopes } from '../identity/declare-scopes.ts'
import { lockService, scopeGroups, scopes, serviceById } from '../identity/queries.ts'
import { ScopesBody, ServiceId, scopesShown } from '../identity/schemas.ts'
import { known, refuseOtherServices, refuseOwn } from '../identity/spokesman.ts'
import type { Endpoint } from './endpoint.ts'
import { brokenSteps, type Guidance, guidanceShape, guidanceShown, refuseUnknown } from './guidance.ts'
import type { Live } from './live.ts'
import { BrokenStepSchema, HeldSchema } from './publish-schemas.ts'
import { guidance, heldScopes, lockCatalog, putGuidance } from './queries.ts'

export type ScopesDependencies = {
  readonly db: Db
  readonly write: Write
  readonly live: Live
  readonly ownEndpoints: () => readonly Endpoint[]
  readonly now: () => number
}

const closed = { additionalProperties: false } as const
const tags = ['Services']
const policy = { access: 'token', scopes: ['catalog:publish'] } as const

const Body = Type.Object(
  {
    ...ScopesBody.properties,
    presets: Type.Optional(guidanceShape.presets),
    jobs: Type.Optional(guidanceShape.jobs),
    workflows: Type.Optional(guidanceShape.workflows),
  },
  closed,
)
const shown = { ...scopesShown, ...guidanceShown }
const ScopesSchema = Type.Object(shown, { $id: 'DeclaredScopes', ...closed })
const AnswerSchema = Type.Object(
  {
    ...shown,
    scopesStillHeld: Type.Array(HeldSchema, {
      description: 'Scopes that are declared no more, though tokens hold them: they give nothing now.',
    }),
    brokenWorkflows: Type.Array(BrokenStepSchema, {
      description: 'Steps that name an endpoint which nobody shows; the catalog leaves such workflows out.',
    }),
  },
  { $id: 'NewlyDeclaredScopes', ...closed },
)

export function scopesRoutes(app: App, dependencies: ScopesDependencies): void {
  const { db, write } = dependencies
  for (const schema of [ScopesSchema, AnswerSchema]) app.addSchema(schema)

  app.route({
    method: 'PUT',
    url: '/api/v1/services/:id/scopes',
    bodyLimit: 512 * 1024,
    config: {
      policy,
      catalog: {
        effects: { readOnly: false },
        errors: [
          'validation-failed',
          'unknown-field',
          'unknown-scope',
          'not-found',
          'conflict',
          'policy-violation',
        ],
      },
    },
    schema: {
      operationId: 'declareScopes',
      summary: 'Declare all scopes of a service, with presets, jobs and workflows',
      description:
        'Replaces all that was declared before. A scope that a published route needs cannot be left out. Needs services:admin, or a token whose subject is the service.',
      tags,
      params: ServiceId,
      body: Body,
      response: { 200: ref(AnswerSchema) },
    },
    handler: async (request) => {
      const { id } = request.params
      refuseOwn(id)
      refuseOtherServices(tokenPrincipal(request), id)
      const told = await write(request, async (trx, invalidate) => {
        await lockCatalog(trx)
        known(await lockService(trx, id))
        const done = await declare(trx, id, request.body, dependencies)
        const detail = { scopes: request.body.scopes.map((scope) => scope.name) }
        const at = new Date(dependencies.now())
        await record(trx, { action: 'service.scopes_declared', serviceId: id, detail }, actorOf(request), at)
        invalidate({ kind: 'scopes' })
        return done
      })
      return { ...(await declaredBy(db, id)), ...told }
    },
  })

  app.route({
    method: 'GET',
    url: '/api/v1/services/:id/scopes',
    config: { policy, catalog: { effects: { readOnly: true }, errors: ['not-found'] } },
    schema: {
      operationId: 'readScopes',
      summary: 'Show the scopes a service declares, with presets, jobs and workflows',
      tags,
      params: ServiceId,
      response: { 200: ref(ScopesSchema) },
    },
    handler: async ({ params: { id } }) => {
      known(await serviceById(db, id))
      return declaredBy(db, id)
    },
  })
}

async function declare(trx: Trx, id: string, body: Static<typeof Body>, dependencies: ScopesDependencies) {
  const before = await dependencies.live.within(trx)
  const names = new Set(body.scopes.map((scope) => scope.name))
  const gone = before.scopes
    .filter((row) => row.service_id === id && !names.has(row.name))
    .map((row) => row.name)
  const endpoints = before.services.flatMap((service) => service.endpoints)
  refuseNeeded(gone, endpoints)
  // As long as it is still known what reaches them.
  const scopesStillHeld = await heldScopes(trx, gone, new Date(dependencies.now()))
  await declareScopes(trx, id, body)
  const { presets = [], jobs = [], workflows = [] } = body
  const said: Guidance = { service: id, presets, jobs, workflows }
  refuseUnknown(said, new Set((await scopes(trx)).map((row) => row.name)))
  await putGuidance(trx, said)
  return {
    scopesStillHeld,
    brokenWorkflows: brokenSteps([said], [...dependencies.ownEndpoints(), ...endpoints]),
  }
}

/** A route whose scope nobody can have is open to nobody: surely not what was meant. */
function refuseNeeded(gone: readonly string[], endpoints: readonly Endpoint[]): void {
  for (const scope of gone) {
    const needing = endpoints.filter((one) => one.auth.scopes.includes(scope))
    if (needing.length === 0) continue
    const some = needing.slice(0, 5).map((one) => `${one.method} ${one.path} of ${one.service}`)
    const more = needing.length > 5 ? ` and ${needing.length - 5} more` : ''
    throw new Problem(
      'conflict',
      `The scope "${scope}" cannot be left out, as routes need it: ${some.join(', ')}${more}. Publish without them first.`,
    )
  }
}

async function declaredBy(db: Db, service: string): Promise<Static<typeof ScopesSchema>> {
  const groups = (await scopeGroups(db)).filter((row) => row.service_id === service)
  const declared = (await scopes(db)).filter((row) => row.service_id === service)
  const said = (await guidance(db)).find((one) => one.service === service)
  return {
    service,
    groups: groups.map(({ id, title }) => ({ id, title })),
    scopes: declared.map((row) => ({
      name: row.name,
      title: row.title,
      description: row.description,
      group: row.group_id,
      risk: row.risk,
      implies: row.implies,
      maxLifetimeDays: row.max_lifetime_days,
    })),
    presets: [...(said?.presets ?? [])],
    jobs: [...(said?.jobs ?? [])],
    workflows: [...(said?.workflows ?? [])],
  }
}
