// Our own registered routes → catalog endpoints. Pure: what is documented is what is declared and enforced.
import type { RouteOptions } from 'fastify'
import type { RoutePolicy } from '../guard/policy.ts'
import type { ProblemCode } from '../http/problems.ts'
import type { Endpoint, RequestHints } from './endpoint.ts'
import { exampleOf, fieldHints, type Resolve, type Schema } from './hints.ts'

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
  const resolve = (ref: string) => shared[ref.replace(/#$/, '')] as Schema | undefined
  const request = requestHints(schema, resolve)
  const response = responseHint(schema, resolve)
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

function requestHints(
  { params, querystring, body, consumes }: RouteSchema,
  resolve: Resolve,
): RequestHints | null {
  const hints = {
    ...(params && { path: fieldHints(params, resolve) }),
    ...(querystring && { query: fieldHints(querystring, resolve) }),
    ...(body && {
      contentType: consumes?.[0] ?? 'application/json',
      hint: fieldHints(body, resolve),
      example: exampleOf(body, resolve),
    }),
  }
  return Object.keys(hints).length > 0 ? hints : null
}

function responseHint({ response }: RouteSchema, resolve: Resolve): Endpoint['response'] | null {
  const ok = response?.['200']
  if (!ok) return null
  const example = exampleOf(ok, resolve)
  return { status: 200, contentType: 'application/json', ...(example !== undefined && { example }) }
}
