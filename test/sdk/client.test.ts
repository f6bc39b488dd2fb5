// The client of the REST API (@latchkey/sdk/client) against a real Latchkey: answers, errors, pages, and that the secret
// goes nowhere but there.
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { createClient, LatchkeyError } from '../../packages/sdk/src/client.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

type Tokens = { id: string }[]

async function failure(work: Promise<unknown>): Promise<LatchkeyError> {
  const error = await work.then(
    () => null,
    (error) => error,
  )
  if (error instanceof LatchkeyError) return error
  throw new Error('It did not fail as it should.', { cause: error })
}

async function serverThat(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test('with a Latchkey', async (whole) => {
  const latchkey = await startLatchkey(whole, 'pglite')
  const { url, admin } = latchkey
  await registerPosts(latchkey)
  for (const name of ['a', 'b', 'c', 'd', 'e']) await provision(latchkey, { name, scopes: ['tokens:read'] })
  const client = createClient({ url: `${url}/`, token: admin })

  whole.test('a call gives status, headers and parsed body', async (t) => {
    const answer = await client.call<{ name: string }>('GET', '/api/v1/tokens/self')
    t.match(answer, { status: 200, body: { name: 'admin' } })
    t.match(answer.headers.get('x-request-id'), /^req_/)
  })

  whole.test(
    'pages follow the Link header to the last, though it names Latchkey’s public address',
    async (t) => {
      const seen: string[] = []
      const sizes: number[] = []
      for await (const { body } of client.pages<Tokens>('/api/v1/tokens?subject=user_42', {
        query: { limit: 2 },
      })) {
        sizes.push(body.length)
        seen.push(...body.map(({ id }) => id))
      }
      t.same(sizes, [2, 2, 1])
      t.equal(new Set(seen).size, 5)
    },
  )

  whole.test('every refusal is a LatchkeyError that says what the problem document says', async (t) => {
    const { token } = await provision(latchkey, { scopes: [] })
    const forbidden = await failure(createClient({ url, token }).call('GET', '/api/v1/tokens'))
    t.match(forbidden, { status: 403, code: 'insufficient-scope', requiredScopes: ['tokens:read'] })
    t.match(forbidden.requestId, /^req_/)
    t.match(forbidden.page, /\/problems\/insufficient-scope$/)
    const body = { name: '', scopes: [1] }
    const wrong = await failure(client.call('POST', '/api/v1/tokens', { body }))
    t.match(wrong, { status: 400, code: 'validation-failed' })
    t.ok(wrong.errors.length >= 2)
    t.equal((await failure(createClient({ url }).call('GET', '/api/v1/tokens'))).status, 401)
    const form = new URLSearchParams({ grant_type: 'x' })
    const oauth = await failure(client.call('POST', '/oauth2/token', { body: form }))
    t.match(oauth, { status: 400, code: 'unsupported_grant_type' })
  })
})

t.test('no answer is a LatchkeyError as well, which does not hold the secret', async (t) => {
  const token = 'lk_pat_secretsecretsecretsecretsecretsecret'
  const hanging = await serverThat(t, () => {})
  const refused = await failure(createClient({ url: 'http://127.0.0.1:9', token }).call('GET', '/x'))
  t.match(refused, { status: 0, code: 'unreachable', message: /127\.0\.0\.1:9 cannot be reached/ })
  const late = await failure(createClient({ url: hanging, token, timeoutMs: 50 }).call('GET', '/x'))
  t.match(late, { status: 0, code: 'timeout' })
  t.notMatch(JSON.stringify([refused, late]), /secretsecret/)
  t.throws(() => createClient({ url: hanging, token: `${token}\n` }), { message: /^(?!.*secretsecret)/ })
  t.throws(() => createClient({ url: 'ftp://x' }), { message: /createClient: url must be/ })
})

t.test('the secret follows no redirect and no link to another origin', async (t) => {
  const heard: (string | undefined)[] = []
  const other = await serverThat(t, (request, response) => {
    heard.push(request.headers.authorization)
    response.end('[]')
  })
  const paths: string[] = []
  const url = await serverThat(t, (request, response) => {
    paths.push(request.url!)
    const link = request.url === '/list' && { link: `<${other}/list?cursor=2>; rel="next"` }
    const location = request.url === '/moved' && { location: `${other}/x` }
    response.writeHead(location ? 307 : 200, { 'content-type': 'application/json', ...link, ...location })
    response.end('[]')
  })
  const client = createClient({ url, token: 'lk_pat_x' })
  const moved = await failure(client.call('GET', '/moved'))
  t.match(moved, { status: 307, code: 'redirected', message: new RegExp(other) })
  for await (const { body } of client.pages('/list')) t.same(body, [])
  t.same(paths, ['/moved', '/list', '/list?cursor=2'])
  t.same(heard, [])
})

t.test(
  'Retry-After is known in seconds, and an answer that is no problem document is an error all the same',
  async (t) => {
    const url = await serverThat(t, (_request, response) => {
      response.writeHead(429, { 'retry-after': '7' }).end('slow down')
    })
    const error = await failure(createClient({ url }).call('GET', '/x'))
    t.match(error, { status: 429, code: 'unreadable', retryAfterSeconds: 7, body: 'slow down' })
  },
)
