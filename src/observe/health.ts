// /livez: the process runs. /readyz: it may be sent requests. Both without authentication; /metrics only on the
// management port.
import Fastify, { type FastifyInstance } from 'fastify'
import Type from 'typebox'
import type { App } from '../http/server.ts'
import type { Metrics } from './metrics.ts'

export type Readiness = () => Promise<{ ready: boolean; reason: string }>

const answer = Type.Object({ status: Type.String() })
const config = { policy: { access: 'public' }, catalog: { effects: { readOnly: true } } } as const
const tags = ['Operation']

export function healthRoutes(app: App, readiness: Readiness): void {
  app.route({
    method: 'GET',
    url: '/livez',
    config,
    schema: { operationId: 'livez', summary: 'Whether the process runs', tags, response: { 200: answer } },
    handler: async () => ({ status: 'ok' }),
  })
  app.route({
    method: 'GET',
    url: '/readyz',
    config,
    schema: {
      operationId: 'readyz',
      summary: 'Whether requests may be sent here',
      tags,
      response: { 200: answer, 503: answer },
    },
    handler: async (_request, reply) => {
      const { ready, reason } = await readiness()
      return reply.code(ready ? 200 : 503).send({ status: reason })
    },
  })
}

/** A second, plain server for what must stay inside. */
export function createManagementServer(metrics: Metrics, readiness: Readiness): FastifyInstance {
  const server = Fastify({ forceCloseConnections: true })
  server.get('/livez', async () => ({ status: 'ok' }))
  server.get('/readyz', async (_request, reply) => {
    const { ready, reason } = await readiness()
    return reply.code(ready ? 200 : 503).send({ status: reason })
  })
  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.registry.metrics()),
  )
  return server
}
