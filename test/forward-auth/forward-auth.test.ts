// A gateway asks whether a request may pass. What it says of the request, from whom that counts, what the catalog makes
// of it, and what is answered; in front of the router and by the router alike. Real gateways: test/interop/gateways.test.ts.
import { METHODS } from 'node:http'
import t from 'tap'
import { basic, type Latchkey, provision, startLatchkey, ways } from '../helpers/latchkey.ts'
import { freePort } from '../helpers/process.ts'
import { sendRaw } from '../helpers/raw-http.ts'
import { documentOf, operation, putDocument } from '../helpers/samples.ts'

const trusting = { LATCHKEY_TRUSTED_PROXIES: '127.0.0.1' }
const scopes = ['posts:read', 'posts:write', 'billing:read']

type Asked = {
  method?: string
  uri?: string
  host?: string
  token?: string | null
  headers?: Record<string, string>
}

for (const { way, lanes } of ways) {
  t.test(way, async (t) => {
    const management = await freePort()
    const env = { ...trusting, LATCHKEY_MANAGEMENT_PORT: String(management) }
    const latchkey = await startLatchkey(t, 'pglite', env, { lanes })
    const { call } = latchkey
    const posts = await register(latchkey, 'posts', 'https://api.example.com')
    await register(latchkey, 'billing', 'https://billing.example.com/money')
    await call('PUT', '/api/v1/services/posts/scopes', {
      groups: [{ id: 'all', title: 'All' }],
      scopes: scopes.map((name) => ({ name, title: name, group: 'all' })),
    })
    const published = await putDocument(latchkey, 'posts', postsDocument())
    t.equal(published.status, 200, published.text)
    const billing = documentOf({
      '/v1/posts': { get: operation(['billing:read'], { operationId: 'bills' }) },
    })
    t.equal((await putDocument(latchkey, 'billing', billing)).status, 200)

    const token = async (more: Record<string, unknown>) => provision(latchkey, more)
    const reader = (await token({ scopes: ['posts:read'] })).token as string
    const writer = (await token({ scopes: ['posts:read', 'posts:write'], team: 'team_a' })).token as string
    const ask = (
      { method = 'GET', uri = '/v1/posts', host = 'api.example.com', token = reader, headers }: Asked,
      path = '/forward-auth',
    ) =>
      fetch(latchkey.url + path, {
        headers: {
          ...(token !== null && { authorization: `Bearer ${token}` }),
          'x-forwarded-method': method,
          'x-forwarded-uri': uri,
          'x-forwarded-host': host,
          'x-forwarded-for': '198.51.100.7',
          ...headers,
        },
      })
    const status = async (asked: Asked, path?: string) => {
      const answer = await ask(asked, path)
      await answer.arrayBuffer()
      return answer.status
    }

    t.test('the scopes come from the catalog’s match of method and path', async (t) => {
      t.equal(await status({}), 200)
      t.equal(await status({ uri: '/v1/posts?page=2' }), 200)
      t.equal(await status({ uri: '/v1/posts/42' }), 200)
      t.equal(await status({ method: 'POST' }), 403)
      t.equal(await status({ method: 'POST', token: writer }), 200)
      t.equal(await status({ method: 'HEAD' }), 200, 'HEAD is GET without a body')
      const refused = await ask({ method: 'POST' })
      t.match(refused.headers.get('www-authenticate'), /error="insufficient_scope", scope="posts:write"/)
    })

    t.test('what matches no endpoint does not pass, whoever asks', async (t) => {
      for (const asked of [
        { uri: '/v1/unknown' },
        { uri: '/V1/posts' },
        { uri: '/v1/posts/' },
        { method: 'DELETE' },
        { method: 'get' },
        { method: 'BREW' },
        { host: 'elsewhere.example.com' },
        { uri: '/v1//posts' },
        { uri: '/v1/./posts' },
        { uri: '/v1/x/../posts' },
        { uri: '/v1/%70osts' },
        { uri: '/v1/posts/a%2Fb' },
        { uri: '/v1/posts/a%252Fb' },
        { uri: '/v1/posts;x=1' },
        { uri: 'http://api.example.com/v1/posts' },
        { uri: '/v1/posts/%C0%AF' },
        { uri: '/v1/posts#top' },
        { uri: '' },
      ]) {
        t.equal(await status({ ...asked, token: latchkey.admin }), 403, JSON.stringify(asked))
      }
      t.equal(await status({ uri: '/v1/posts/a%40b%C3%A9' }), 200, 'what must be encoded may be')
    })

    t.test('each kind of access is judged for what it is', async (t) => {
      const answers = async (uri: string) =>
        Promise.all([null, reader, writer, latchkey.admin].map((token) => status({ uri, token })))
      t.same(await answers('/health'), [200, 200, 200, 200], 'public')
      t.same(await answers('/hooks/stripe'), [200, 200, 200, 200], 'signed otherwise')
      t.same(await answers('/settings'), [403, 403, 403, 403], 'for people')
      t.same(await answers('/v1/both'), [401, 200, 200, 403], 'token or session: here the token')
      t.same(await answers('/internal/jobs'), [401, 403, 403, 200], 'a service account')
      t.same(await answers('/admin'), [401, 403, 403, 200], 'an admin')
      const anonymous = await ask({ uri: '/health' })
      t.equal(anonymous.headers.get('x-auth-subject'), '-', 'nobody is told who did not have to say')
    })

    t.test('services with equal paths are told apart by host and base path, or by name', async (t) => {
      const payer = (await token({ scopes: ['billing:read'] })).token
      const money = { host: 'billing.example.com', uri: '/money/v1/posts' }
      t.equal(await status({ ...money, token: payer }), 200)
      t.equal(await status({ ...money, token: reader }), 403)
      t.equal(await status({ host: 'BILLING.example.com:443', uri: '/money/v1/posts', token: payer }), 200)
      t.equal(await status({ ...money, uri: '/v1/posts', token: payer }), 403, 'not below its base')
      t.equal(await status({ ...money, uri: '/moneyv1/posts', token: payer }), 403)
      t.equal(
        await status(
          { uri: '/money/v1/posts', token: payer, host: '10.0.0.1' },
          '/forward-auth?service=billing',
        ),
        200,
      )
      t.equal(await status({ token: payer, host: '10.0.0.1' }, '/forward-auth?service=posts'), 403)
      t.equal(await status({}, '/forward-auth?service=nobody'), 403)
      t.equal(await status({}, '/forward-auth?service=posts&scope=posts:read'), 200)
      t.equal(await status({}, '/forward-auth?service=nobody&scope=posts:read'), 403, 'no such service')
      const stranger = { token: 'no token of ours' }
      t.equal(
        await status(stranger, '/forward-auth?service=nobody&scope=posts:read'),
        401,
        'not looked up for nobody',
      )
    })

    t.test('a parameter that is spelled wrong limits nothing, so nothing passes', async (t) => {
      for (const query of [
        '?temas=team_b',
        '?scopes=posts:write',
        '?scope=posts:read&teams=team_b',
        '?x',
        '?=x',
      ])
        t.equal(await status({}, `/forward-auth${query}`), 403, query)
      for (const query of ['?', '?&', '?scope=posts:read&', '?scope=&service=posts&team='])
        t.equal(
          await status({ token: writer }, `/forward-auth${query}`),
          query.includes('team') ? 403 : 200,
          query,
        )
    })

    t.test('a query that the gateway has left of its client’s is no word of its own', async (t) => {
      const left = (query: string, uri: string, headers?: Record<string, string>) =>
        status({ uri, ...(headers && { headers }) }, `/forward-auth?${query}`)
      t.equal(await left('page=2', '/v1/posts?page=2'), 200, 'the catalog says it')
      t.equal(await left('page=2', '/v1/unpublished?page=2'), 403)
      for (const query of ['scope=', 'scope=posts:read', 'service=posts', 'team=team_a', 'page=2&scope=']) {
        t.equal(await left(query, `/v1/unpublished?${query}`), 403, query)
        t.equal(await left(query, `/v1/posts?${query}`), 403, query)
      }
      t.equal(await left('scope=', '/v1/unpublished?a=b'), 200, 'the gateway’s own')
      t.equal(await left('scope=', '/v1/unpublished?a=b?scope='), 200)
      for (const name of ['x-original-uri', 'x-original-url'])
        t.equal(
          await left('scope=', '/v1/unpublished', { [name]: 'http://h/v1/unpublished?scope=' }),
          403,
          name,
        )
    })

    t.test('team and audience are judged too', async (t) => {
      t.equal(await status({ token: writer }, '/forward-auth?team=team_a'), 200)
      t.equal(await status({ token: writer }, '/forward-auth?team=team_b'), 403)
      const forBilling = (await token({ scopes: ['posts:read'], audience: ['billing'] })).token
      const forPosts = (await token({ scopes: ['posts:read'], audience: ['posts'] })).token
      t.equal(await status({ token: forPosts }), 200)
      t.equal(await status({ token: forBilling }), 401)
    })

    t.test('an address restriction is judged by what the trusted proxy says', async (t) => {
      const bound = (await token({ scopes: ['posts:read'], ipRestriction: '198.51.100.0/24' })).token
      t.equal(await status({ token: bound }), 200)
      t.equal(await status({ token: bound, headers: { 'x-forwarded-for': '203.0.113.9' } }), 403)
    })

    t.test('what does not pass is counted by its reason, which the gateway tells nobody', async (t) => {
      const bound = (await token({ ipRestriction: '203.0.113.0/24' })).token
      const forBilling = (await token({ audience: ['billing'] })).token
      const bad = { 'x-gateway-authorization': 'Basic x' }
      const reasons: [reason: string, asked: Asked, query?: string][] = [
        ['query', {}, '?temas=team_b'],
        ['service', {}, '?service=nobody&scope=posts:read'],
        ['gateway', { headers: bad }],
        ['request', { headers: { 'x-original-uri': '/v1/posts/1' } }],
        ['request', { uri: '/v1//posts' }],
        ['endpoint', { uri: '/v1/unpublished' }],
        ['endpoint', { uri: '/settings' }],
        ['no_token', { token: null }],
        ['no_token', { token: 'a b' }],
        ['token', { token: 'no-token-of-ours' }],
        ['token', { token: `${reader.slice(0, -1)}${reader.endsWith('0') ? 1 : 0}` }],
        ['audience', { token: forBilling }],
        ['bearer', { uri: '/admin' }],
        ['scope', { method: 'POST' }],
        ['address', { token: bound }],
        ['team', { token: writer }, '?team=team_b'],
      ]
      for (const [reason, asked, query = ''] of reasons) {
        const before = await refusals(management)
        t.not(await status(asked, `/forward-auth${query}`), 200)
        t.same(risen(before, await refusals(management)), { [reason]: 1 }, `${JSON.stringify(asked)}${query}`)
      }
      const before = await refusals(management)
      t.equal(await status({}), 200)
      t.equal((await fetch(`${latchkey.url}/forward-auth`)).status, 403)
      t.same(risen(before, await refusals(management)), { unsaid: 1 })
    })

    t.test('where headers disagree, nothing passes', async (t) => {
      const differing: Record<string, string>[] = [
        { 'x-original-uri': '/v1/posts/1' },
        { 'x-original-method': 'POST' },
        { 'x-original-url': 'https://api.example.com/v1/posts/1' },
        { 'x-original-url': 'https://billing.example.com/v1/posts' },
        { 'x-original-url': '/v1/posts' },
        { 'x-forwarded-host': 'api.example.com, billing.example.com' },
      ]
      for (const headers of differing) t.equal(await status({ headers }), 403, JSON.stringify(headers))
      const agreeing = { 'x-original-url': 'https://api.example.com/v1/posts', 'x-original-method': 'GET' }
      t.equal(await status({ headers: agreeing }), 200)
    })

    t.test('of two Authorization headers, neither counts', async (t) => {
      const twice = rawStatus(latchkey, 'GET', '/forward-auth/v1/posts', {
        host: 'api.example.com',
        authorization: [`Bearer ${reader}`, `Bearer ${writer}`],
      })
      t.equal(await twice, 401)
    })

    t.test('Envoy’s way: the original method, and the path behind ours', async (t) => {
      const envoy = (method: string, path: string, token: string, host = 'api.example.com') =>
        rawStatus(latchkey, method, `/forward-auth${path}`, { host, authorization: `Bearer ${token}` })
      t.equal(await envoy('GET', '/v1/posts?x=1', reader), 200)
      t.equal(await envoy('POST', '/v1/posts', reader), 403)
      t.equal(await envoy('POST', '/v1/posts', writer), 200)
      t.equal(await envoy('GET', '/v1//posts', reader), 403)
    })

    t.test('the answer is 200, 401 or 403, without a body or its type, whatever is sent', async (t) => {
      const asked = (target: string, method = 'GET', headers: string[] = [], body = '') => {
        const all = ['Host: api.example.com', `Authorization: Bearer ${reader}`, ...headers]
        return bare(latchkey, `${method} ${target} HTTP/1.1`, all, body)
      }
      const expect = async (status: number, ...request: Parameters<typeof asked>) => {
        const answer = await asked(...request)
        t.equal(answer.status, status, request.join(' '))
        t.equal(answer.body, '')
        t.equal(answer.headers.get('content-length'), '0')
        t.equal(answer.headers.has('content-type'), false)
        t.equal(answer.headers.has('x-auth-subject'), status === 200)
        t.equal(answer.headers.has('www-authenticate'), status !== 200)
        t.ok(answer.headers.has('x-request-id') && answer.headers.has('cache-control'))
      }
      for (const method of METHODS) {
        if (method === 'CONNECT') continue
        await expect(200, '/forward-auth?scope=posts:read', method)
        await expect(method === 'GET' || method === 'HEAD' ? 200 : 403, '/forward-auth/v1/posts', method)
      }
      for (const type of ['garbage', '/', '', 'application/json', 'text/plain; charset'])
        for (const method of ['POST', 'DELETE', 'QUERY', 'PROPFIND', 'GET']) {
          const headers = [`Content-Type: ${type}`, 'Content-Length: 4']
          await expect(200, '/forward-auth?scope=posts:read', method, headers, '{"a"')
        }
      const chunked = ['Transfer-Encoding: chunked', 'Content-Type: garbage']
      await expect(200, '/forward-auth?scope=posts:read', 'POST', chunked, '1\r\na\r\n0\r\n\r\n')
      for (const path of [
        '/%',
        '/v1/posts/%zz',
        '/%?scope=posts:read',
        '/v1/posts/%ff',
        `/${'a'.repeat(5_000)}`,
      ])
        await expect(403, `/forward-auth${path}`)
    })

    t.test('behind ours, a host that cannot be read is no service’s', async (t) => {
      const asked = (host: string) => bare(latchkey, `GET /forward-auth/health HTTP/1.1`, [`Host:${host}`])
      for (const host of ['', ' ', ' a_b', ' %61', ' [::1']) t.equal((await asked(host)).status, 403, host)
      // RFC 9112 §3.2: what cannot be a host is no HTTP.
      for (const host of [' a b', ' api.example.com/', ' u@api.example.com'])
        t.equal((await asked(host)).status, 400, host)
      t.equal((await bare(latchkey, 'GET /forward-auth/health HTTP/1.0', [])).status, 403, 'none')
      for (const host of ['api.example.com', 'API.example.com', 'api.example.com:443'])
        t.equal((await asked(` ${host}`)).status, 200, host)
      t.equal((await asked(' [2001:DB8::1]:8443')).status, 403, 'nobody’s yet')
      await call('PATCH', '/api/v1/services/posts', { baseUrl: 'https://[2001:db8::1]:8443' })
      t.equal((await asked(' [2001:DB8::1]:8443')).status, 200)
      await call('PATCH', '/api/v1/services/posts', { baseUrl: 'https://a_b.example.com' })
      t.equal((await asked(' a_b.example.com')).status, 200, 'a name inside of a cluster')
      await call('PATCH', '/api/v1/services/posts', { baseUrl: 'https://api.example.com' })
    })

    t.test('behind ours, a forwarded host that is another than the request’s passes nothing', async (t) => {
      const asked = (host: string, forwarded: string) =>
        rawStatus(latchkey, 'GET', '/forward-auth/health', { host, 'x-forwarded-host': forwarded })
      t.equal(await asked('api.example.com', 'API.example.com:443'), 200)
      t.equal(await asked('elsewhere.example.com', 'api.example.com'), 403)
      t.equal(await asked('api.example.com', 'billing.example.com'), 403)
    })

    t.test(
      'the whole URL may be asked for, unless its host could be another than the header’s',
      async (t) => {
        const lines = ['Host: api.example.com', `Authorization: Bearer ${reader}`]
        const asked = async (target: string) => (await bare(latchkey, `GET ${target} HTTP/1.1`, lines)).status
        t.equal(await asked('http://latchkey/forward-auth?scope=posts:read'), 200)
        t.equal(await asked('HTTPS://latchkey:8080/forward-auth?scope='), 200)
        t.equal(await asked('http://latchkey/forward-auth?scope=posts:write'), 403)
        t.equal(await asked('http://latchkey/forward-auth'), 403)
        t.equal(await asked('http://billing.example.com/forward-auth/v1/posts'), 403)
      },
    )

    t.test('our own path spelled in another way passes nothing', async (t) => {
      const forwarded = ['X-Forwarded-Method: GET', 'X-Forwarded-Uri: /v1/posts']
      const lines = ['Host: api.example.com', `Authorization: Bearer ${reader}`, ...forwarded]
      const asked = async (target: string) => (await bare(latchkey, `GET ${target} HTTP/1.1`, lines)).status
      for (const target of [
        '/%66orward-auth',
        '/forward%2Dauth?scope=posts:read',
        '/forward-auth#scope=posts:read',
      ])
        t.equal(await asked(target), 403, target)
      t.equal(await asked('/forward-auth'), 200)
    })

    t.test('what is published anew counts from its acknowledgement on', async (t) => {
      const widened = postsDocument()
      widened.paths['/v1/posts'] = {
        ...widened.paths['/v1/posts'],
        get: operation(['posts:write'], { operationId: 'list' }),
      }
      t.equal((await putDocument(latchkey, 'posts', widened)).status, 200)
      t.equal(await status({}), 403)
      t.equal((await putDocument(latchkey, 'posts', postsDocument())).status, 200)
      t.equal(await status({}), 200)
    })

    t.test('a gateway that shows a service’s credentials is believed wherever it is', async (t) => {
      const stranger = await startLatchkey(t, 'pglite', {}, { lanes })
      const { clientSecret } = await register(stranger, 'posts', 'https://api.example.com')
      await stranger.call('PUT', '/api/v1/services/posts/scopes', {
        groups: [{ id: 'all', title: 'All' }],
        scopes: scopes.map((name) => ({ name, title: name, group: 'all' })),
      })
      t.equal((await putDocument(stranger, 'posts', postsDocument())).status, 200)
      const { token: secret } = await provision(stranger, { scopes: ['posts:read'] })
      const from = (headers: Record<string, string>) =>
        rawStatus(stranger, 'GET', '/forward-auth', {
          authorization: `Bearer ${secret}`,
          'x-forwarded-method': 'GET',
          'x-forwarded-uri': '/v1/posts',
          'x-forwarded-host': 'api.example.com',
          ...headers,
        })
      const shows = (password: string) => ({
        'x-gateway-authorization': basic('posts', password).authorization,
      })
      t.equal(await from({}), 403, 'its headers do not count')
      t.equal(await from(shows('wrong-secret-of-it')), 403)
      t.equal(await from(shows(clientSecret)), 200)
      t.equal(await from(shows(clientSecret)), 200, 'remembered')
    })
    t.ok(posts.clientSecret)
  })
}

