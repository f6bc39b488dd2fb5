// Gateways that cannot be installed here: what they send, byte for byte (reference: their sources), on a raw socket; and
// what they make of the answer, by their rules and the lists of headers in examples/gateways.
import { readFile } from 'node:fs/promises'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { type Latchkey, provision, startLatchkey } from '../helpers/latchkey.ts'
import { type RawAnswer, sendRaw } from '../helpers/raw-http.ts'
import { postsRoutes, publishRoutes } from '../helpers/upstream.ts'

const example = async (name: string) =>
  parse(await readFile(new URL(`../../examples/gateways/${name}`, import.meta.url), 'utf8'))

/** The client's request, as its gateway has it. */
type Client = {
  method: string
  uri: string
  /** Lines as the client sent them, for gateways that hand them on. */
  lines?: readonly string[]
  token?: string
  /** Where the client calls from. */
  from?: string
}

/** What becomes of the client's request. */
type Outcome =
  | { readonly passes: true; readonly added: Record<string, string | undefined> }
  | { readonly passes: false; readonly status: number; readonly told: readonly string[] }

type Kind = {
  readonly name: string
  /** The whole request to Latchkey, but that it asks for the connection to be closed at its end. */
  sends(client: Client): string
  reads(answer: RawAnswer): Outcome
}

const traefik = (await example('traefik.yaml')).http.middlewares.latchkey.forwardAuth
const apisix = (await example('apisix.yaml')).routes[0].plugins['forward-auth']
const envoy = (await example('envoy.yaml')).static_resources.listeners[0].filter_chains[0].filters[0]
  .typed_config.http_filters[0].typed_config
const exactly = ({ patterns }: { patterns: { exact: string }[] }) => patterns.map(({ exact }) => exact)

const authorization = (name: string, token: string | undefined) =>
  token === undefined ? [] : [`${name}: Bearer ${token}`]
const bytes = (lines: readonly string[]) => `${lines.join('\r\n')}\r\n\r\n`
const targetOf = (address: string) => new URL(address).pathname + new URL(address).search
const picked = ({ headers }: RawAnswer, names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name.toLowerCase(), headers.get(name.toLowerCase())]))
const told = ({ headers }: RawAnswer, names: readonly string[]) =>
  names.filter((name) => headers.has(name.toLowerCase()))

