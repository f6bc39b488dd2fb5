// A small service behind a gateway: it says which of its routes took what, and keeps what it got; and what it publishes.
import type { AddressInfo } from 'node:net'
import Fastify, { type HTTPMethods } from 'fastify'
import type { Test } from 'tap'
import type { Latchkey } from './latchkey.ts'
import { documentOf, operation, putDocument } from './samples.ts'

export type Route = {
  readonly method: HTTPMethods
  /** As in OpenAPI: `/v1/posts/{id}`. */
  readonly path: string
}

export type Received = {
  readonly method: string
  /** As it stood in the request line. */
  readonly target: string
  /** Name (lower case) and value, as often as it was sent. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: string
  /** `GET /v1/posts/{id}`; null: it has no such route. */
  readonly route: string | null
}

export type Upstream = { readonly address: string; readonly received: Received[] }

/** Fastify as it comes: find-my-way with its defaults, a HEAD route for each GET. Stopped when the test ends. */
export async function startUpstream(t: Test, routes: readonly Route[]): Promise<Upstream> {
  const received: Received[] = []
  const app = Fastify({ forceCloseConnections: true })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.addHook('onSend', async (request) => {
    received.push({
      method: request.method,
      target: request.raw.url!,
      headers: pairsOf(request.raw.rawHeaders),
      body: String(request.body ?? ''),
      route: (request.routeOptions.config as { route?: string }).route ?? null,
    })
  })
  for (const { method, path } of routes) {
    const config = { route: `${method} ${path}` } as object
    app.route({ method, url: path.replaceAll(/\{(\w+)\}/g, ':$1'), config, handler: async () => 'done' })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  return { address: `127.0.0.1:${(app.server.address() as AddressInfo).port}`, received }
}

const pairsOf = (raw: readonly string[]) =>
  raw.flatMap((name, at) => (at % 2 === 0 ? [[name.toLowerCase(), raw[at + 1]!] as const] : []))

/** What the service of these tests has, and the scopes that each route needs; none: public. */
export const postsRoutes = {
  'GET /v1/posts': ['posts:read'],
  'POST /v1/posts': ['posts:write'],
  'GET /v1/posts/{id}': ['posts:read'],
  'PUT /v1/posts/{id}': ['posts:write'],
  'DELETE /v1/posts/{id}': ['posts:write'],
  'GET /v1/admin/keys': ['keys:manage'],
  'GET /v1/status': [],
} satisfies Routes

export type Routes = Record<string, string[]>

export function routesOf(names: readonly string[]): Route[] {
  return names.map((name) => {
    const [method, path] = name.split(' ') as [HTTPMethods, string]
    return { method, path }
  })
}

/** Registers a service, declares the scopes of its routes, publishes them. @throws Error when one is refused */
export async function publishRoutes(
  latchkey: Latchkey,
  id: string,
  routes: Routes,
  more: { clientSecret?: string; baseUrl?: string } = {},
): Promise<void> {
  const scopes = [...new Set(Object.values(routes).flat())].map((name) => ({
    name,
    title: name,
    group: id,
    ...(name === 'posts:write' && { implies: ['posts:read'] }),
  }))
  const paths: Record<string, Record<string, unknown>> = {}
  for (const { method, path } of routesOf(Object.keys(routes)))
    paths[path] = {
      ...paths[path],
      [String(method).toLowerCase()]: operation(routes[`${method} ${path}`]),
    }
  const { call } = latchkey
  for (const answer of [
    await call('POST', '/api/v1/services', { id, name: id, ...more }),
    await call('PUT', `/api/v1/services/${id}/scopes`, { groups: [{ id, title: id }], scopes }),
    await putDocument(latchkey, id, documentOf(paths)),
  ]) {
    if (answer.status !== 200) throw new Error(`${id}: ${answer.status} ${answer.text}`)
  }
}