async function refusals(management: number): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${management}/metrics`)).text()
  const counted = text.matchAll(/^latchkey_forward_auth_refused_total\{reason="(\w+)"\} (\d+)$/gm)
  return new Map([...counted].map(([, reason, count]) => [reason!, Number(count)]))
}

const risen = (before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) =>
  Object.fromEntries(
    [...after]
      .map(([reason, count]) => [reason, count - before.get(reason)!] as const)
      .filter(([, more]) => more !== 0),
  )

async function register({ call }: Latchkey, id: string, baseUrl: string): Promise<{ clientSecret: string }> {
  return (await call('POST', '/api/v1/services', { id, name: id, baseUrl })).body
}

function postsDocument() {
  const access = (kind: string, more: object = {}) => ({ 'x-latchkey': { access: kind, ...more } })
  const paths: Record<string, object> = {
    '/v1/posts': {
      get: operation(['posts:read'], { operationId: 'list' }),
      post: operation(['posts:write'], { operationId: 'create' }),
    },
    '/v1/posts/{id}': { get: operation(['posts:read'], { operationId: 'read' }) },
    '/v1/both': { get: operation(['posts:read'], { operationId: 'both', ...access('both') }) },
    '/health': { get: { operationId: 'health', security: [], responses: { 200: { description: 'ok' } } } },
    '/hooks/stripe': {
      get: operation([], { operationId: 'hook', security: [], ...access('webhook-ingress') }),
    },
    '/settings': { get: operation([], { operationId: 'settings', ...access('browser-only') }) },
    '/internal/jobs': { get: operation([], { operationId: 'jobs', ...access('internal') }) },
    '/admin': {
      get: operation([], { operationId: 'admin', security: [{ pat: [] }], ...access('admin-only') }),
    },
  }
  return { ...documentOf({}), paths }
}

/** As bytes: with headers that no client would send. */
function bare({ url }: Latchkey, requestLine: string, headers: readonly string[], body = '') {
  return sendRaw(url, `${[requestLine, ...headers, 'Connection: close', '', ''].join('\r\n')}${body}`)
}

async function rawStatus(
  { url }: Latchkey,
  method: string,
  path: string,
  headers: Record<string, string | string[]>,
): Promise<number> {
  const { request } = await import('node:http')
  const { port } = new URL(url)
  return new Promise((resolve, reject) => {
    // A connection of its own: one that has carried anything odd stays with the router.
    const asking = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (answer) => {
      answer.resume().on('end', () => resolve(answer.statusCode!))
    })
    asking.on('error', reject).end()
  })
}