const kinds: readonly Kind[] = [
  {
    name: 'Traefik 3 ForwardAuth',
    // Go: Host, User-Agent, then the rest by name.
    sends: ({ method, uri, token, from = '198.51.100.9' }) =>
      bytes([
        `GET ${targetOf(traefik.address)} HTTP/1.1`,
        'Host: 127.0.0.1:8080',
        'User-Agent: curl/8.5.0',
        ...authorization('Authorization', token),
        `X-Forwarded-For: ${from}`,
        'X-Forwarded-Host: posts.example.com',
        `X-Forwarded-Method: ${method}`,
        'X-Forwarded-Port: 443',
        'X-Forwarded-Proto: https',
        `X-Forwarded-Uri: ${uri}`,
        'Accept-Encoding: gzip',
        'Connection: close',
      ]),
    reads: (answer) =>
      answer.status >= 200 && answer.status < 300
        ? { passes: true, added: picked(answer, traefik.authResponseHeaders) }
        : { passes: false, status: answer.status, told: [...answer.headers.keys()] },
  },
  {
    name: 'Envoy ext_authz over HTTP',
    // Names in lower case; the method is the client's, and the path stands behind the prefix.
    sends: ({ method, uri, token, from = '198.51.100.9' }) =>
      bytes([
        `${method} ${envoy.http_service.path_prefix}${uri} HTTP/1.1`,
        'host: posts.example.com',
        'content-length: 0',
        ...authorization('authorization', token),
        `x-forwarded-for: ${from}`,
        'user-agent: curl/8.5.0',
        'x-envoy-internal: true',
        'x-envoy-expected-rq-timeout-ms: 3000',
        'connection: close',
      ]),
    reads: (answer) => {
      if (answer.status === 200)
        return {
          passes: true,
          added: picked(answer, exactly(envoy.http_service.authorization_response.allowed_upstream_headers)),
        }
      if (answer.status >= 500) return { passes: false, status: 503, told: [] }
      const allowed = exactly(envoy.http_service.authorization_response.allowed_client_headers)
      return { passes: false, status: answer.status, told: told(answer, allowed) }
    },
  },
  {
    name: 'APISIX 3 forward-auth',
    // lua-resty-http: its own User-Agent only where none is handed on; no body, no Content-Length.
    sends: ({ method, uri, token, from = '198.51.100.9' }) =>
      bytes([
        `${apisix.request_method} ${targetOf(apisix.uri)} HTTP/1.1`,
        'X-Forwarded-Proto: https',
        `X-Forwarded-Uri: ${uri}`,
        `X-Forwarded-For: ${from}`,
        'X-Forwarded-Host: posts.example.com',
        ...authorization('Authorization', token),
        `X-Forwarded-Method: ${method}`,
        'User-Agent: curl/8.5.0',
        'Host: 127.0.0.1:8080',
        'Connection: close',
      ]),
    reads: (answer) =>
      answer.status < 300
        ? { passes: true, added: picked(answer, apisix.upstream_headers) }
        : { passes: false, status: answer.status, told: told(answer, apisix.client_headers) },
  },
  {
    name: 'ingress-nginx auth-url',
    // All that the client sent, a Content-Type without a body among it; the request in one header.
    sends: ({ method, uri, token, from = '198.51.100.9', lines = [] }) =>
      bytes([
        'GET /forward-auth?service=posts HTTP/1.1',
        'Host: latchkey.default.svc.cluster.local:8080',
        `X-Original-URL: https://posts.example.com${uri}`,
        `X-Original-Method: ${method}`,
        'X-Sent-From: nginx-ingress-controller',
        `X-Real-IP: ${from}`,
        `X-Forwarded-For: ${from}`,
        `X-Auth-Request-Redirect: ${uri}`,
        'Connection: close',
        'user-agent: curl/8.5.0',
        'accept: */*',
        'content-type: application/json',
        ...authorization('authorization', token),
        ...lines,
      ]),
    // As nginx: 2xx passes, 401 and 403 are told, all else is 500.
    reads: (answer) => {
      const names = ['X-Auth-Subject', 'X-Auth-Token-Id', 'X-Auth-Scopes', 'X-Auth-Team']
      if (answer.status >= 200 && answer.status < 300) return { passes: true, added: picked(answer, names) }
      if (answer.status === 401)
        return { passes: false, status: 401, told: told(answer, ['WWW-Authenticate']) }
      return { passes: false, status: answer.status === 403 ? 403 : 500, told: [] }
    },
  },
]

const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_TRUSTED_PROXIES: '127.0.0.1/32' })
await publishRoutes(latchkey, 'posts', postsRoutes, { baseUrl: 'https://posts.example.com' })
const reader = await provision(latchkey)
const writer = await provision(latchkey, { scopes: ['posts:write'], team: 'team_a' })

