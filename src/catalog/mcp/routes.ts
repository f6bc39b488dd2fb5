// POST /mcp: the catalog for agents, over the Model Context Protocol (Streamable HTTP, without sessions). It needs no
// token; with one, what is shown is marked with what that token may do.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { GuardDependencies } from '../../guard/guard.ts'
import { Problem, withoutSecrets } from '../../http/problem.ts'
import type { App } from '../../http/server.ts'
import type { Catalog } from '../catalog.ts'
import type { Site } from '../render.ts'
import { selfViewer, type Viewer } from '../viewer.ts'
import { createMcp } from './server.ts'

export type McpDependencies = {
  readonly catalog: Catalog
  readonly guard: GuardDependencies
  readonly site: Site
}

/** Several in one were dropped from MCP in 2025-06-18; answers are for servers that ask, which this does not. */
const Message = Type.Object(
  {
    jsonrpc: Type.Literal('2.0'),
    id: Type.Optional(Type.Union([Type.String({ maxLength: 200 }), Type.Integer()])),
    method: Type.String({ maxLength: 100, examples: ['tools/call'] }),
    params: Type.Optional(
      Type.Object({}, { additionalProperties: true, examples: [{ name: 'list_jobs', arguments: {} }] }),
    ),
  },
  { additionalProperties: false, description: 'A JSON-RPC 2.0 request or notification.' },
)

export function mcpRoute(app: App, { catalog, guard, site }: McpDependencies): void {
  const mcp = createMcp(catalog, site)
  app.route({
    method: 'POST',
    url: '/mcp',
    config: {
      policy: { access: 'public' },
      catalog: {
        effects: { readOnly: true },
        errors: [
          'validation-failed',
          'unknown-field',
          'malformed-request',
          'invalid-token',
          'policy-violation',
        ],
        note: 'For MCP clients. A bearer token is not needed; one that is sent must be good.',
      },
    },
    schema: {
      operationId: 'mcp',
      summary: 'The catalog as an MCP server, for agents',
      description: 'Tools: search_endpoints, describe_endpoint, list_jobs, whoami. All of them only read.',
      tags: ['Catalog'],
      body: Message,
      response: { 200: Type.Object({}, { additionalProperties: true }) },
    },
    onRequest: (request, _reply, done) => done(strangeOrigin(request, site.issuer)),
    handler: async (request, reply) => {
      const answer = await mcp({
        viewer: await viewerOf(request, guard),
        message: request.body,
        headers: headersOf(request),
        requestId: request.id,
        onTrouble: (err) => request.log.error({ err }, 'an MCP tool failed'),
      })
      // The SDK names a tool that does not exist as it was asked for.
      const text = withoutSecrets(await answer.text())
      // In the one shape of all refusals; all that the SDK refuses at this level is what cannot be read.
      if (answer.status >= 400) throw new Problem('malformed-request', reasonIn(text))
      // A notification is accepted (202), and answered with nothing.
      if (text !== '') reply.type('application/json')
      return reply.code(answer.status as 200).send(text as never)
    },
  })
}

/** A page on another site that a browser was led to (DNS rebinding) says where it is from: MCP, transports, security. */
function strangeOrigin({ headers }: FastifyRequest, issuer: string): Problem | undefined {
  const { origin } = headers
  if (origin === undefined || origin === new URL(issuer).origin) return undefined
  return new Problem(
    'policy-violation',
    `This is not for pages from elsewhere; the limit is ${new URL(issuer).origin}.`,
  )
}

/** A token that is no good is refused rather than overlooked: its bearer would wonder what it is not shown. */
async function viewerOf(request: FastifyRequest, guard: GuardDependencies): Promise<Viewer> {
  if (request.headers.authorization === undefined) return { isAdmin: false, self: null }
  return selfViewer(request, guard)
}

/** No more than the SDK needs. It is always answered with JSON, so what else a client would take does not matter. */
function headersOf({ headers }: FastifyRequest): Headers {
  const version = headers['mcp-protocol-version']
  return new Headers({
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    ...(typeof version === 'string' && { 'mcp-protocol-version': version }),
  })
}

function reasonIn(text: string): string {
  const reason: unknown = JSON.parse(text)?.error?.message
  return typeof reason === 'string' ? reason : 'This is no message of MCP.'
}
