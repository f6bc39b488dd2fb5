// Gateways that nobody here wrote, started for real with the configurations of examples/gateways, between a client that
// tries everything and a product that says what reached it. One that is not installed is skipped.
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { type Gateway, kinds, startGateway, versionOf } from '../helpers/gateways.ts'
import { basic, provision, startLatchkey } from '../helpers/latchkey.ts'
import { sendRaw } from '../helpers/raw-http.ts'
import { postsRoutes, publishRoutes, routesOf, startUpstream, type Upstream } from '../helpers/upstream.ts'

/** Not the gateways' own address, so that what they say of the client differs from what they are. */
const clientAddress = '127.0.0.2'
const secret = 'a-secret_of-the-posts_service'

type Sent = { token?: string | null; headers?: OutgoingHttpHeaders; body?: string }
type Got = { status: number; headers: IncomingHttpHeaders; body: string }

/** The path goes out as it is, whatever it looks like. */
function send(
  gateway: Gateway,
  method: string,
  path: string,
  { token = null, headers = {}, body = '' }: Sent = {},
): Promise<Got> {
  const { hostname, port } = new URL(gateway.url)
  const all = { host: 'posts.example.com', ...(token && { authorization: `Bearer ${token}` }), ...headers }
  return new Promise((resolve, reject) => {
    const options = {
      hostname,
      port,
      method,
      path,
      headers: all,
      localAddress: clientAddress,
      agent: false,
    } as const
    const sent = request(options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('end', () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: text }),
      )
    })
    sent.on('error', reject).setTimeout(15_000, () => sent.destroy(new Error('No answer')))
    sent.end(body)
  })
}

const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_TRUSTED_PROXIES: '127.0.0.1/32' })
await publishRoutes(latchkey, 'posts', postsRoutes, { clientSecret: secret })
await publishRoutes(
  latchkey,
  'billing',
  { 'GET /v1/posts': ['billing:read'], 'GET /v1/invoices': ['billing:read'] },
  { baseUrl: 'http://billing.example.com' },
)
/** It has no list of proxies. */
const strict = await startLatchkey(t, 'pglite')
await publishRoutes(strict, 'posts', postsRoutes, { clientSecret: secret })
const product = await startUpstream(t, routesOf([...Object.keys(postsRoutes), 'GET /v1/unpublished']))
const reader = await provision(latchkey)
const writer = await provision(latchkey, { scopes: ['posts:write'], team: 'team_a', subject: 'user_43' })
const behind = { latchkey: new URL(latchkey.url).host, product: product.address }

