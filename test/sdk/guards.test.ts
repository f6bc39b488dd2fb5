// The guards of @latchkey/sdk for Fastify, Express and Hono refuse alike, to the byte, and let in alike.
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import t, { type Test } from 'tap'
import { createGuard as expressGuard } from '../../packages/sdk/src/express.ts'
import latchkey from '../../packages/sdk/src/fastify/index.ts'
import { createGuard as honoGuard } from '../../packages/sdk/src/hono.ts'
import type { Verifier } from '../../packages/sdk/src/index.ts'
import { createTestVerifier } from '../../packages/sdk/src/testing.ts'

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
const testVerifier = () =>
  createTestVerifier({
    tokens: {
      reader: { subject: 'user_42', scopes: ['posts:read'] },
      writer: { subject: 'user_7', scopes: ['posts:read', 'posts:write'], team: 'team_a' },
      bound: { scopes: ['posts:read'], ipRestriction: '192.0.2.0/24' },
      ended: { scopes: ['posts:read'], expireAt: '2026-01-02T00:00:00Z' },
      lost: { refused: 'unavailable' },
    },
  })

type Answered = { status: number; headers: Record<string, string | null>; body: string }
type Send = (path: string, headers?: Record<string, string>, method?: string) => Promise<Answered>

const told = ['content-type', 'www-authenticate', 'cache-control', 'retry-after']

async function answered(response: Response): Promise<Answered> {
  const headers = Object.fromEntries(told.map((name) => [name, response.headers.get(name)]))
  return { status: response.status, headers, body: await response.text() }
}

async function overFastify(t: Test, verifier: Verifier, from: string): Promise<Send> {
  const app = Fastify()
  await app.register(latchkey, { verifier, team: teamOf, clientIp: () => from })
  app.get(
    '/posts',
    { config: { auth: { scopes: ['posts:read'] } } },
    async (request) => request.auth?.subject,
  )
  app.post('/posts', { config: { auth: { scopes: ['posts:read', 'posts:write'] } } }, async () => 'written')
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  t.teardown(() => app.close())
  return async (path, headers, method = 'GET') =>
    answered(await fetch(url + path, { method, headers: headers ?? {} }))
}

async function overExpress(t: Test, verifier: Verifier, from: string): Promise<Send> {
  const { requireScopes } = expressGuard(verifier, { team: teamOf, clientIp: () => from })
  const app = express()
  app.get(
    '/posts',
    requireScopes('posts:read'),
    (request, response) => void response.send(request.auth?.subject),
  )
  app.post(
    '/posts',
    requireScopes('posts:read', 'posts:write'),
    (_request, response) => void response.send('written'),
  )
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return async (path, headers, method = 'GET') =>
    answered(await fetch(url + path, { method, headers: headers ?? {} }))
}

async function overHono(_t: Test, verifier: Verifier, from: string): Promise<Send> {
  const team = (c: { req: { header(name: string): string | undefined } }) => c.req.header('x-team')
  const { requireScopes } = honoGuard(verifier, { team, clientIp: () => from })
  const app = new Hono()
  app.get('/posts', requireScopes('posts:read'), (c) => c.text(c.get('auth').subject))
  app.post('/posts', requireScopes('posts:read', 'posts:write'), (c) => c.text('written'))
  return async (path, headers, method = 'GET') =>
    answered(await app.request(path, { method, headers: headers ?? {} }))
}

const teamOf = ({ headers }: { headers: Record<string, string | string[] | undefined> }) =>
  headers['x-team'] as string | undefined

const requests: [string, Parameters<Send>, number][] = [
  ['no credentials', ['/posts'], 401],
  ['another scheme', ['/posts', { authorization: 'Basic cmVhZGVyOg==' }], 401],
  ['an empty bearer', ['/posts', { authorization: 'Bearer' }], 401],
  ['an unknown token', ['/posts', bearer('nobody')], 401],
  ['two tokens', ['/posts', bearer('reader, Bearer writer')], 401],
  ['a token in the query', ['/posts?access_token=reader'], 401],
  ['an expired token', ['/posts', bearer('ended')], 401],
  ['a missing scope', ['/posts', bearer('reader'), 'POST'], 403],
  ['another team', ['/posts', { ...bearer('writer'), 'x-team': 'team_b' }], 401],
  ['another address', ['/posts', bearer('bound')], 403],
  ['no Latchkey', ['/posts', bearer('lost')], 503],
  ['a good token', ['/posts', bearer('reader')], 200],
  ['a good token of the team', ['/posts', { ...bearer('writer'), 'x-team': 'team_a' }, 'POST'], 200],
  ['a scheme in small letters', ['/posts', { authorization: 'bearer reader' }], 200],
]

