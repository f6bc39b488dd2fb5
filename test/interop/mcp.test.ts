// The official MCP SDK's client, unmodified, against POST /mcp: what an agent gets to see with and without a token.
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import t, { type Test } from 'tap'
import { createMcp } from '../../src/catalog/mcp/server.ts'
import { engines, type Latchkey, provision, startLatchkey } from '../helpers/latchkey.ts'
import { documentOf, operation, publishSamples, putDocument } from '../helpers/samples.ts'

// biome-ignore lint/suspicious/noExplicitAny: what tools answer, as it is asserted
type Answered = any

const ping = { jsonrpc: '2.0', id: 1, method: 'ping' }

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const { call } = latchkey
    await publishSamples(latchkey)
    const token = async (body: object) => (await provision(latchkey, { scopes: [], ...body })).token
    const anonymous = await connect(t, latchkey)
    const admin = await connect(t, latchkey, latchkey.admin)
    const ids = (answer: Answered) => answer.endpoints.map((one: Answered) => one.id)

    t.test('there are four tools, all of which only read and take nothing unknown', async (t) => {
      const { tools } = await anonymous.client.listTools()
      t.strictSame(
        tools.map((one) => one.name),
        ['search_endpoints', 'describe_endpoint', 'list_jobs', 'whoami'],
      )
      for (const { annotations, inputSchema, description } of tools) {
        t.match(annotations, { readOnlyHint: true })
        t.match(inputSchema, { type: 'object', additionalProperties: false })
        t.match(description, /./)
      }
      t.match(anonymous.client.getInstructions(), /list_jobs/)
      t.match(anonymous.client.getServerVersion(), { name: 'latchkey' })
    })

    t.test('from a job to what to send, without a token', async (t) => {
      const jobs = await anonymous.ask('list_jobs', { q: 'checkout' })
      t.match(jobs.jobs[0], {
        job: 'Create checkout links',
        scopes: ['billing:checkout'],
        workflow: { id: 'sell-with-checkout-link', steps: [{ endpoint: 'createPost' }, {}] },
      })
      const found = await anonymous.ask('search_endpoints', { job: 'Create checkout links' })
      t.strictSame(ids(found).sort(), ['createCheckoutLink', 'createPost'])
      const endpoint = await anonymous.ask('describe_endpoint', { id: 'createCheckoutLink' })
      t.match(endpoint, {
        service: 'billing',
        method: 'POST',
        path: '/v1/checkout-links',
        auth: { scopes: ['billing:checkout'] },
        request: { example: { amount: 1900 } },
        workflows: [{ id: 'sell-with-checkout-link' }],
      })
      t.ok(endpoint.baseUrls.length > 0)
      for (const error of endpoint.errors) t.match(error, { code: /./, status: Number, whatToDo: /./ })
      t.notOk('allowed' in endpoint)
    })

    t.test('the filters are those of the catalog', async (t) => {
      for (const [query, path] of [
        [{ q: 'draft post' }, 'q=draft%20post'],
        [{ scope: 'posts:write' }, 'scope=posts:write'],
        [{ method: 'PUT', service: 'posts' }, 'method=PUT&service=posts'],
        [{ job: 'transfer money' }, 'job=transfer%20money'],
      ] as const) {
        const { body } = await call('GET', `/api/programmatic/catalog?${path}`, undefined, { token: null })
        const answer = await anonymous.ask('search_endpoints', query)
        t.strictSame(ids(answer), ids(body), path)
        t.equal(answer.total, body.endpoints.length)
      }
      const all = await anonymous.ask('search_endpoints')
      t.match(all, { note: /first 50/ })
      t.ok(all.total > 50 && all.endpoints.length === 50)
      t.match(await anonymous.ask('search_endpoints', { q: 'no-such-word' }), { total: 0, note: /fewer/ })
      t.match(await anonymous.ask('list_jobs', { q: 'no-such-word' }), { total: 0, note: /fewer/ })
    })

    t.test('whoami says whose the token is, or that there is none', async (t) => {
      t.match(await anonymous.ask('whoami'), { authenticated: false, note: /No token was presented/ })
      const mine = await connect(t, latchkey, await token({ scopes: ['posts:write'], subject: 'user_7' }))
      t.match(await mine.ask('whoami'), {
        authenticated: true,
        subject: 'user_7',
        scopes: ['posts:read', 'posts:write'],
        expireAt: /Z$/,
        isAdmin: false,
      })
      t.match(await admin.ask('whoami'), { authenticated: true, isAdmin: true })
    })

    t.test('with a token, each endpoint says whether it may be called, or what is missing', async (t) => {
      const mine = await connect(t, latchkey, await token({ scopes: ['posts:write'] }))
      const { endpoints } = await mine.ask('search_endpoints', { q: '/v1/' })
      const of = (id: string) => endpoints.find((one: Answered) => one.id === id)
      t.match(of('createPost'), { allowed: true })
      t.match(of('createCheckoutLink'), { allowed: false, missingScopes: ['billing:checkout'] })
      t.match(await mine.ask('describe_endpoint', { id: 'createTransfer' }), {
        allowed: false,
        missingScopes: ['transfers:manage'],
      })
    })

    t.test('what is internal or for admins is found by admins only', async (t) => {
      const elsewhere = await token({ scopes: ['services:admin'], audience: ['posts'] })
      const others = [
        anonymous,
        await connect(t, latchkey, await token({ scopes: ['posts:write'] })),
        await connect(t, latchkey, elsewhere),
      ]
      for (const id of ['reindexPosts', 'takeDownPost']) {
        t.match(await admin.ask('describe_endpoint', { id }), { id })
        for (const { ask, refusal } of others) {
          t.match(await refusal('describe_endpoint', { id }), { code: 'not-found' })
          const found = await ask('search_endpoints', { service: 'posts' })
          t.notMatch(JSON.stringify(found), /reindexPosts|takeDownPost|legacyFeed/)
        }
        t.ok(ids(await admin.ask('search_endpoints', { service: 'posts' })).includes(id))
      }
      t.match(await admin.refusal('describe_endpoint', { id: 'legacyFeed' }), { code: 'not-found' }, 'hidden')
    })

    t.test('a token for other services is told so, and of no endpoint but theirs that it may', async (t) => {
      const narrow = await connect(
        t,
        latchkey,
        await token({ scopes: ['posts:read', 'billing:read'], audience: ['billing'] }),
      )
      t.match(await narrow.ask('whoami'), { audience: ['billing'], note: /limited to billing/ })
      const { endpoints } = await narrow.ask('search_endpoints', { scope: 'posts:read' })
      for (const one of endpoints) t.match(one, { allowed: false, reason: /limited to billing/ })
    })

    t.test('a refusal is a result that the model can read, with the nearest name', async (t) => {
      const { refusal } = anonymous
      for (const [tool, query, detail] of [
        ['search_endpoints', { service: 'post' }, /Did you mean "posts"/],
        ['search_endpoints', { scope: 'posts:wirte' }, /Did you mean "posts:write"/],
        ['search_endpoints', { job: 'Transfer mony' }, /Did you mean "Transfer money"/],
        ['describe_endpoint', { id: 'createPosts' }, /Did you mean "createPost"/],
        ['describe_endpoint', { id: 'createPost', service: 'bilings' }, /Did you mean "billing"/],
      ] as const)
        t.match(await refusal(tool, query), { detail, requestId: /^req_/ }, detail.source)
      const secret = (await refusal('search_endpoints', { service: latchkey.admin })).detail
      t.notMatch(secret, latchkey.admin.slice(-20))
      for (const [tool, query] of [
        ['search_endpoints', { servce: 'posts' }],
        ['search_endpoints', { q: 'x'.repeat(1_000) }],
        ['describe_endpoint', {}],
        ['whoami', { token: 'x' }],
        ['create_token', {}],
      ] as const) {
        const answer = await anonymous.client.callTool({ name: tool, arguments: query })
        t.equal(answer.isError, true, tool)
      }
    })

    t.test('an id that several services have is described when the service is said', async (t) => {
      await call('POST', '/api/v1/services', { id: 'twin', name: 'Twin', baseUrl: 'https://twin.example' })
      const document = documentOf({ '/p': { get: operation([], { operationId: 'createPost' }) } })
      t.equal((await putDocument(latchkey, 'twin', document)).status, 200)
      t.match(await anonymous.refusal('describe_endpoint', { id: 'createPost' }), { detail: /posts, twin/ })
      t.match(await anonymous.ask('describe_endpoint', { id: 'createPost', service: 'twin' }), {
        path: '/p',
        baseUrls: ['https://twin.example'],
      })
      await call('DELETE', '/api/v1/services/twin')
      t.match(await anonymous.refusal('search_endpoints', { service: 'twin' }), { detail: /no service/ })
    })

    t.test('a bad token is refused with a challenge, not overlooked', async (t) => {
      const revoked = await token({})
      await call('DELETE', '/api/v1/tokens/self', undefined, { token: revoked })
      for (const authorization of [
        'Bearer lk_pat_nonsense',
        `Bearer ${revoked}`,
        'Bearer',
        `Token ${latchkey.admin}`,
        'Basic cG9zdHM6YnJvdWdodC1ieS1oYW5k',
      ]) {
        const answer = await post(latchkey, ping, { authorization })
        t.equal(answer.status, 401, authorization)
        t.match(answer.headers.get('www-authenticate'), /^Bearer .*resource_metadata=/)
        await t.rejects(connect(t, latchkey, null, { authorization }), /401|Unauthorized/i)
      }
      const bound = await token({ ipRestriction: '192.0.2.0/24' })
      t.equal((await post(latchkey, ping, { authorization: `Bearer ${bound}` })).status, 403)
    })

    // DNS rebinding: a page that a browser was led to must not get at what only this network reaches.
    t.test('a page from elsewhere is refused, whatever it sends', async (t) => {
      const { issuer } = latchkey.running
      for (const origin of ['https://evil.example', 'null', `${issuer}.evil.example`, `${issuer}0`, '']) {
        const answer = await post(latchkey, ping, { origin, authorization: `Bearer ${latchkey.admin}` })
        t.equal(answer.status, 403, origin)
      }
      t.equal((await post(latchkey, ping, { origin: new URL(issuer).origin })).status, 200)
    })

    t.test('only POST is taken, one message at a time, and answered with JSON', async (t) => {
      for (const method of ['GET', 'DELETE', 'PUT']) {
        const answer = await fetch(`${latchkey.url}/mcp`, {
          method,
          headers: { accept: 'text/event-stream' },
        })
        t.equal(answer.status, 405, method)
        t.equal(answer.headers.get('allow'), 'POST')
      }
      const answer = await post(latchkey, ping)
      t.match(answer.headers.get('content-type'), /^application\/json/)
      t.equal(answer.headers.get('mcp-session-id'), null)
      t.equal(answer.headers.get('cache-control'), 'no-store')
      t.strictSame(await answer.json(), { jsonrpc: '2.0', id: 1, result: {} })
      t.equal((await post(latchkey, { jsonrpc: '2.0', method: 'notifications/initialized' })).status, 202)
      t.equal((await post(latchkey, [ping, ping])).status, 400)
      for (const [body, headers] of [
        [{ ...ping, params: [] }, {}],
        [{ jsonrpc: '2.0', id: 1, result: {} }, {}],
        [ping, { 'mcp-protocol-version': '1999-01-01' }],
      ] as const) {
        const refused = await post(latchkey, body, headers)
        t.equal(refused.status, 400)
        t.match(await refused.json(), { code: /./, detail: /./ })
      }
      const unknown = await post(latchkey, { ...ping, method: 'tools/destroy' })
      t.match(await unknown.json(), { error: { code: -32601 } })
    })
  })
}