for (const kind of kinds) {
  t.test(kind.name, async (t) => {
    const ask = (client: Client, { url }: Pick<Latchkey, 'url'> = latchkey) =>
      sendRaw(url, kind.sends(client))
    const outcome = async (client: Client) => kind.reads(await ask(client))
    const refused = async (t: Test, client: Client, status: number) =>
      t.match(await outcome(client), { passes: false, status }, `${client.method} ${client.uri}`)

    t.test('passes what may pass, and says who it is', async (t) => {
      for (const method of ['GET', 'HEAD']) {
        t.strictSame(await outcome({ method, uri: '/v1/posts?limit=5', token: reader.token }), {
          passes: true,
          added: {
            'x-auth-subject': 'user_42',
            'x-auth-token-id': reader.id,
            'x-auth-scopes': 'posts:read',
            'x-auth-team': '-',
          },
        })
      }
      for (const [method, uri] of [
        ['POST', '/v1/posts'],
        ['PUT', '/v1/posts/7'],
        ['DELETE', '/v1/posts/7'],
      ] as const) {
        t.match(await outcome({ method, uri, token: writer.token }), { added: { 'x-auth-team': 'team_a' } })
        await refused(t, { method, uri, token: reader.token }, 403)
      }
      t.match(await outcome({ method: 'GET', uri: '/v1/status' }), {
        added: { 'x-auth-subject': '-', 'x-auth-token-id': '-', 'x-auth-scopes': '-', 'x-auth-team': '-' },
      })
    })

    t.test(
      'the answer has an empty body of known length, sets no cookie and sends nobody elsewhere',
      async (t) => {
        for (const token of [reader.token, undefined, 'nonsense']) {
          const answer = await ask({ method: 'GET', uri: '/v1/posts', ...(token && { token }) })
          t.equal(answer.body, '')
          t.equal(answer.headers.get('content-length'), '0')
          for (const name of ['set-cookie', 'location', 'transfer-encoding'])
            t.notOk(answer.headers.has(name))
        }
      },
    )

    t.test('refuses the rest, and the client is told how to ask', async (t) => {
      const none = await outcome({ method: 'GET', uri: '/v1/posts' })
      t.match(none, { passes: false, status: 401 })
      t.ok(!none.passes && none.told.some((name) => name.toLowerCase() === 'www-authenticate'))
      await refused(t, { method: 'GET', uri: '/v1/posts', token: 'nonsense' }, 401)
      await refused(t, { method: 'GET', uri: '/v1/nothing', token: writer.token }, 403)
      await refused(t, { method: 'PROPFIND', uri: '/v1/posts', token: writer.token }, 403)
      const uris = ['//v1/posts', '/v1/posts/%2e%2e/admin/keys', '/v1/posts;x', '/v1%2fposts', '/v1/posts/']
      for (const uri of uris) await refused(t, { method: 'GET', uri, token: reader.token }, 403)
    })

    t.test('a revoked token is refused at the next request', async (t) => {
      const made = await provision(latchkey)
      t.match(await outcome({ method: 'GET', uri: '/v1/posts', token: made.token }), { passes: true })
      await latchkey.call('DELETE', `/api/v1/tokens/${made.id}`)
      await refused(t, { method: 'GET', uri: '/v1/posts', token: made.token }, 401)
    })

    t.test('the address is the one that the gateway saw, whatever stands to its left', async (t) => {
      const { token } = await provision(latchkey, { ipRestriction: '203.0.113.0/24' })
      const get = { method: 'GET', uri: '/v1/posts', token }
      t.match(await outcome({ ...get, from: '203.0.113.7' }), { passes: true })
      await refused(t, { ...get, from: '198.51.100.9' }, 403)
      await refused(t, { ...get, from: '203.0.113.7, 198.51.100.9' }, 403)
    })
  })
}

t.test('ingress-nginx hands on what clients send: where that contradicts it, nothing passes', async (t) => {
  const { sends } = kinds.at(-1)!
  const client = { method: 'GET', uri: '/v1/admin/keys', token: reader.token }
  for (const lines of [
    ['x-forwarded-uri: /v1/posts', 'x-forwarded-method: GET'],
    ['x-original-uri: /v1/posts'],
    ['x-forwarded-method: POST'],
    ['x-original-url: https://posts.example.com/v1/posts'],
    ['x-original-method: HEAD'],
    ['x-forwarded-host: billing.example.com'],
    ['x-gateway-authorization: Basic bm9ib2R5OndpdGgtYS1zZWNyZXQ='],
  ]) {
    const answer = await sendRaw(latchkey.url, sends({ ...client, lines }))
    t.equal(answer.status, 403, lines[0]!)
    const allowed = await sendRaw(latchkey.url, sends({ ...client, uri: '/v1/posts', lines }))
    t.ok([200, 403].includes(allowed.status))
  }
})

t.test('Envoy asks by host: a service is found by its base URL only', async (t) => {
  const { sends } = kinds[1]!
  const elsewhere = sends({ method: 'GET', uri: '/v1/posts', token: reader.token }).replace(
    'posts.example.com',
    'billing.example.com',
  )
  t.equal((await sendRaw(latchkey.url, elsewhere)).status, 403)
})

t.test('from a gateway that is not listed nothing counts but what it asks with', async (t) => {
  const strict = await startLatchkey(t, 'pglite')
  await publishRoutes(strict, 'posts', postsRoutes, { baseUrl: 'https://posts.example.com' })
  const { token } = await provision(strict)
  for (const { name, sends } of kinds) {
    const { status } = await sendRaw(strict.url, sends({ method: 'GET', uri: '/v1/posts', token }))
    // Envoy's headers say nothing of the request: it asks with the request itself.
    t.equal(status, name.startsWith('Envoy') ? 200 : 403, name)
  }
})

t.test('when Latchkey cannot know, every gateway refuses', async (t) => {
  const unknown: RawAnswer = { status: 503, headers: new Map([['retry-after', '1']]), head: '', body: '' }
  for (const { name, reads } of kinds) t.match(reads(unknown), { passes: false }, name)
  t.equal(envoy.failure_mode_allow, false)
  t.equal(apisix.allow_degradation, false)
  t.equal(traefik.trustForwardHeader, false)
})
