// A path trick works where the gateway's decision is about one route and the service then takes another. Here every
// spelling of a corpus goes to Latchkey in all shapes in which gateways send it, and as it is to two products with the
// routers that most services in this language have. Where Latchkey lets it pass, they must read it alike.
import { Agent, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Fastify, { type HTTPMethods } from 'fastify'
import t, { type Test } from 'tap'
import { canonicalPath } from '../../src/forward-auth/canonical-path.ts'
import { provision, startLatchkey } from '../helpers/latchkey.ts'
import { sendRaw } from '../helpers/raw-http.ts'
import { publishRoutes, type Route, routesOf } from '../helpers/upstream.ts'
import { spellingsOf } from './spellings.ts'

/** From the more to the less special, as Express takes the first that fits. The last three take nearly anything. */
const routes = routesOf([
  'GET /v1/posts',
  'POST /v1/posts',
  'POST /v1/posts:batch',
  'GET /v1/posts/drafts',
  'GET /v1/posts/{id}/comments',
  'GET /v1/posts/{id}',
  'PUT /v1/posts/{id}',
  'DELETE /v1/posts/{id}',
  'GET /v1/admin/Keys',
  'DELETE /v1/admin/Keys',
  'GET /v1/admin',
  'GET /v1/files/{name}.json',
  'GET /v1/files/{name}',
  'DELETE /v1/{section}',
  'GET /v1/{section}',
  'GET /v1/{section}/{item}',
])
const plain = [
  '/v1/posts',
  '/v1/posts/drafts',
  '/v1/posts/7/comments',
  '/v1/posts:batch',
  '/v1/admin',
  '/v1/admin/Keys',
  '/v1/files/a.json',
]
const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE'] as const
const host = 'posts.example.com'

type Sent = { method: string; path: string; headers: Record<string, string> }

/** How a gateway says which request it is about. */
const shapes: Record<string, (method: string, target: string) => Sent> = {
  'X-Forwarded-Uri': (method, target) => ({
    method: 'GET',
    path: '/forward-auth',
    headers: { 'x-forwarded-method': method, 'x-forwarded-uri': target, 'x-forwarded-host': host },
  }),
  'X-Original-URI': (method, target) => ({
    method: 'GET',
    path: '/forward-auth',
    headers: { 'x-original-method': method, 'x-original-uri': target },
  }),
  'X-Original-URL': (method, target) => ({
    method: 'GET',
    path: '/forward-auth',
    headers: { 'x-original-method': method, 'x-original-url': `https://${host}${target}` },
  }),
  'path behind ours': (method, target) => ({ method, path: `/forward-auth${target}`, headers: { host } }),
}

type Got = { readonly status: number; header(name: string): string | undefined }

const agent = new Agent({ keepAlive: true, maxSockets: 8 })

/** The text as it is, byte for byte. */
async function send(url: string, sent: Sent): Promise<Got> {
  const isPlain = [sent.path, ...Object.values(sent.headers)].every((text) => /^[\x21-\x7e ]*$/.test(text))
  // What Node's client would not send goes as bytes; so does what is answered in a way that it would not read.
  return (isPlain && !sent.path.includes(' ') && (await sendPlain(url, sent))) || sendBytes(url, sent)
}

function sendPlain(url: string, { method, path, headers }: Sent): Promise<Got | null> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const options = { hostname, port, method, path, headers: { host, ...headers }, agent }
    const sent = request(options, (response) => {
      const header = (name: string) => response.headers[name] as string | undefined
      response.resume().on('end', () => resolve({ status: response.statusCode!, header }))
    })
    sent.on('error', () => resolve(null)).end()
  })
}

async function sendBytes(url: string, { method, path, headers }: Sent): Promise<Got> {
  const lines = Object.entries({ host, ...headers, connection: 'close' }).map((pair) => pair.join(': '))
  const bytes = `${method} ${path} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`
  const answer = await sendRaw(url, Buffer.from(bytes, 'latin1'))
  return { status: answer.status, header: (name) => answer.headers.get(name) }
}

async function inTurns<T>(all: readonly T[], one: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const turn = async () => {
    while (next < all.length) await one(all[next++]!)
  }
  await Promise.all(Array.from({ length: 8 }, turn))
}

const nameOf = ({ method, path }: Route) => `${method} ${path}`

/** A product says which of its routes took it. */
async function startFastify(t: Test): Promise<string> {
  const app = Fastify({ forceCloseConnections: true })
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-route', (request.routeOptions.config as { name?: string }).name ?? 'none')
  })
  for (const route of routes) {
    const url = route.path.replaceAll(':', '::').replaceAll(/\{(\w+)\}/g, ':$1')
    const config = { name: nameOf(route) } as object
    app.route({ method: route.method as HTTPMethods, url, config, handler: async () => 'done' })
  }
  t.teardown(() => app.close())
  return app.listen({ port: 0, host: '127.0.0.1' })
}