t.test('trouble is told in general words, and in particular ones to the log', async (t) => {
  const catalog = {
    page: () => Promise.reject(new Error('is not asked')),
    shown: () => Promise.reject(new Error('relation "of_the_store" does not exist')),
  }
  const mcp = createMcp(catalog, { issuer: 'http://localhost', version: '1', tokenPrefix: 'lk' })
  const trouble: Error[] = []
  const answer = await mcp({
    viewer: { isAdmin: false, self: null },
    message: { ...ping, method: 'tools/call', params: { name: 'list_jobs', arguments: {} } },
    headers: new Headers({
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
    }),
    requestId: 'req_1',
    onTrouble: (error) => trouble.push(error),
  })
  const { result } = JSON.parse(await answer.text())
  t.match(JSON.parse(result.content[0].text), { code: 'internal', requestId: 'req_1' })
  t.notMatch(JSON.stringify(result), /of_the_store/)
  t.match(trouble, [{ message: /of_the_store/ }])
})

const post = ({ url }: Latchkey, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${url}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })

async function connect(
  t: Test,
  { url }: Latchkey,
  token: string | null = null,
  headers: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` },
) {
  const client = new Client({ name: 'test', version: '1' })
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit: { headers } })
  await client.connect(transport as Parameters<Client['connect']>[0])
  t.teardown(() => client.close())
  const answer = async (name: string, query: object) =>
    (await client.callTool({ name, arguments: { ...query } })) as Answered
  return {
    client,
    /** What it gives, which text and structure say alike. */
    async ask(name: string, query: object = {}): Promise<Answered> {
      const { isError, content, structuredContent } = await answer(name, query)
      if (isError) throw new Error(content[0].text)
      t.strictSame(JSON.parse(content[0].text), structuredContent)
      return structuredContent
    },
    /** The problem that it is refused with. */
    async refusal(name: string, query: object): Promise<Answered> {
      const { isError, content } = await answer(name, query)
      if (!isError) throw new Error(`${name} was not refused`)
      return JSON.parse(content[0].text)
    },
  }
}
