// Our own registered routes → catalog endpoints. Pure: what is documented is what is declared and enforced.
import type { RouteOptions } from 'fastify'
import type { RoutePolicy } from '../guard/policy.ts'
import type { ProblemCode } from '../http/problems.ts'

/** Who may call: the classes of the catalog. `both` means token or browser session. */
export type Access =
  | 'both'
  | 'token'
  | 'browser-only'
  | 'public'
  | 'webhook-ingress'
  | 'internal'
  | 'admin-only'

export type Endpoint = {
  readonly id: string
  readonly service: string
  readonly method: string
  readonly path: string
  readonly summary: string
  readonly description?: string
  readonly access: Access
  readonly auth: {
    readonly pat: boolean
    readonly session: boolean
    readonly clientCredentials: boolean
    readonly scopes: readonly string[]
  }
  readonly effects: { readonly readOnly: boolean; readonly destructive?: boolean }
  readonly request?: Hints
  readonly response?: { readonly status: number; readonly contentType: string; readonly example?: unknown }
  readonly errors: readonly ProblemCode[]
  readonly stability: 'stable'
  readonly note?: string
}

type Hints = {
  readonly contentType?: string
  readonly path?: Record<string, string>
  readonly query?: Record<string, string>
  readonly hint?: Record<string, string>
  readonly example?: unknown
}

type Schema = {
  $ref?: string
  type?: string | string[]
  description?: string
  examples?: unknown[]
  default?: unknown
  enum?: unknown[]
  const?: unknown
  anyOf?: Schema[]
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  format?: string
}
type RouteSchema = {
  hide?: boolean
  operationId?: string
  summary?: string
  description?: string
  consumes?: string[]
  params?: Schema
  querystring?: Schema
  body?: Schema
  response?: Record<string, Schema>
}

export type SharedSchemas = Readonly<Record<string, unknown>>

/** @param routes as registered; hidden ones and those without a policy are not part of the API */
export function endpointsOf(
  routes: readonly RouteOptions[],
  shared: SharedSchemas,
  service: string,
): Endpoint[] {
  return routes.flatMap((route) => {
    const schema = route.schema as RouteSchema | undefined
    const policy = route.config?.policy
    if (!policy || !schema?.operationId || schema.hide || route.method === 'HEAD') return []
    return [endpointOf(route, schema as RouteSchema & { operationId: string }, policy, shared, service)]
  })
}

function endpointOf(
  route: RouteOptions,
  schema: RouteSchema & { operationId: string },
  policy: RoutePolicy,
  shared: SharedSchemas,
  service: string,
): Endpoint {
  const { effects = { readOnly: true }, errors = [], note } = route.config?.catalog ?? {}
  const request = requestHints(schema)
  const response = responseHint(schema, shared)
  return {
    id: schema.operationId,
    service,
    method: String(route.method),
    path: route.url.replace(/:(\w+)/g, '{$1}'),
    summary: schema.summary ?? '',
    ...(schema.description && { description: schema.description }),
    access: policy.access === 'public' ? 'public' : 'token',
    auth: {
      pat: policy.access !== 'public',
      session: false,
      clientCredentials: policy.access === 'service',
      scopes: 'scopes' in policy ? policy.scopes : [],
    },
    effects,
    ...(request && { request }),
    ...(response && { response }),
    errors: [...new Set([...errorsOf(policy), ...errors])],
    stability: 'stable',
    ...(note && { note }),
  }
}

/** What the guard itself can answer follows from the policy, so no route has to list it. */
export function errorsOf(policy: RoutePolicy): ProblemCode[] {
  if (policy.access === 'public') return ['unavailable']
  // OAuth endpoints have codes of their own (RFC 6749 §5.2, RFC 6750 §3.1).
  if (isOAuth(policy)) return []
  const scoped: ProblemCode[] = 'scopes' in policy && policy.scopes.length > 0 ? ['insufficient-scope'] : []
  return ['invalid-token', ...scoped, 'ip-not-allowed', 'unavailable']
}

export const isOAuth = (policy: RoutePolicy) =>
  policy.access === 'service' && policy.credentialsIn === 'header or form'

function requestHints({ params, querystring, body, consumes }: RouteSchema): Hints | null {
  const hints = {
    ...(params && { path: fieldHints(params) }),
    ...(querystring && { query: fieldHints(querystring) }),
    ...(body && {
      contentType: consumes?.[0] ?? 'application/json',
      hint: fieldHints(body),
      example: exampleOf(body, {}),
    }),
  }
  return Object.keys(hints).length > 0 ? hints : null
}

function responseHint({ response }: RouteSchema, shared: SharedSchemas): Endpoint['response'] | null {
  const ok = response?.['200']
  if (!ok) return null
  const example = exampleOf(ok, shared)
  return { status: 200, contentType: 'application/json', ...(example !== undefined && { example }) }
}

function fieldHints({ properties = {}, required = [] }: Schema): Record<string, string> {
  const hints = Object.entries(properties).map(([name, schema]) => {
    const words = [required.includes(name) ? 'required' : null, kindOf(schema), schema.description ?? null]
    return [name, words.filter((word) => word !== null).join(', ')]
  })
  return Object.fromEntries(hints)
}

function kindOf({
  type,
  anyOf,
  enum: choices,
  const: only,
  minimum,
  maximum,
  maxLength,
  format,
  default: fallback,
}: Schema): string {
  if (only !== undefined) return String(only)
  if (choices) return choices.join(' | ')
  if (anyOf) return [...new Set(anyOf.map(kindOf))].join(' or ')
  const range = minimum !== undefined && maximum !== undefined ? ` ${minimum}-${maximum}` : ''
  const length = maxLength !== undefined ? `, up to ${maxLength}` : ''
  const usual = fallback !== undefined ? `, default ${fallback}` : ''
  return `${format && format !== 'text' ? format : (type ?? 'any')}${range}${length}${usual}`
}

/** From the schema's own examples; an object is put together from those of its members. */
function exampleOf(schema: Schema, shared: SharedSchemas): unknown {
  if (schema.$ref) return exampleOf((shared[schema.$ref.replace(/#$/, '')] ?? {}) as Schema, shared)
  if (schema.examples) return schema.examples[0]
  if (schema.const !== undefined) return schema.const
  if (schema.enum) return schema.default ?? schema.enum[0]
  if (schema.type === 'array') return listOf(exampleOf(schema.items ?? {}, shared))
  if (schema.properties) {
    const members = Object.entries(schema.properties).map(([name, member]) => [
      name,
      exampleOf(member, shared),
    ])
    return Object.fromEntries(members.filter(([, example]) => example !== undefined))
  }
  if (schema.type === 'boolean') return schema.default ?? true
  if (schema.format === 'date-time') return '2027-01-31T12:00:00.000Z'
  return undefined
}

const listOf = (example: unknown) => (example === undefined ? [] : [example])