async function startExpress(t: Test): Promise<string> {
  const app = express().set('env', 'test')
  for (const route of routes) {
    const path = route.path.replaceAll(':', '\\:').replaceAll(/\{(\w+)\}/g, ':$1')
    const method = String(route.method).toLowerCase() as 'get'
    app[method](path, (_request, response) => void response.set('x-route', nameOf(route)).send('done'))
  }
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.teardown(() => agent.destroy())

t.test(
  'a path that passes is taken by the route whose scope was needed, in whatever way it is written',
  async (t) => {
    const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_TRUSTED_PROXIES: '127.0.0.1' })
    const scopeOf = (index: number) => `routes:r${index}`
    await publishRoutes(
      latchkey,
      'posts',
      Object.fromEntries(routes.map((route, index) => [nameOf(route), [scopeOf(index)]])),
    )
    const routeOf = new Map(routes.map((route, index) => [scopeOf(index), nameOf(route)]))
    const tokens = new Map<string, string>()
    for (const [scope, name] of routeOf)
      tokens.set(name, (await provision(latchkey, { scopes: [scope], name })).token)
    /** Good for nothing here, so that the refusal names the scope that would do. */
    const { token: bare } = await provision(latchkey, { scopes: ['tokens:read'] })
    const products = { Fastify: await startFastify(t), Express: await startExpress(t) }

    const ask = (shape: string, method: string, target: string, token: string) => {
      const sent = shapes[shape]!(method, target)
      return send(latchkey.url, {
        ...sent,
        headers: { ...sent.headers, authorization: `Bearer ${token}` },
      })
    }

    /** Which route Latchkey takes it for; null: it refuses. */
    const reads = async (shape: string, method: string, target: string): Promise<string | null> => {
      const answer = await ask(shape, method, target, bare)
      if (answer.status === 200) return 'anything'
      const scope = /scope="([^"]+)"/.exec(answer.header('www-authenticate') ?? '')?.[1]
      return scope === undefined ? null : (routeOf.get(scope) ?? scope)
    }

    const corpus = [...new Set(plain.flatMap(spellingsOf))]
    const tried = corpus.flatMap((target) => methods.map((method) => ({ method, target })))
    let asked = 0
    let passed = 0
    const disagreements: string[] = []
    const surprises: string[] = []

    await inTurns(tried, async ({ method, target }) => {
      const readings = new Set<string | null>()
      for (const shape of Object.keys(shapes)) {
        asked += 1
        const route = await reads(shape, method, target)
        readings.add(route)
        if (route === null) continue
        passed += 1
        const { status } = await ask(shape, method, target, tokens.get(route) ?? bare)
        if (status !== 200)
          surprises.push(`${method} ${target} as ${shape}: ${status} with the scope of ${route}`)
      }
      // HTTP itself takes space around a header's value away, and no request line has any.
      if (target !== target.trim()) return
      if (readings.size > 1) surprises.push(`${method} ${target} is read as ${[...readings].join(', ')}`)
      for (const route of readings) {
        if (route === null) continue
        const what = `${method} ${target}, read as ${route}`
        if (canonicalPath(target)?.path !== target.split('?')[0]) surprises.push(`${what}: not canonical`)
        for (const [name, url] of Object.entries(products)) {
          const taken = await send(url, { method, path: target, headers: {} })
          const isTaken = taken.status !== 404 && taken.status !== 400
          if (isTaken && taken.header('x-route') !== route)
            disagreements.push(`${what}: ${name} takes it for ${taken.header('x-route')}`)
        }
      }
    })
    t.comment(`${corpus.length} spellings, ${asked} questions, ${passed} passed, two products`)
    t.strictSame(disagreements, [], 'zero disagreements')
    t.strictSame(surprises, [])
    t.ok(corpus.length >= 500)
    t.ok(passed > 500, 'not everything is refused')

    const ordinary: [string, string, string][] = [
      ['GET', '/v1/posts', 'GET /v1/posts'],
      ['HEAD', '/v1/posts?limit=5', 'GET /v1/posts'],
      ['POST', '/v1/posts', 'POST /v1/posts'],
      ['POST', '/v1/posts:batch', 'POST /v1/posts:batch'],
      ['GET', '/v1/posts/drafts', 'GET /v1/posts/drafts'],
      ['PUT', '/v1/posts/01JD-7_x.y~z', 'PUT /v1/posts/{id}'],
      ['GET', '/v1/posts/caf%C3%A9', 'GET /v1/posts/{id}'],
      ['GET', '/v1/posts/a%20b', 'GET /v1/posts/{id}'],
      ['GET', '/v1/posts/me@example.com/comments', 'GET /v1/posts/{id}/comments'],
      ['GET', '/v1/files/a.b.json', 'GET /v1/files/{name}.json'],
      ['DELETE', '/v1/admin/Keys', 'DELETE /v1/admin/Keys'],
    ]
    for (const [method, target, route] of ordinary) {
      for (const shape of Object.keys(shapes)) {
        t.equal(await reads(shape, method, target), route, `${method} ${target} as ${shape}`)
        t.equal((await ask(shape, method, target, tokens.get(route)!)).status, 200)
      }
      for (const [name, url] of Object.entries(products)) {
        const answer = await send(url, { method, path: target, headers: {} })
        t.equal(answer.header('x-route'), route, `${method} ${target} at ${name}`)
      }
    }
  },
)
