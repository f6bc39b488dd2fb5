// The example product against a real Latchkey, both as their users have them: the walkthrough from making a token to the
// refusal of what it lacks, and one declaration at the route that everything else follows.
import { createHmac } from 'node:crypto'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { engines, type Latchkey, provision, startLatchkey } from '../helpers/latchkey.ts'
import { type ProductSettings, productFolder, registerProduct, startProduct } from '../helpers/product.ts'
import { documentOf, putDocument } from '../helpers/samples.ts'
import { until } from '../sdk/between.ts'

const session = 'a-session-of-the-browser'
const signingSecret = 'known-to-the-payment-provider'

// biome-ignore lint/suspicious/noExplicitAny: JSON of any shape; what matters of it is asserted
type Json = any
type Ask = { token?: string | null; body?: unknown; headers?: Record<string, string> }

async function ask(url: string, method: string, path: string, { token, body, headers }: Ask = {}) {
  const response = await fetch(url + path, {
    method,
    headers: {
      ...(token && { authorization: `Bearer ${token}` }),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, text, body: (isJson ? JSON.parse(text) : null) as Json }
}

/** Not yet started. */
async function registered(t: Test, engine: (typeof engines)[number]) {
  const latchkey = await startLatchkey(t, engine, { LATCHKEY_TRUSTED_PROXIES: '127.0.0.1, ::1' })
  // The product lives by the real clock.
  latchkey.clock.now = Date.now()
  const settings: ProductSettings = {
    ...(await registerProduct(latchkey)),
    PRODUCT_SESSION: session,
    PAYMENTS_SIGNING_SECRET: signingSecret,
  }
  // The thread that reads documents takes seconds to start from TypeScript: the product does not wait that long.
  await putDocument(latchkey, 'posts', documentOf({}), { query: '?dryRun=true' })
  return { latchkey, settings }
}

async function started(t: Test, { call }: Latchkey, settings: ProductSettings, folder = productFolder) {
  const product = await startProduct(settings, folder)
  t.teardown(() => product.stop())
  await until(async () => {
    const { body } = await call('GET', '/api/programmatic/catalog')
    return ['posts', 'billing'].every((id) => body.endpoints.some((one: Json) => one.service === id))
  })
  t.equal(/error|"level":[56]0/i.test(product.output()), false, product.output())
  return product
}

async function scopesFor({ call }: Latchkey, body: object): Promise<string[]> {
  return (await call('POST', '/api/v1/catalog/scopes-for', body)).body.scopes
}

const asGateway = ({ url }: Latchkey, base: string, method: string, path: string, token: string | null) =>
  ask(url, 'GET', '/forward-auth', {
    token,
    headers: {
      'x-forwarded-method': method,
      'x-forwarded-uri': path,
      'x-forwarded-host': new URL(base).host,
    },
  })

for (const engine of engines) {
  t.test(`the walkthrough, on ${engine}`, async (t) => {
    const { latchkey, settings } = await registered(t, engine)
    const product = await started(t, latchkey, settings)
    const { call } = latchkey
    const jobs = ['Read feed or post data']
    const { body: made } = await call('POST', '/api/v1/tokens', {
      name: 'walkthrough',
      subject: 'user_42',
      scopes: await scopesFor(latchkey, { jobs }),
    })
    const read = () => ask(product.posts, 'GET', '/v1/posts', { token: made.token })

    t.test('the catalog shows all that both services declare, and every kind of access', async (t) => {
      const { body } = await call('GET', '/api/programmatic/catalog')
      const groups = body.scopeGroups.map((one: Json) => [one.title, one.scopes.map((two: Json) => two.name)])
      const all = Object.fromEntries(groups)
      t.strictSame(all['Content'], ['posts:read', 'posts:write', 'places:read', 'artifacts:write'])
      t.strictSame(all['Workspace'], ['workspaces:run', 'workspaces:manage'])
      t.strictSame(all['Account'], [
        'notifications:read',
        'notifications:write',
        'memberships:manage',
        'sharing:manage',
        'webhooks:manage',
      ])
      t.strictSame(all['Billing'], [
        'billing:read',
        'billing:checkout',
        'billing:manage',
        'payouts:manage',
        'transfers:manage',
      ])
      const endpoints = body.endpoints.filter((one: Json) => one.service !== 'latchkey')
      const kinds = new Set(endpoints.map((one: Json) => one.access))
      t.strictSame([...kinds].sort(), [
        'admin-only',
        'both',
        'browser-only',
        'internal',
        'public',
        'token',
        'webhook-ingress',
      ])
      const needed = new Set(endpoints.flatMap((one: Json) => one.auth.scopes))
      const declared = ['Content', 'Workspace', 'Account', 'Billing'].flatMap((title) => all[title])
      t.strictSame([...needed].sort(), declared.sort(), 'no scope without a route')
      const ids = new Set(endpoints.map((one: Json) => one.id))
      const leading = body.jobs.filter((one: Json) => one.service !== 'latchkey')
      t.ok(leading.every((one: Json) => one.endpoints.every((id: string) => ids.has(id))))
      t.equal(body.workflows.filter((one: Json) => one.service !== 'latchkey').length, 2)
      t.ok(body.errors.some((one: Json) => one.code === 'insufficient-funds'))
    })

    t.test('the token that its job needs reads the catalog, and is told what it may call', async (t) => {
      t.strictSame(made.scopes, ['posts:read'])
      const { status, body } = await ask(latchkey.url, 'GET', '/api/programmatic/catalog?for=self', {
        token: made.token,
      })
      t.equal(status, 200)
      t.equal(body.you.tokenId, made.id)
      const entry = (id: string) => body.endpoints.find((one: Json) => one.id === id)
      t.match(entry('listPosts'), { allowed: true, method: 'GET', path: '/v1/posts' })
      t.match(entry('createPost'), { allowed: false, missingScopes: ['posts:write'] })
      t.match(entry('changePassword'), { allowed: false, reason: /browser/ })
      t.equal(entry('reindexPosts'), undefined, 'what is internal is not its business')
      const { baseUrl } = body.services.find((one: Json) => one.id === 'posts')
      t.match(await ask(baseUrl, 'GET', '/v1/posts', { token: made.token }), { status: 200, body: [] })
    })

    t.test('without the scope it is refused before the protected work is done', async (t) => {
      for (const body of [{ title: 'Hello', body: 'Never written' }, {}, '{"title":', undefined]) {
        const answer = await ask(product.posts, 'POST', '/v1/posts', { token: made.token, body })
        t.match(answer, {
          status: 403,
          body: { code: 'insufficient-scope', requiredScopes: ['posts:write'] },
        })
      }
      t.equal((await read()).text, '[]', 'nothing was written')
      const money = { to: 'acct_7', amount: 500 }
      const transfer = await ask(product.billing, 'POST', '/v1/transfers', { token: made.token, body: money })
      t.match(transfer, { status: 403, body: { requiredScopes: ['transfers:manage'] } })
      const books = await provision(latchkey, { scopes: ['billing:read'] })
      t.match(await ask(product.billing, 'GET', '/v1/balance', { token: books.token }), {
        body: { balance: 10_000, transfers: [] },
      })
    })

    t.test('each other way in is what the catalog says it is', async (t) => {
      const cookie = { cookie: `session=${session}` }
      const password = { body: { password: 'correct horse battery' } }
      const change = (more: Ask) =>
        ask(product.posts, 'PUT', '/v1/account/password', { ...password, ...more })
      t.equal((await change({ headers: cookie })).status, 204)
      t.equal((await change({ headers: { cookie: 'session=another' } })).status, 403)
      t.match(await change({ token: made.token }), {
        status: 403,
        body: { code: 'browser-session-required' },
      })
      t.equal((await ask(product.posts, 'GET', '/v1/posts', { headers: cookie })).status, 200)
      t.equal((await ask(product.posts, 'GET', '/v1/places', { headers: cookie })).status, 401)
      t.match(await ask(product.billing, 'GET', '/v1/plans'), { status: 200, body: ['free', 'paid'] })

      const seller = await provision(latchkey, { scopes: ['billing:checkout'] })
      const link = { what: 'post_1', amount: 1900, currency: 'EUR' }
      const sold = await ask(product.billing, 'POST', '/v1/checkout-links', {
        token: seller.token,
        body: link,
      })
      const event = JSON.stringify({ paid: sold.body.id })
      const signature = createHmac('sha256', signingSecret).update(event).digest('hex')
      const tell = (signed: string, body = event) =>
        ask(product.billing, 'POST', '/webhooks/payments', { body, headers: { 'x-signature': signed } })
      const isPaid = async () =>
        (await ask(product.billing, 'GET', `/v1/checkout-links/${sold.body.id}`, { token: seller.token }))
          .body.paid
      t.equal((await tell('00')).status, 401)
      t.equal((await tell(signature, `${event} `)).status, 401)
      t.equal(await isPaid(), false)
      t.equal((await tell(signature)).status, 204)
      t.equal(await isPaid(), true)
    })

    t.test('a revoked token is refused by both services', async (t) => {
      t.equal((await read()).status, 200)
      t.equal((await call('DELETE', `/api/v1/tokens/${made.id}`)).status, 200)
      await until(async () => (await read()).status === 401, 2_000, 1)
      const invoices = await ask(product.billing, 'GET', '/v1/invoices', { token: made.token })
      t.match(invoices, { status: 401, body: { code: 'invalid-token' } })
    })
  })
}

t.test('one declaration', async (t) => {
  const { latchkey, settings } = await registered(t, 'pglite')
  const { call } = latchkey
  // Within the repository, so that it finds the library.
  const folder = `${t.testdir()}/`
  await cp(productFolder, folder, { recursive: true })
  const product = await started(t, latchkey, settings, folder)
  const token = async (more: Record<string, unknown>) => (await provision(latchkey, more)).token as string

  t.test('a gateway and the guard decide alike for every route, whoever asks', async (t) => {
    const { body } = await call('GET', '/api/programmatic/catalog')
    const endpoints = body.endpoints.filter((one: Json) => one.service !== 'latchkey')
    const all = [...new Set(endpoints.flatMap((one: Json) => one.auth.scopes))] as string[]
    const expiresIn = '1h'
    const who = {
      nobody: null,
      mistyped: 'lk_pat_nonsense',
      bare: await token({ scopes: [] }),
      reader: await token({ scopes: ['posts:read', 'billing:read'] }),
      all: await token({ scopes: all, expiresIn }),
      service: await token({ scopes: all, type: 'service', expiresIn }),
      admin: await token({ scopes: [...all, 'tokens:admin'], expiresIn }),
      'posts only': await token({ scopes: all, audience: ['posts'], expiresIn }),
    }
    for (const { service, method, path, access } of endpoints) {
      const base = service === 'posts' ? product.posts : product.billing
      const target = path.replace(/\{\w+\}/g, 'x')
      for (const [name, secret] of Object.entries(who)) {
        const gateway = (await asGateway(latchkey, base, method, target, secret)).status
        const { status } = await ask(base, method, target, { token: secret })
        // Past the guard, the payment provider's signature is missing.
        const isLetIn = ![401, 403].includes(status) || access === 'webhook-ingress'
        t.equal(isLetIn ? 200 : status, gateway, `${method} ${path}, ${access}: ${name}`)
      }
    }
    t.ok(endpoints.length > 25)
  })

  t.test('a scope that is changed at its route, and nowhere else, is changed everywhere', async (t) => {
    const writer = await token({ scopes: ['posts:write'] })
    const uploader = await token({ scopes: ['artifacts:write'] })

    /** What each of them says of `POST /v1/posts`, and does to the two. */
    async function views() {
      const route = { method: 'POST', path: '/v1/posts' }
      const catalog = (await call('GET', '/api/programmatic/catalog?service=posts')).body
      const merged = (await call('GET', '/api/programmatic/openapi.json')).body
      const body = { title: 'Hello', body: 'The first post.' }
      const both = (how: (token: string) => Promise<{ status: number }>) =>
        Promise.all([writer, uploader].map(async (one) => (await how(one)).status))
      const own = async (token: string) =>
        (await ask(latchkey.url, 'GET', '/api/programmatic/catalog?for=self', { token })).body
      const created = (from: Json) => from.endpoints.find((one: Json) => one.id === 'createPost')
      const security = merged.paths['/v1/posts'].post.security as Record<string, string[]>[]
      return {
        catalog: created(catalog).auth.scopes,
        openapi: security.flatMap((one) => Object.values(one).flat()),
        scopesFor: await scopesFor(latchkey, { endpoints: [route] }),
        told: [created(await own(writer)).allowed, created(await own(uploader)).allowed],
        gateway: await both((one) => asGateway(latchkey, product.posts, route.method, route.path, one)),
        guard: await both((one) => ask(product.posts, route.method, route.path, { token: one, body })),
      }
    }

    t.strictSame(await views(), {
      catalog: ['posts:write'],
      openapi: ['posts:write'],
      scopesFor: ['posts:write'],
      told: [true, false],
      gateway: [200, 403],
      guard: [201, 403],
    })

    const file = join(folder, 'posts.ts')
    const source = await readFile(file, 'utf8')
    const before = "scopes: ['posts:write']"
    const at = source.indexOf(before, source.indexOf("app.post<{ Body: NewPost }>('/v1/posts'"))
    t.ok(at > 0)
    const changed = `${source.slice(0, at)}scopes: ['artifacts:write']${source.slice(at + before.length)}`
    await writeFile(file, changed)
    t.equal(lines(changed).filter((line, index) => line !== lines(source)[index]).length, 1, 'one line')
    await product.stop()
    await started(t, latchkey, settings, folder)

    t.strictSame(await views(), {
      catalog: ['artifacts:write'],
      openapi: ['artifacts:write'],
      scopesFor: ['artifacts:write'],
      told: [false, true],
      gateway: [403, 200],
      guard: [403, 201],
    })
    const [last] = (await call('GET', '/api/v1/audit-events?action=service.openapi_published')).body
    t.match(last, { serviceId: 'posts', detail: { added: 0, removed: 0, changed: 1 } }, 'and nothing else')
  })
})

const lines = (text: string) => text.split('\n')