for (const kind of kinds) {
  const version = versionOf(kind)
  const skip = version === null && `${kind.name} is not installed: apt-get install ${kind.package}`
  t.test(`${kind.name} ${version ?? ''}`, { skip }, async (t) => {
    const gateway = await startGateway(t, kind, behind)
    const ask = (...rest: [method: string, path: string, sent?: Sent]) => send(gateway, ...rest)
    t.beforeEach(() => void product.received.splice(0))

    t.test('a good token passes, and the product learns whose it is', async (t) => {
      const answer = await ask('GET', '/v1/posts?limit=5&q=a%2Fb', { token: reader.token })
      t.match(answer, { status: 200, body: 'done' })
      const got = onlyOne(product)
      t.match(got, { method: 'GET', target: '/v1/posts?limit=5&q=a%2Fb', route: 'GET /v1/posts' })
      t.strictSame(identityOf(got), [
        ['x-auth-subject', 'user_42'],
        ['x-auth-token-id', reader.id],
        ['x-auth-scopes', 'posts:read'],
        ['x-auth-team', '-'],
      ])
    })

    t.test('each method needs the scope of its own', async (t) => {
      for (const [method, path] of [
        ['POST', '/v1/posts'],
        ['PUT', '/v1/posts/7'],
        ['DELETE', '/v1/posts/7'],
      ] as const) {
        product.received.splice(0)
        const body = method === 'DELETE' ? '' : `{"title":"${'Hello '.repeat(20_000)}"}`
        const headers = body === '' ? {} : { 'content-type': 'application/json' }
        const refused = await ask(method, path, { token: reader.token, headers, body })
        t.equal(refused.status, 403)
        t.match(refused.headers['www-authenticate'], /error="insufficient_scope", scope="posts:write"/)
        t.strictSame(product.received, [])
        t.equal((await ask(method, path, { token: writer.token, headers, body })).status, 200)
        const got = onlyOne(product)
        t.match(got, { method, target: path, body })
        t.same(Object.fromEntries(identityOf(got)), {
          'x-auth-subject': 'user_43',
          'x-auth-token-id': writer.id,
          'x-auth-scopes': 'posts:read posts:write',
          'x-auth-team': 'team_a',
        })
      }
      product.received.splice(0)
      t.match(await ask('HEAD', '/v1/posts', { token: reader.token }), { status: 200, body: '' })
      t.match(onlyOne(product), { method: 'HEAD' })
    })

    t.test('without a good token there is a challenge, and nothing at the product', async (t) => {
      const none = await ask('GET', '/v1/posts')
      t.match(none, { status: 401, headers: { 'www-authenticate': 'Bearer realm="latchkey"' } })
      const mistyped = await ask('GET', '/v1/posts', { token: 'nonsense' })
      t.equal(mistyped.status, 401)
      t.match(mistyped.headers['www-authenticate'], /error="invalid_token"/)
      const other = await ask('GET', '/v1/posts', { headers: basic('posts', secret) })
      t.equal(other.status, 401)
      t.strictSame(product.received, [])
    })

    t.test('a revoked token is refused at the next request', async (t) => {
      const made = await provision(latchkey)
      t.equal((await ask('GET', '/v1/posts', { token: made.token })).status, 200)
      await latchkey.call('DELETE', `/api/v1/tokens/${made.id}`)
      product.received.splice(0)
      t.equal((await ask('GET', '/v1/posts', { token: made.token })).status, 401)
      t.strictSame(product.received, [])
    })

    t.test('a public route needs no token, and whoever comes is nobody', async (t) => {
      const headers = { 'X-Auth-Subject': 'admin', 'x-auth-team': 'team_a' }
      t.equal((await ask('GET', '/v1/status', { headers })).status, 200)
      const nobody = ['x-auth-subject', 'x-auth-token-id', 'x-auth-scopes', 'x-auth-team']
      t.strictSame(
        identityOf(onlyOne(product)),
        nobody.map((name) => [name, '-']),
      )
    })

    t.test('what is not published does not pass, whatever the product has there', async (t) => {
      for (const [method, path] of [
        ['GET', '/v1/unpublished'],
        ['GET', '/'],
        ['PATCH', '/v1/posts/7'],
        ['OPTIONS', '/v1/posts'],
        ['GET', '/v1/posts/'],
        ['GET', '/V1/posts'],
      ] as const) {
        const answer = await ask(method, path, { token: writer.token })
        t.equal(answer.status, 403, `${method} ${path}`)
      }
      t.strictSame(product.received, [])
    })

    t.test('a token that is limited to other services, or other addresses, does not pass', async (t) => {
      const elsewhere = await provision(latchkey, { audience: ['billing'] })
      t.equal((await ask('GET', '/v1/posts', { token: elsewhere.token })).status, 401)
      const far = await provision(latchkey, { ipRestriction: '203.0.113.0/24' })
      const near = await provision(latchkey, { ipRestriction: `${clientAddress}/32` })
      const said = '203.0.113.7'
      for (const headers of [
        {},
        { 'x-forwarded-for': said },
        { 'X-Real-IP': said, Forwarded: `for=${said}` },
      ]) {
        product.received.splice(0)
        t.equal((await ask('GET', '/v1/posts', { token: far.token, headers })).status, 403)
        t.strictSame(product.received, [])
        t.equal((await ask('GET', '/v1/posts', { token: near.token, headers })).status, 200)
      }
    })

    t.test('what a client says of itself and of its request counts nowhere', async (t) => {
      const names = [
        ['X-Auth-Subject', 'X-Auth-Token-Id', 'X-Auth-Scopes', 'X-Auth-Team'],
        ['x-AUTH-subject', 'X_Auth_Subject', 'x_auth_scopes', 'X_AUTH_TEAM'],
        ['X-Forwarded-Method', 'X-Forwarded-Uri', 'X-Forwarded-Host', 'X-Forwarded-For'],
        ['X-Original-Method', 'X-Original-URI', 'X-Original-URL', 'X-Rewrite-URL'],
        ['X-HTTP-Method-Override', 'X-Gateway-Authorization', 'Forwarded'],
      ].flat()
      for (const name of names) {
        product.received.splice(0)
        const headers = { [name]: ['spoofed', 'spoofed'] }
        const answer = await ask('GET', '/v1/posts', { token: reader.token, headers })
        t.equal(answer.status, 200, name)
        const got = onlyOne(product)
        t.equal(JSON.stringify(got).includes('spoofed'), false, `${name} does not reach the product`)
        t.equal(identityOf(got).length, 4)
      }
    })

    t.test('what a client says of its request does not turn the decision', async (t) => {
      const base = 'http://posts.example.com'
      const gatewayOf = basic('posts', secret).authorization
      const tries: [string, string, OutgoingHttpHeaders][] = [
        ['GET', '/v1/admin/keys', { 'x-forwarded-uri': '/v1/posts' }],
        ['GET', '/v1/admin/keys', { 'x-original-uri': '/v1/posts', 'x-original-method': 'GET' }],
        ['GET', '/v1/admin/keys', { 'x-original-url': `${base}/v1/posts` }],
        ['GET', '/v1/admin/keys', { 'x-rewrite-url': '/v1/posts', 'x-gateway-authorization': gatewayOf }],
        [
          'GET',
          '/v1/admin/keys',
          { 'x-forwarded-uri': ['/v1/posts', '/v1/posts'], 'x-forwarded-method': ['GET', 'GET'] },
        ],
        ['GET', '/v1/admin/keys?service=posts&scope=posts:read', {}],
        ['GET', '/v1/admin/keys?scope=', { 'x-forwarded-host': 'elsewhere.example.com' }],
        ['DELETE', '/v1/posts/7', { 'x-forwarded-method': 'GET' }],
        ['DELETE', '/v1/posts/7', { 'x-original-method': 'GET', 'x-http-method-override': 'GET' }],
        ['POST', '/v1/posts', { connection: 'close, x-forwarded-method', 'x-forwarded-method': 'GET' }],
        ['GET', '/v1/admin/keys', { connection: 'close, x-forwarded-uri, x-forwarded-method' }],
      ]
      for (const [method, path, headers] of tries) {
        const answer = await ask(method, path, { token: reader.token, headers })
        t.equal(answer.status, 403, `${method} ${path} ${JSON.stringify(headers)}`)
      }
      t.strictSame(product.received, [])
    })

    t.test('headers that a client names in Connection do not take its identity away', async (t) => {
      const connection = 'close, x-auth-subject, x-auth-team, x-auth-scopes, x-auth-token-id'
      const answer = await ask('GET', '/v1/posts', { token: reader.token, headers: { connection } })
      if (answer.status === 200) t.match(identityOf(onlyOne(product)), [['x-auth-subject', 'user_42']])
      else t.strictSame(product.received, [])
    })

    t.test('with two credentials, the product never sees one that was not judged', async (t) => {
      for (const tokens of [
        [reader.token, writer.token],
        [writer.token, reader.token],
      ]) {
        product.received.splice(0)
        const headers = { authorization: tokens.map((token) => `Bearer ${token}`) as never }
        const answer = await ask('GET', '/v1/posts', { headers })
        t.ok([200, 400, 401].includes(answer.status))
        if (answer.status !== 200) {
          t.strictSame(product.received, [])
          continue
        }
        const got = onlyOne(product)
        const judged = tokens[0] === reader.token ? 'user_42' : 'user_43'
        t.match(identityOf(got)[0], ['x-auth-subject', judged])
        t.strictSame(
          got.headers.filter(([name]) => name === 'authorization').map(([, value]) => value),
          [`Bearer ${tokens[0]}`],
        )
      }
    })

    t.test('a path that can be read two ways does not reach the product', async (t) => {
      for (const target of tricks) {
        product.received.splice(0)
        const bytes = [
          `GET ${target} HTTP/1.1`,
          'Host: posts.example.com',
          `Authorization: Bearer ${reader.token}`,
          'Connection: close\r\n\r\n',
        ].join('\r\n')
        const answer = await sendRaw(gateway.url, Buffer.from(bytes, 'latin1'))
        t.ok(answer.status >= 400 && answer.status < 500, `${target}: ${answer.status}`)
        t.strictSame(product.received, [], target)
      }
    })

    t.test('other spellings that everybody reads alike pass, and pass unchanged', async (t) => {
      const targets = [
        '/v1/posts/a%20b',
        '/v1/posts/caf%C3%A9',
        '/v1/posts/a.b',
        '/v1/posts/a,b=c',
        '/v1/posts/7?next=/../..//;x%2f',
      ]
      for (const target of targets) {
        product.received.splice(0)
        t.equal((await ask('GET', target, { token: reader.token })).status, 200, target)
        t.match(onlyOne(product), { target, route: 'GET /v1/posts/{id}' })
      }
    })

    t.test('without ?service=, the host tells which service it is for', async (t) => {
      const also = [['?service=posts', '?']] as const
      const gateway = await startGateway(t, kind, { ...behind, also })
      const get = (host: string, path: string, headers: OutgoingHttpHeaders = {}) =>
        send(gateway, 'GET', path, { token: reader.token, headers: { host, ...headers } })
      t.equal((await get('posts.example.com', '/v1/posts')).status, 200)
      for (const headers of [{}, { 'x-forwarded-host': 'posts.example.com' }]) {
        const billing = await get('billing.example.com', '/v1/posts', headers)
        t.equal(billing.status, 403)
        t.match(billing.headers['www-authenticate'], /scope="billing:read"/)
      }
      t.equal((await get('BILLING.example.com:80', '/v1/posts')).status, 403)
      t.equal((await get('billing.example.com', '/v1/posts/7')).status, 403)
      t.equal(
        (await get('posts.example.com', '/v1/admin/keys?scope=')).status,
        403,
        'a query of the client’s',
      )
      t.equal(product.received.length, 1)
    })

    if (kind.name === 'caddy')
      t.test('without a question mark, a query of the client’s is not taken for the gateway’s', async (t) => {
        const gateway = await startGateway(t, kind, { ...behind, also: [['?service=posts', '']] })
        const headers = { host: 'posts.example.com' }
        const get = (path: string) => send(gateway, 'GET', path, { token: reader.token, headers })
        t.equal((await get('/v1/posts?page=2')).status, 200)
        for (const path of [
          '/v1/admin/keys?scope=',
          '/v1/admin/keys?scope=posts:read',
          '/v1/unpublished?scope=',
        ])
          t.equal((await get(path)).status, 403, path)
      })

    t.test('?scope= and ?team= of the gateway count instead of the catalog', async (t) => {
      const also = [['?service=posts', '?service=posts&scope=posts:write&team=team_a']] as const
      const gateway = await startGateway(t, kind, { ...behind, also })
      const elsewhere = await provision(latchkey, { scopes: ['posts:write'], team: 'team_b' })
      const statuses = []
      for (const { token } of [reader, elsewhere, writer])
        statuses.push((await send(gateway, 'GET', '/v1/unpublished', { token })).status)
      t.strictSame(statuses, [403, 403, 200])
      t.match(onlyOne(product), { route: 'GET /v1/unpublished' })
    })

    t.test('a gateway that is not listed must show credentials', async (t) => {
      const { token } = await provision(strict, { ipRestriction: `${clientAddress}/32` })
      const there = { ...behind, latchkey: new URL(strict.url).host }
      const nameless = await startGateway(t, kind, there)
      t.equal((await send(nameless, 'GET', '/v1/posts', { token })).status, 403)
      const shown = { 'X-Gateway-Authorization': basic('posts', secret).authorization }
      t.equal((await send(nameless, 'GET', '/v1/posts', { token, headers: shown })).status, 403)
      t.equal((await send(nameless, 'GET', '/v1/status')).status, 403)
      t.strictSame(product.received, [])

      for (const [shows, status] of [
        [secret, 200],
        ['wrong', 403],
      ] as const) {
        product.received.splice(0)
        const credentials = Buffer.from(`posts:${shows}`).toString('base64')
        const named = await startGateway(t, kind, { ...there, credentials })
        t.equal((await send(named, 'GET', '/v1/posts', { token })).status, status)
        t.equal(product.received.length, status === 200 ? 1 : 0)
        t.equal(JSON.stringify(product.received).includes(credentials), false)
      }
    })

    t.test('when Latchkey cannot answer, nothing passes', async (t) => {
      let mode: 'unavailable' | 'hangs' | 'breaks off' | 'redirects' = 'unavailable'
      const sick = createServer((request, response) => {
        if (mode === 'breaks off') request.socket.destroy()
        if (mode === 'unavailable') response.writeHead(503, { 'retry-after': '1' }).end()
        if (mode === 'redirects') response.writeHead(302, { location: '/elsewhere' }).end()
      }).listen(0, '127.0.0.1')
      await once(sick, 'listening')
      const { port } = sick.address() as AddressInfo
      const gateway = await startGateway(t, kind, { ...behind, latchkey: `127.0.0.1:${port}` })
      const refused = async (why: string) => {
        // Silence takes its time, so it is tried with the route that needs least.
        for (const path of why === 'hangs' ? ['/v1/status'] : ['/v1/posts', '/v1/status']) {
          const { status } = await send(gateway, 'GET', path, { token: writer.token })
          t.ok(status >= 300, `${why}: ${status}`)
        }
        t.strictSame(product.received, [], why)
      }
      for (const one of ['unavailable', 'redirects', 'breaks off', 'hangs'] as const) {
        mode = one
        await refused(one)
      }
      sick.closeAllConnections()
      sick.close()
      await once(sick, 'close')
      await refused('is away')
    })
  })
}

