// The Fastify guard of @latchkey/sdk: nothing is open that does not say so, and what is declared is what is published.
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import latchkey, {
  createVerifier,
  type LatchkeyPluginOptions,
  type RouteAuth,
} from '../../packages/sdk/src/fastify/index.ts'
import { createTestVerifier } from '../../packages/sdk/src/testing.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { documentOf, putDocument } from '../helpers/samples.ts'
import { until } from './between.ts'
import { startCatalog } from './catalog-stub.ts'

const read = { scopes: ['posts:read'] }
const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })
const testVerifier = () =>
  createTestVerifier({
    tokens: {
      reader: { subject: 'user_42', scopes: ['posts:read'] },
      all: { scopes: ['posts:read', 'admin:all'] },
    },
  })

async function application(t: Test, more: Partial<LatchkeyPluginOptions> = {}) {
  const lines: string[] = []
  const app = Fastify({
    logger: { level: 'info', stream: { write: (line: string) => void lines.push(line) } },
  })
  t.teardown(() => app.close())
  await app.register(latchkey, { verifier: testVerifier(), ...more })
  return { app, log: () => lines.join('') }
}

const status = async (
  app: FastifyInstance,
  url: string,
  headers: Record<string, string> = {},
  method = 'GET' as const,
) => (await app.inject({ method, url, headers })).statusCode

t.test('with a real Latchkey: who may, may; who may not, may not; and a revoke ends it', async (t) => {
  const service = await startLatchkey(t, 'pglite')
  const posts = await registerPosts(service)
  const verifier = createVerifier({
    url: service.url,
    clientId: posts.id,
    clientSecret: posts.secret,
    now: () => service.clock.now,
  })
  t.teardown(verifier.close)
  const { app, log } = await application(t, { verifier })
  app.get('/v1/posts', { config: { auth: read } }, async ({ auth }) => ({ by: auth?.subject }))
  app.post('/v1/posts', { config: { auth: { scopes: ['posts:write'] } } }, async () => ({}))
  const token = await provision(service, { scopes: ['posts:read'] })
  const answer = await app.inject({ url: '/v1/posts', headers: bearer(token.token) })
  t.strictSame([answer.statusCode, answer.json()], [200, { by: 'user_42' }])
  const refused = await app.inject({ method: 'POST', url: '/v1/posts', headers: bearer(token.token) })
  t.match(refused.json(), { status: 403, code: 'insufficient-scope', requiredScopes: ['posts:write'] })
  t.equal(await status(app, '/v1/posts'), 401)
  await service.call('DELETE', `/api/v1/tokens/${token.id}`)
  await until(async () => (await status(app, '/v1/posts', bearer(token.token))) === 401, 2_000, 1)
  t.notOk(log().includes(token.token), 'nothing is logged of it')
})

t.test('a route that declares nothing is denied, whoever asks, and named at start', async (t) => {
  const { app, log } = await application(t)
  app.get('/v1/posts', { config: { auth: read } }, async () => 'in')
  app.get('/v1/secrets', async () => 'open to all')
  await app.register(async (inner) => void inner.get('/inner', async () => 'open too'), { prefix: '/v1' })
  app.head('/only-head', async () => '')
  await app.ready()
  for (const url of ['/v1/secrets', '/v1/inner']) {
    const answer = await app.inject({ url, headers: bearer('all') })
    t.match(answer.json(), { status: 403, code: 'route-undeclared' })
    t.equal(answer.headers['content-type'], 'application/problem+json')
  }
  const named = log()
    .split('\n')
    .filter((line) => line.includes('declare no config.auth'))
  t.equal(named.length, 1)
  t.strictSame(JSON.parse(named[0]!).routes, ['GET /v1/secrets', 'GET /v1/inner', 'HEAD /only-head'])
  t.equal(await status(app, '/v1/posts', bearer('reader')), 200)
  t.equal(await status(app, '/nowhere'), 404, 'what is not there is still not there')
})

t.test('routes that came before the guard stop the start: they would stay open', async (t) => {
  const app = Fastify()
  app.get('/early', async () => 'open')
  await t.rejects(
    async () => app.register(latchkey, { verifier: testVerifier() }),
    /before any route[\s\S]*early/,
  )
  const late = Fastify()
  late.register(latchkey, { verifier: testVerifier() })
  late.get('/early', async () => 'open')
  await t.rejects(async () => late.ready(), /with await/)
})

