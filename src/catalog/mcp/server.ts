// The MCP server behind POST /mcp, by the official SDK: four tools, all of which only read. One server for each request,
// as the SDK wants it of a server without sessions. The SDK is loaded when it is first needed: most never need it.
import type { Catalog } from '../catalog.ts'
import type { Site } from '../render.ts'
import type { Viewer } from '../viewer.ts'
import { addTools } from './registration.ts'
import { schemasOf } from './schemas.ts'

export type Asked = {
  readonly viewer: Viewer
  readonly message: unknown
  readonly headers: Headers
  readonly requestId: string
  readonly onTrouble: (error: Error) => void
}

export type Mcp = (asked: Asked) => Promise<Response>

type Sdk = Awaited<ReturnType<typeof loadSdk>>

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
    addTools(server, sdk.schemas, { catalog, site, ...asked })
    const transport = new sdk.Transport({ enableJsonResponse: true })
    try {
      // The SDK's two types of it differ in whether a member may be undefined.
      await server.connect(transport as Parameters<typeof server.connect>[0])
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
