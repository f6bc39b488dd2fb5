// Documents of several services → one OpenAPI 3.1 document, of the endpoints that are shown. Pure.
import type { Endpoint } from '../endpoint.ts'
import { follow } from '../reading/references.ts'
import { schemesOf } from '../reading/security.ts'
import { isObject, type Json, type JsonObject, own } from '../reading/tree.ts'
import { shapeOf } from '../template.ts'
import { type Components, freeName, type Source, sourceOf } from './components.ts'
import { upgraded } from './upgrade.ts'

export type Part = {
  readonly service: string
  readonly document: JsonObject
  /** Where the service is reached; none: it is not known. */
  readonly servers: Json[]
  /** Those that are shown. */
  readonly endpoints: readonly Endpoint[]
}

type Merged = {
  readonly paths: JsonObject
  readonly components: Components
  readonly tags: Map<string, Json>
  readonly ids: Set<string>
  readonly shapes: Set<string>
}

export function mergedDocument(parts: readonly Part[], info: Json): JsonObject {
  const merged: Merged = { paths: {}, components: {}, tags: new Map(), ids: new Set(), shapes: new Set() }
  for (const part of parts) addPart(merged, part)
  const { paths, components, tags } = merged
  return {
    openapi: '3.1.0',
    info,
    ...(tags.size > 0 && { tags: [...tags.values()] }),
    paths,
    ...(Object.keys(components).length > 0 && { components: components as JsonObject }),
  }
}

const unknownServer: Json[] = [
  { url: '/', description: 'Where the service is reached has not been registered.' },
]

function addPart(merged: Merged, { service, document: given, servers, endpoints }: Part): void {
  const document = upgraded(given)
  const renamed = new Map<string, string>()
  for (const { id } of endpoints) {
    const free = freeName(id, service, (one) => merged.ids.has(one))
    renamed.set(id, free)
    merged.ids.add(free)
  }
  const source = sourceOf({ service, document, renamed }, merged.components)
  const schemes = schemesOf(document)
  for (const [path, list] of byPath(endpoints)) {
    const item = follow(document, own(own(document, 'paths'), path))
    if (!isObject(item)) continue
    const operations = list.map((endpoint): [string, Json] => {
      const method = endpoint.method.toLowerCase()
      const operation = own(item, method) as JsonObject
      return [method, operationOf(operation, endpoint, renamed.get(endpoint.id)!, document, source, schemes)]
    })
    const shared = ['summary', 'description', 'parameters'].flatMap((name): [string, Json][] => {
      const value = own(item, name)
      return value === undefined ? [] : [[name, source.rewrite(value)]]
    })
    const at = servers.length > 0 ? servers : unknownServer
    merged.paths[keyFor(path, service, merged.shapes)] = Object.fromEntries([
      ['servers', at],
      ...shared,
      ...operations,
    ])
  }
  source.settle()
  addTags(merged, document, new Set(endpoints.flatMap((one) => tagsOf(document, one))))
}

function tagsOf(document: JsonObject, { method, path }: Endpoint): string[] {
  const item = follow(document, own(own(document, 'paths'), path))
  const tags = own(own(item, method.toLowerCase()), 'tags')
  return Array.isArray(tags) ? tags.map(String) : []
}

/** Of tags that several services describe, the first description stays; those of what is not shown are left out. */
function addTags(merged: Merged, document: JsonObject, used: ReadonlySet<string>): void {
  const tags = own(document, 'tags')
  for (const tag of Array.isArray(tags) ? tags : []) {
    const name = String(own(tag, 'name'))
    if (used.has(name) && !merged.tags.has(name)) merged.tags.set(name, tag)
  }
}

function byPath(endpoints: readonly Endpoint[]): Map<string, Endpoint[]> {
  const paths = new Map<string, Endpoint[]>()
  for (const one of endpoints) {
    const list = paths.get(one.path)
    if (list) list.push(one)
    else paths.set(one.path, [one])
  }
  return paths
}

/** A path can be in a document once; behind a fragment, which no client sends, another service's finds its place. */
function keyFor(path: string, service: string, shapes: Set<string>): string {
  const shape = shapeOf(path)
  const isTaken = shapes.has(shape)
  shapes.add(shape)
  return isTaken ? `${path}#${service}` : path
}

type Schemes = ReturnType<typeof schemesOf>

function operationOf(
  operation: JsonObject,
  { auth }: Endpoint,
  id: string,
  document: JsonObject,
  source: Source,
  schemes: Schemes,
): JsonObject {
  const required = own(operation, 'security') ?? own(document, 'security')
  const security = (Array.isArray(required) ? required : []).map((alternative) =>
    Object.fromEntries(
      Object.entries(alternative as JsonObject).map(([name, scopes]): [string, Json] => {
        // 3.0 could not name the scopes of a bearer scheme here.
        const needed = schemes.get(name) === 'token' ? [...auth.scopes] : scopes
        return [source.nameOf('securitySchemes', name), needed]
      }),
    ),
  )
  const { security: _, ...rest } = operation
  return { ...(source.rewrite(rest) as JsonObject), operationId: id, security }
}
