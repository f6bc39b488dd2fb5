// All declared routes → one OpenAPI 3.1 document, always the same for the same routes, whatever replica makes it.
import type { Declared } from './access.ts'
import { operationIdOf, operationOf, pathOf, type RouteSchema } from './operation.ts'
import type { CollectedRoute } from './routes.ts'
import { createSchemas } from './schemas.ts'

export type DocumentOptions = {
  /** Default: the service's id. */
  readonly title?: string
  /** Of the service's API. Default: `1.0.0`. */
  readonly version?: string
  readonly description?: string
  /** Base URLs at which clients reach the service. */
  readonly servers?: readonly string[]
  /** In which browsers bring their session. Default: `session`. */
  readonly sessionCookie?: string
}

export type Document = {
  readonly openapi: '3.1.0'
  readonly info: { readonly title: string; readonly version: string; readonly description?: string }
  readonly servers?: readonly { readonly url: string }[]
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  readonly components: Readonly<Record<string, unknown>>
}

type Entry = {
  readonly method: string
  readonly path: string
  readonly schema: RouteSchema
  readonly declared: Declared
}

const known = new Set(['GET', 'PUT', 'POST', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE'])

export function documentOf(
  routes: readonly CollectedRoute[],
  {
    service,
    title,
    version = '1.0.0',
    description,
    servers,
    sessionCookie = 'session',
  }: DocumentOptions & { service?: string },
): Document {
  const schemas = createSchemas(Object.assign({}, ...routes.map((one) => one.shared())))
  const ids = new Set<string>()
  const paths: Record<string, Record<string, unknown>> = {}
  for (const { method, path, schema, declared } of entriesOf(routes)) {
    const id = unique(operationIdOf(method, path, schema.operationId), ids)
    paths[path] ??= {}
    paths[path][method.toLowerCase()] ??= operationOf(schema, declared, path, id, schemas)
  }
  return {
    openapi: '3.1.0',
    info: { title: title ?? service ?? 'API', version, ...(description && { description }) },
    ...(servers && { servers: servers.map((url) => ({ url })) }),
    paths,
    components: {
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer' },
        session: { type: 'apiKey', in: 'cookie', name: sessionCookie },
      },
      schemas: schemas.components(),
    },
  }
}

/** In order of path and method. Without what is denied, hidden, or made by Fastify out of another (HEAD, `/v1/`). */
function entriesOf(routes: readonly CollectedRoute[]): Entry[] {
  const entries = routes.flatMap(({ methods, url, declared, ...route }) => {
    const schema = (route.schema ?? {}) as RouteSchema
    if (!declared || schema.hide) return []
    const path = pathOf(url)
    return methods.map((method) => ({ method: method.toUpperCase(), path, schema, declared }))
  })
  const paths = new Set(entries.map(({ path }) => path))
  const twice = ({ path }: Entry) => path.length > 1 && path.endsWith('/') && paths.has(path.slice(0, -1))
  return entries.filter((entry) => known.has(entry.method) && !twice(entry)).sort(inOrder)
}

const inOrder = (a: Entry, b: Entry) => (keyOf(a) < keyOf(b) ? -1 : 1)
const keyOf = ({ path, method }: Entry) => `${path} ${method}`

function unique(id: string, taken: Set<string>): string {
  let name = id
  for (let number = 2; taken.has(name); number++) name = `${id}_${number}`
  taken.add(name)
  return name
}