t.test('a declaration that makes no sense stops the start, and names the route', async (t) => {
  const { app } = await application(t)
  const wrong = [
    { scopes: ['posts'] },
    { scopes: 'posts:read' },
    {},
    { access: 'public', scopes: [] },
    { access: 'x', scopes: [] },
    'private',
  ]
  for (const auth of wrong as unknown as RouteAuth[]) {
    t.throws(() => app.get('/v1/posts', { config: { auth } }, async () => ''), /GET \/v1\/posts/)
  }
})

t.test('public is open, a session opens what is for browsers, and only that', async (t) => {
  const { app } = await application(t, { session: ({ headers }) => headers.cookie === 'session=good' })
  const get = (url: string, auth: RouteAuth) => app.get(url, { config: { auth } }, async () => 'in')
  get('/health', 'public')
  get('/ingress', { access: 'webhook-ingress' })
  get('/me', { access: 'browser-only' })
  get('/both', { access: 'both', ...read })
  get('/token', read)
  get('/admin', { access: 'admin-only', scopes: ['admin:all'] })
  const who = [
    {},
    bearer('reader'),
    { cookie: 'session=good' },
    { cookie: 'session=good', ...bearer('nobody') },
    { cookie: 'x' },
  ]
  const rows: Record<string, number[]> = {
    '/health': [200, 200, 200, 200, 200],
    '/ingress': [200, 200, 200, 200, 200],
    '/me': [403, 403, 200, 200, 403],
    '/both': [401, 200, 200, 401, 401],
    '/token': [401, 200, 401, 401, 401],
    '/admin': [401, 403, 401, 401, 401],
  }
  for (const [url, wanted] of Object.entries(rows)) {
    t.strictSame(await Promise.all(who.map((headers) => status(app, url, headers))), wanted, url)
  }
  const { app: without } = await application(t)
  without.get('/me', { config: { auth: { access: 'browser-only' } } }, async () => 'in')
  t.equal(await status(without, '/me', { cookie: 'session=good' }), 403, 'no sessions, no way in')
})

t.test(
  'what is internal takes service tokens only, what is for admins admins’ only, as at a gateway',
  async (t) => {
    const posts = ['posts:read']
    const verifier = createTestVerifier({
      tokens: {
        person: { scopes: posts },
        service: { type: 'service', scopes: posts },
        admin: { scopes: [...posts, 'tokens:admin'] },
        chief: { type: 'service', scopes: [...posts, 'services:admin'] },
        powerless: { type: 'service', scopes: ['services:admin'] },
      },
    })
    const { app } = await application(t, { verifier })
    let reached = 0
    const handler = async () => {
      reached += 1
      return ''
    }
    app.get('/internal', { config: { auth: { access: 'internal', scopes: posts } } }, handler)
    app.get('/admin', { config: { auth: { access: 'admin-only', scopes: posts } } }, handler)
    const who = ['person', 'service', 'admin', 'chief', 'powerless', 'nobody']
    const asked = (url: string) => Promise.all(who.map((secret) => status(app, url, bearer(secret))))
    t.strictSame(await asked('/internal'), [403, 200, 403, 200, 403, 401])
    t.strictSame(await asked('/admin'), [403, 403, 200, 200, 403, 401])
    t.equal(reached, 4, 'nobody else came as far as the handler')
    const refused = await app.inject({ url: '/admin', headers: bearer('person') })
    t.match(refused.json(), { status: 403, code: 'policy-violation', detail: /admin/ })
  },
)

t.test('it is refused before the body is read', async (t) => {
  const { app } = await application(t)
  let parsed = 0
  app.addHook('preParsing', async () => {
    parsed += 1
  })
  app.post('/v1/posts', { config: { auth: { scopes: ['posts:write'] } } }, async () => 'in')
  const answer = await app.inject({
    method: 'POST',
    url: '/v1/posts',
    headers: bearer('reader'),
    payload: '{broken',
  })
  t.strictSame([answer.statusCode, parsed], [403, 0])
})

t.test('a preflight passes to what answers it, and nothing else does', async (t) => {
  const { app } = await application(t)
  app.options('*', async () => 'preflight')
  app.options('/v1/posts', async () => 'mine')
  const asking = { 'access-control-request-method': 'GET' }
  const options = async (url: string, headers = {}) =>
    (await app.inject({ method: 'OPTIONS', url, headers })).statusCode
  t.strictSame(
    [await options('/x', asking), await options('/x'), await options('/v1/posts', asking)],
    [200, 403, 403],
  )
})

