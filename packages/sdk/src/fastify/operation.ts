// One Fastify route → one OpenAPI 3.1 operation: what it takes and answers, from its own schemas, and who may call it,
// from its own declaration.
import type { Declared } from './access.ts'
import type { Schemas } from './schemas.ts'

/** The members of a route's schema that are looked at; whatever else it has is for Fastify. */
export type RouteSchema = {
  readonly hide?: boolean
  readonly operationId?: string
  readonly summary?: string
  readonly description?: string
  readonly tags?: readonly string[]
  readonly deprecated?: boolean
  readonly consumes?: readonly string[]
  readonly produces?: readonly string[]
  readonly params?: unknown
  readonly querystring?: unknown
  readonly query?: unknown
  readonly headers?: unknown
  readonly body?: unknown
  readonly response?: Readonly<Record<string, unknown>>
}

export type Operation = { readonly operationId: string; readonly [key: string]: unknown }

const json = ['application/json']

/** `/posts/:id(^\\d+)/*` → `/posts/{id}/{wildcard}` */
export function pathOf(url: string): string {
  return url.replace(/:(\w+)(?:\([^)]*\))?\??/g, '{$1}').replace('*', '{wildcard}')
}

/** `GET /v1/posts/{id}` → `get_v1_posts_by_id`: no dots, which Arazzo's expressions cannot address. */
export function operationIdOf(method: string, path: string, given: string | undefined): string {
  const id = given ?? `${method.toLowerCase()}${path.replace(/\{(\w+)\}/g, 'by_$1')}`
  return id.replace(/[^A-Za-z0-9_-]+/g, '_').replace(/_+$/, '')
}

export function operationOf(
  schema: RouteSchema,
  declared: Declared,
  path: string,
  operationId: string,
  schemas: Schemas,
): Operation {
  const { summary, description, tags, deprecated } = schema
  const parameters = parametersOf(schema, path, schemas)
  const hints = extensionOf(declared)
  return {
    operationId,
    ...(summary && { summary }),
    ...(description && { description }),
    ...(tags && { tags }),
    ...(deprecated && { deprecated }),
    ...(parameters.length > 0 && { parameters }),
    ...(schema.body !== undefined && { requestBody: bodyOf(schema.body, schema.consumes ?? json, schemas) }),
    responses: responsesOf(schema, schemas),
    security: securityOf(declared),
    ...(hints && { 'x-latchkey': hints }),
  }
}

/** Each entry is one way in. What needs neither token nor session says so: `[]`. */
function securityOf({ access, scopes }: Declared): readonly Record<string, readonly string[]>[] {
  if (access === 'public' || access === 'webhook-ingress') return []
  if (access === 'browser-only') return [{ session: [] }]
  return access === 'both' ? [{ token: scopes }, { session: [] }] : [{ token: scopes }]
}

/** Only what `security` does not say. */
function extensionOf({ access, hints }: Declared): Record<string, unknown> | null {
  const unsaid = access === 'webhook-ingress' || access === 'internal' || access === 'admin-only'
  const extension = { ...(unsaid && { access }), ...hints }
  return Object.keys(extension).length > 0 ? extension : null
}

function parametersOf(schema: RouteSchema, path: string, schemas: Schemas): unknown[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name!)
  const described = propertiesOf(schema.params, schemas)
  return [
    ...inPath.map((name) => parameter(name, 'path', true, described[name] ?? { type: 'string' }, schemas)),
    ...parametersIn('query', schema.querystring ?? schema.query, schemas),
    ...parametersIn('header', schema.headers, schemas),
  ]
}

function parametersIn(place: 'query' | 'header', schema: unknown, schemas: Schemas): unknown[] {
  if (schema === undefined) return []
  const required = (schemas.resolve(schema)?.['required'] ?? []) as readonly string[]
  return Object.entries(propertiesOf(schema, schemas)).map(([name, value]) =>
    parameter(name, place, required.includes(name), value, schemas),
  )
}

const propertiesOf = (schema: unknown, schemas: Schemas) =>
  (schemas.resolve(schema)?.['properties'] ?? {}) as Record<string, unknown>

function parameter(
  name: string,
  place: string,
  required: boolean,
  schema: unknown,
  schemas: Schemas,
): unknown {
  const { description, ...rest } = schema as { description?: string }
  return { name, in: place, required, ...(description && { description }), schema: schemas.place(rest) }
}

function bodyOf(body: unknown, types: readonly string[], schemas: Schemas): unknown {
  return { required: true, content: contentOf(body, types, schemas) }
}

/** Fastify takes `{ content: { type: { schema } } }`, or one schema for all types. */
function contentOf(schema: unknown, types: readonly string[], schemas: Schemas): unknown {
  const { content } = schema as { content?: unknown }
  if (content) return schemas.place(content)
  return Object.fromEntries(types.map((type) => [type, { schema: schemas.place(schema) }]))
}

function responsesOf({ response, produces = json }: RouteSchema, schemas: Schemas): unknown {
  // OpenAPI wants one at least.
  if (!response) return { 200: { description: 'OK' } }
  return Object.fromEntries(
    Object.entries(response).map(([status, schema]) => {
      const {
        description = 'Answer',
        type,
        $ref,
      } = schemas.resolve(schema) as { description?: string; type?: string; $ref?: string }
      const empty = type === 'null' && $ref === undefined
      const content = empty ? {} : { content: contentOf(schema, produces, schemas) }
      return [status.toUpperCase().replace('DEFAULT', 'default'), { description, ...content }]
    }),
  )
}