t.test('the three guards answer alike', async (t) => {
  const verifier = testVerifier()
  const sends = await Promise.all(
    [overFastify, overExpress, overHono].map((over) => over(t, verifier, '198.51.100.1')),
  )
  for (const [name, request, status] of requests) {
    const [fastify, expressed, hono] = await Promise.all(sends.map((send) => send(...request)))
    t.equal(fastify!.status, status, name)
    if (status === 200) {
      t.strictSame([expressed!.body, hono!.body], [fastify!.body, fastify!.body], name)
    } else {
      t.strictSame(expressed, fastify, `${name}: Express as Fastify`)
      t.strictSame(hono, fastify, `${name}: Hono as Fastify`)
      t.match(fastify!.headers, { 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
      t.match(JSON.parse(fastify!.body), { status, code: String, message: String, detail: String })
    }
  }
  t.equal((await sends[0]!('/posts', bearer('reader'))).body, 'user_42')
})

t.test('a challenge is as RFC 6750 has it', async (t) => {
  const send = await overFastify(t, testVerifier(), '192.0.2.1')
  const challenge = async (...request: Parameters<Send>) =>
    (await send(...request)).headers['www-authenticate']
  t.equal(await challenge('/posts'), 'Bearer realm="api"', 'no error for nobody (§3.1)')
  t.equal(await challenge('/posts', bearer('nobody')), 'Bearer realm="api", error="invalid_token"')
  t.equal(
    await challenge('/posts', bearer('reader'), 'POST'),
    'Bearer realm="api", error="insufficient_scope", scope="posts:read posts:write"',
    'all that is needed, at once',
  )
  t.equal((await send('/posts', bearer('lost'))).headers['retry-after'], '1')
})

t.test('the address is the framework’s unless told otherwise', async (t) => {
  const verifier = createTestVerifier({
    tokens: { local: { scopes: ['posts:read'], ipRestriction: '127.0.0.1' } },
  })
  const app = express()
  app.get(
    '/posts',
    expressGuard(verifier).requireScopes('posts:read'),
    (_request, response) => void response.send('in'),
  )
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/posts`
  t.equal((await fetch(url, { headers: bearer('local') })).status, 200)
  const forged = { ...bearer('local'), 'x-forwarded-for': '192.0.2.1' }
  t.equal(
    (await fetch(url, { headers: forged })).status,
    200,
    'a header that nobody was told to trust is not read',
  )

  const hono = new Hono().get('/posts', honoGuard(verifier).requireScopes('posts:read'), (c) => c.text('in'))
  const served = { incoming: { socket: { remoteAddress: '127.0.0.1' } } }
  const asServed = await hono.request('/posts', { headers: bearer('local') }, served)
  const unknown = await hono.request('/posts', { headers: bearer('local') })
  t.strictSame([asServed.status, unknown.status], [200, 403])
})

t.test('a scope that nobody can have is refused when it is required', async (t) => {
  const verifier = testVerifier()
  for (const wrong of ['posts', 'posts:*', 'Posts:read', 'posts:read posts:write', 'a:"b', ['posts:read']]) {
    t.throws(() => expressGuard(verifier).requireScopes(wrong as string), TypeError)
    t.throws(() => honoGuard(verifier).requireScopes(wrong as string), TypeError)
  }
})

t.test('the test double revokes, and tells time as it is told', async (t) => {
  const clock = { now: Date.parse('2026-01-01T00:00:00Z') }
  const verifier = createTestVerifier({
    tokens: { a: { expireAt: '2026-01-01T00:00:01Z' }, b: {} },
    now: () => clock.now,
  })
  t.match(await verifier.verify('a'), { active: true, token: { subject: 'user_test' } })
  clock.now += 1_000
  t.match(await verifier.verify('a'), { active: false, reason: 'expired' })
  verifier.revoke('b')
  t.match(await verifier.verify('b'), { active: false, status: 401, reason: 'revoked' })
  t.match(await verifier.verify(undefined), { active: false, challenge: 'Bearer realm="api"' })
})