/** A few routes of each kind, as a product has them. */
async function product(t: Test, more: Partial<LatchkeyPluginOptions> = {}) {
  const made = await application(t, more)
  const { app } = made
  app.addSchema({
    $id: 'Post',
    type: 'object',
    properties: { id: { type: 'string' }, author: { $ref: 'Author#' } },
  })
  app.addSchema({ $id: 'Author', type: 'object', properties: { name: { type: 'string' } } })
  app.addSchema({ $id: 'Unused', type: 'object' })
  const id = { type: 'string', description: 'Which one.' }
  app.get('/health', { config: { auth: 'public' } }, async () => 'ok')
  app.get(
    '/v1/posts',
    {
      config: { auth: read },
      schema: {
        operationId: 'posts.list',
        summary: 'List posts',
        querystring: {
          type: 'object',
          required: ['q'],
          properties: { q: { type: 'string' }, limit: { type: 'integer' } },
        },
        response: { 200: { type: 'array', items: { $ref: 'Post#' } } },
      },
    },
    async () => [],
  )
  app.delete(
    '/v1/posts/:id',
    {
      config: { auth: { scopes: ['posts:write'], access: 'both', effects: { destructive: true } } },
      schema: {
        params: { type: 'object', required: ['id'], properties: { id } },
        response: { 204: { type: 'null', description: 'Gone' } },
      },
    },
    async () => null,
  )
  await app.register(
    async (inner) =>
      void inner.put(
        '/posts/:id(^\\d+)/*',
        {
          config: { auth: { scopes: ['posts:write', 'posts:read'] } },
          schema: {
            operationId: 'putPart',
            description: 'Long.',
            body: { $ref: 'Post#' },
            response: { '2xx': { $ref: 'Post#' } },
          },
        },
        async () => ({}),
      ),
    { prefix: '/v1' },
  )
  app.get('/hidden', { config: { auth: 'public' }, schema: { hide: true } as object }, async () => '')
  app.get('/undeclared', async () => '')
  return made
}

t.test(
  'the document says of each declared route who may call it, and what it takes and answers',
  async (t) => {
    const { app } = await product(t)
    await app.ready()
    const document = JSON.parse(JSON.stringify(app.latchkeyDocument()))
    t.strictSame(Object.keys(document.paths), [
      '/health',
      '/v1/posts',
      '/v1/posts/{id}',
      '/v1/posts/{id}/{wildcard}',
    ])
    t.match(document, {
      openapi: '3.1.0',
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    })
    t.strictSame(document.paths['/health'], {
      get: { operationId: 'get_health', responses: { 200: { description: 'OK' } }, security: [] },
    })
    t.strictSame(document.paths['/v1/posts'].get, {
      operationId: 'posts_list',
      summary: 'List posts',
      parameters: [
        { name: 'q', in: 'query', required: true, schema: { type: 'string' } },
        { name: 'limit', in: 'query', required: false, schema: { type: 'integer' } },
      ],
      responses: {
        200: {
          description: 'Answer',
          content: {
            'application/json': { schema: { type: 'array', items: { $ref: '#/components/schemas/Post' } } },
          },
        },
      },
      security: [{ token: ['posts:read'] }],
    })
    t.strictSame(document.paths['/v1/posts/{id}'].delete, {
      operationId: 'delete_v1_posts_by_id',
      parameters: [
        { name: 'id', in: 'path', required: true, description: 'Which one.', schema: { type: 'string' } },
      ],
      responses: { 204: { description: 'Gone' } },
      security: [{ token: ['posts:write'] }, { session: [] }],
      'x-latchkey': { effects: { destructive: true } },
    })
    const put = document.paths['/v1/posts/{id}/{wildcard}'].put
    t.match(put, {
      operationId: 'putPart',
      description: 'Long.',
      security: [{ token: ['posts:write', 'posts:read'] }],
    })
    t.strictSame(put.requestBody.content, {
      'application/json': { schema: { $ref: '#/components/schemas/Post' } },
    })
    t.strictSame(Object.keys(put.responses), ['2XX'])
    t.strictSame(document.components.schemas, {
      Author: { type: 'object', properties: { name: { type: 'string' } } },
      Post: {
        type: 'object',
        properties: { id: { type: 'string' }, author: { $ref: '#/components/schemas/Author' } },
      },
    })
  },
)

