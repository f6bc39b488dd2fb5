// The MCP server behind POST /mcp, by the official SDK: four tools, all of which only read. One server for each request,
// as the SDK wants it of a server without sessions. The SDK is loaded when it is first needed: most never need it.

import { Problem, problemBody } from '../../http/problem.ts'
import { asProblem } from '../../http/server.ts'
import type { Catalog } from '../catalog.ts'
import { filterMethods } from '../filter.ts'
import type { State } from '../formats/pages.ts'
import type { Site } from '../render.ts'
import type { Viewer } from '../viewer.ts'
import { describeEndpoint } from './describe.ts'
import { listJobs, searchEndpoints, whoAmI } from './tools.ts'

export type Asked = {
  readonly viewer: Viewer
  readonly message: unknown
  readonly headers: Headers
  readonly requestId: string
  readonly onTrouble: (error: Error) => void
}

export type Mcp = (asked: Asked) => Promise<Response>

type Sdk = Awaited<ReturnType<typeof loadSdk>>
type Server = InstanceType<Sdk['McpServer']>

const instructions =
  'The endpoints of all services, which scopes they need, and what refusals mean. Begin with list_jobs or search_endpoints, then describe_endpoint for what to send. whoami tells what your token may do. Nothing here calls an endpoint or makes a token.'

export function createMcp(catalog: Catalog, site: Site): Mcp {
  let loading: Promise<Sdk> | null = null
  return async (asked) => {
    loading ??= loadSdk()
    const sdk = await loading
    const server = new sdk.McpServer(
      { name: 'latchkey', title: 'Latchkey', version: site.version },
      { instructions, jsonSchemaValidator: sdk.validator },
    )
    addTools(server, sdk, { catalog, site, asked })
    const transport = new sdk.Transport({ enableJsonResponse: true })
    try {
      // The SDK's two types of it differ in whether a member may be undefined.
      await server.connect(transport as Parameters<Server['connect']>[0])
      const request = new Request(`${site.issuer}/mcp`, { method: 'POST', headers: asked.headers })
      return await transport.handleRequest(request, { parsedBody: asked.message })
    } finally {
      await server.close()
    }
  }
}

async function loadSdk() {
  const [{ McpServer }, transport, { AjvJsonSchemaValidator }, { z }] = await Promise.all([
    import('@modelcontextprotocol/sdk/server/mcp.js'),
    import('@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js'),
    import('@modelcontextprotocol/sdk/validation/ajv'),
    import('zod'),
  ])
  const Transport = transport.WebStandardStreamableHTTPServerTransport
  // One for all: each server would make its own, which takes longer than the rest of the request.
  return { McpServer, Transport, validator: new AjvJsonSchemaValidator(), schemas: schemasOf(z) }
}

function schemasOf(z: typeof import('zod').z) {
  const text = (most: number, description: string) => z.string().min(1).max(most).describe(description)
  const q = text(200, 'Words; all of them must occur.').optional()
  const service = text(64, 'A service id.').optional()
  return {
    search: z.strictObject({
      q,
      job: text(200, 'A job, in the words of list_jobs.').optional(),
      scope: text(100, 'Endpoints that need this scope.').optional(),
      method: z.enum(filterMethods).optional(),
      service,
    }),
    describe: z.strictObject({ id: text(128, 'As search_endpoints names it.'), service }),
    list: z.strictObject({ q }),
    nothing: z.strictObject({}),
  }
}

type Context = { readonly catalog: Catalog; readonly site: Site; readonly asked: Asked }

function addTools(server: Server, { schemas }: Sdk, context: Context): void {
  const { viewer } = context.asked
  const annotations = { readOnlyHint: true, openWorldHint: false }
  const answer = (make: (state: State) => object) => answerOf(make, context)
  server.registerTool(
    'search_endpoints',
    {
      title: 'Search endpoints',
      description:
        'Find the endpoints that do something, with the scopes they need; with a token, whether it may call them.',
      inputSchema: schemas.search,
      annotations,
    },
    (query) => answer((state) => searchEndpoints(defined(query), state, viewer)),
  )
  server.registerTool(
    'describe_endpoint',
    {
      title: 'Describe an endpoint',
      description:
        'All it takes to call one endpoint: where, what to send, an example, what comes back, what can go wrong.',
      inputSchema: schemas.describe,
      annotations,
    },
    (wanted) => answer((state) => describeEndpoint(wanted, state, viewer, context.site.issuer)),
  )
  server.registerTool(
    'list_jobs',
    {
      title: 'List jobs',
      description: 'What can be got done, with which scopes, by which endpoints in which order.',
      inputSchema: schemas.list,
      annotations,
    },
    (query) => answer((state) => listJobs(query, state)),
  )
  server.registerTool(
    'whoami',
    {
      title: 'Who am I',
      description: 'Whose the token at hand is, what it may do, and until when; or that there is none.',
      inputSchema: schemas.nothing,
      annotations,
    },
    () => answer(() => whoAmI(viewer)),
  )
}

/** A refusal is a result, so that the model reads it and can do better (MCP, tools, error handling). */
async function answerOf(make: (state: State) => object, { catalog, site, asked }: Context) {
  try {
    const result = make(await catalog.shown(asked.viewer))
    const text = JSON.stringify(result)
    return { content: [{ type: 'text' as const, text }], structuredContent: JSON.parse(text) }
  } catch (error) {
    if (!(error instanceof Problem)) asked.onTrouble(error as Error)
    const problem = asProblem(error as never, '')
    const text = problemBody(problem, site.issuer, asked.requestId)
    return { isError: true, content: [{ type: 'text' as const, text }] }
  }
}

/** Optional to zod is present as undefined; to the catalog it is not there. */
const defined = <T extends object>(given: T) =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