/** The first is what it was written for: each would be /v1/admin/keys, or a post, to somebody. */
const tricks = [
  '//v1/posts',
  '/v1//posts',
  '/v1/posts//7',
  '/v1/posts/../admin/keys',
  '/v1/posts/..',
  '/v1/posts/.',
  '/v1/./posts',
  '/v1/posts/%2e%2e/admin/keys',
  '/v1/posts/%2E%2E/admin/keys',
  '/v1/posts/.%2e/admin/keys',
  '/v1/posts/..%2fadmin%2fkeys',
  '/v1/posts/..%2Fadmin%2Fkeys',
  '/v1/posts/%2e%2e%2fadmin%2fkeys',
  '/v1/posts/%252e%252e/admin/keys',
  '/v1/posts/%252e%252e%252fadmin%252fkeys',
  '/v1/posts/..%252f..%252fadmin',
  '/v1/posts/..;/admin/keys',
  '/v1/posts/;/../admin/keys',
  '/v1/posts;x=1',
  '/v1/posts;/../admin/keys',
  '/v1/posts/7;a=b',
  '/v1/posts%3b/7',
  '/v1/posts%2f7',
  '/v1%2fadmin%2fkeys',
  '/v1%2Fadmin/keys',
  '/%76%31/posts',
  '/v1/%70osts',
  '/v1/%61dmin/keys',
  '/v1/posts/..\\admin\\keys',
  '/v1\\admin\\keys',
  '/v1/posts/%5c..%5cadmin',
  '/v1/posts/..%5cadmin%5ckeys',
  '/v1/posts%00',
  '/v1/posts/7%00.json',
  '/v1/posts%3fx',
  '/v1/posts%23x',
  '/v1/posts#/../admin/keys',
  '/v1/posts/%0d%0aX:1',
  '/v1/posts/%',
  '/v1/posts/%zz',
  '/v1/posts/%2',
  '/v1/posts/%c0%ae%c0%ae/admin/keys',
  '/v1/posts/%c0%af',
  '/v1/posts/%e0%80%ae%e0%80%ae/admin',
  '/v1/posts/%ef%bc%8f..%ef%bc%8fadmin',
  '/v1/posts/\xe9',
  '/v1/posts/%u002e%u002e/admin',
  '/./v1/posts',
  '/../v1/posts',
  '/v1/posts/../../v1/admin/keys',
  '/v1/admin/keys/../../posts',
  '/v1/status/../admin/keys',
  '/v1/status/..%2fadmin%2fkeys',
  '/v1/posts/%2e',
  '/v1/posts/%2e%2e',
  '/v1/posts/...%2f',
]

const onlyOne = ({ received }: Upstream) => {
  if (received.length !== 1) throw new Error(`The product got ${received.length} requests`)
  return received[0]!
}

const identityNames = ['x-auth-subject', 'x-auth-token-id', 'x-auth-scopes', 'x-auth-team']

/** All that could be taken for it, whatever it is written with. */
function identityOf({ headers }: Upstream['received'][number]): [string, string][] {
  const found = headers.filter(([name]) => /^x[-_]auth[-_]/.test(name)) as [string, string][]
  return found.sort(([left], [right]) => identityNames.indexOf(left) - identityNames.indexOf(right))
}