t.test('operation ids are unique and can be addressed by Arazzo', async (t) => {
  const { app } = await application(t)
  for (const url of ['/a/:b', '/a/by_b', '/a.b/c', '/', '/v1/:x-:y']) {
    app.get(url, { config: { auth: 'public' } }, async () => '')
  }
  await app.register(async (inner) => void inner.get('/', { config: { auth: 'public' } }, async () => ''), {
    prefix: '/in',
  })
  await app.ready()
  const { paths } = app.latchkeyDocument()
  const ids = Object.values(paths).map((path) => (path['get'] as { operationId: string }).operationId)
  t.equal(new Set(ids).size, Object.keys(paths).length)
  for (const id of ids) t.match(id, /^[A-Za-z0-9_-]+$/)
  t.strictSame(Object.keys(paths), ['/', '/a.b/c', '/a/by_b', '/a/{b}', '/in', '/v1/{x}-{y}'])
})

t.test('when it is ready, the service publishes its document', async (t) => {
  const catalog = await startCatalog(t)
  const publish = {
    service: 'posts',
    url: catalog.url,
    token: async () => 'lk_svc_publisher',
    version: '2.1.0',
  }
  const { app, log } = await product(t, { publish })
  await app.ready()
  t.strictSame(catalog.received.length, 1)
  t.match(catalog.received[0], {
    method: 'PUT',
    path: '/api/v1/services/posts/openapi',
    headers: { authorization: 'Bearer lk_svc_publisher', 'content-type': 'application/json' },
  })
  t.strictSame(JSON.parse(catalog.received[0]!.body), JSON.parse(JSON.stringify(app.latchkeyDocument())))
  t.match(app.latchkeyDocument().info, { title: 'posts', version: '2.1.0' })
  t.match(log(), /is published to the catalog/)
  t.notMatch(log(), /lk_svc_publisher/)

  const { app: replica } = await product(t, { publish })
  await replica.ready()
  t.equal(catalog.received[1]!.body, catalog.received[0]!.body, 'every replica publishes the same')
})

t.test('failing to publish is logged and tried again, and never stops the service', async (t) => {
  const catalog = await startCatalog(t)
  catalog.answers.push(503, 503, 200)
  const publish = { service: 'posts', url: catalog.url, token: 'lk_svc_publisher', retryAfterMs: [1, 1, 1] }
  const { app, log } = await product(t, { publish })
  await app.ready()
  t.equal(await status(app, '/v1/posts?q=x', bearer('reader')), 200)
  await until(() => catalog.received.length === 3)
  await until(() => /is published to the catalog/.test(log()))
  t.equal(catalog.received.length, 3, 'and no longer once it is done')

  for (const [name, failing] of [
    ['nobody there', { url: 'http://127.0.0.1:9', retryAfterMs: [] }],
    [
      'no token',
      { url: catalog.url, retryAfterMs: [], token: () => Promise.reject(new Error('lk_svc_secret')) },
    ],
  ] as const) {
    const other = await product(t, { publish: { ...publish, ...failing } })
    await other.app.ready()
    t.equal(await status(other.app, '/health'), 200, name)
    t.match(other.log(), /was not published/)
    t.notMatch(other.log(), /lk_svc/)
  }
  catalog.answers.push(400)
  const refused = await product(t, { publish })
  await refused.app.ready()
  t.match(refused.log(), /400: the stub says no/)
  t.match(refused.log(), /"again":false/, 'what is refused is not sent again')
})

t.test('Latchkey takes the document as it is, and its catalog says what the routes say', async (t) => {
  const service = await startLatchkey(t, 'pglite')
  await registerPosts(service)
  // The thread that reads documents takes seconds to start from TypeScript: the library does not wait that long.
  await putDocument(service, 'posts', documentOf({}), { query: '?dryRun=true' })
  const publisher = await provision(service, {
    type: 'service',
    subject: 'posts',
    scopes: ['catalog:publish'],
  })
  const publish = { service: 'posts', url: service.url, token: publisher.token, retryAfterMs: [] }
  const { app, log } = await product(t, { publish })
  const get = (url: string, auth: RouteAuth) => app.get(url, { config: { auth } }, async () => 'in')
  get('/ingress', { access: 'webhook-ingress' })
  get('/me', { access: 'browser-only', note: 'For people.' })
  get('/inside', { access: 'internal', scopes: ['posts:read'] })
  get('/admin', { access: 'admin-only', scopes: ['posts:write'], jobs: ['clean up'] })
  await app.ready()
  t.match(log(), /is published to the catalog/, log())
  const { status: found, body } = await service.call('GET', '/api/v1/services/posts/openapi')
  t.equal(found, 200)
  t.strictSame(body, JSON.parse(JSON.stringify(app.latchkeyDocument())))
})
