// The four tools, registered with an MCP server that answers one request. What they answer is tools.ts and describe.ts.
import type { McpServer } from '@modelcontextprotocol/sdk/server/mcp.js'
import { Problem, problemBody } from '../../http/problem.ts'
import { asProblem } from '../../http/server.ts'
import type { Catalog } from '../catalog.ts'
import type { State } from '../formats/pages.ts'
import type { Site } from '../render.ts'
import type { Viewer } from '../viewer.ts'
import { describeEndpoint } from './describe.ts'
import type { ToolSchemas } from './schemas.ts'
import { listJobs, searchEndpoints, whoAmI } from './tools.ts'

export type Context = {
  readonly catalog: Catalog
  readonly site: Site
  readonly viewer: Viewer
  readonly requestId: string
  readonly onTrouble: (error: Error) => void
}

export function addTools(server: McpServer, schemas: ToolSchemas, context: Context): void {
  const { viewer } = context
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
async function answerOf(make: (state: State) => object, { catalog, site, viewer, ...asked }: Context) {
  try {
    const result = make(await catalog.shown(viewer))
    const text = JSON.stringify(result)
    return { content: [{ type: 'text' as const, text }], structuredContent: JSON.parse(text) }
  } catch (error) {
    if (!(error instanceof Problem)) asked.onTrouble(error as Error)
    const problem = asProblem(error as never)
    const text = problemBody(problem, site.issuer, asked.requestId)
    return { isError: true, content: [{ type: 'text' as const, text }] }
  }
}

/** Optional to zod is present as undefined; to the catalog it is not there. */
const defined = <T extends object>(given: T) =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
