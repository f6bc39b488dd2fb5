// Routes of `posts` about workspaces.
import type { FastifyInstance } from 'fastify'
import { object, text } from './schemas.ts'

type OfWorkspace = { Params: { workspaceId: string } }
const workspaceId = object({ workspaceId: text(40, 'main') })

export async function workspaceRoutes(app: FastifyInstance): Promise<void> {
  const names = new Map([['main', 'Main']])
  let runs = 0

  app.post<OfWorkspace>('/v1/workspaces/:workspaceId/runs', {
    config: { auth: { scopes: ['workspaces:run'], jobs: ['Run a workspace'] } },
    schema: {
      operationId: 'runWorkspace',
      summary: 'Run a workspace',
      params: workspaceId,
      response: { 202: object({ id: text(40, 'run_1'), workspace: text(40, 'main') }) },
    },
    handler: async ({ params }, reply) => {
      runs += 1
      reply.code(202)
      return { id: `run_${runs}`, workspace: params.workspaceId }
    },
  })

  app.patch<OfWorkspace & { Body: { name: string } }>('/v1/workspaces/:workspaceId', {
    config: { auth: { access: 'both', scopes: ['workspaces:manage'], jobs: ['Set up workspaces'] } },
    schema: {
      operationId: 'changeWorkspace',
      summary: 'Rename a workspace',
      params: workspaceId,
      body: object({ name: text(100, 'Main') }),
      response: { 200: object({ id: text(40, 'main'), name: text(100, 'Main') }) },
    },
    handler: async ({ params, body }) => {
      names.set(params.workspaceId, body.name)
      return { id: params.workspaceId, name: body.name }
    },
  })
}
