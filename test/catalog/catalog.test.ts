// The catalog over all services: what they published is what is shown, to whom, with which filters. On the sample
// product of model 2, whose whole table of scopes and jobs is published here.
import t, { type Test } from 'tap'
import type { Answer } from '../helpers/latchkey.ts'
import { engines, provision, startLatchkey } from '../helpers/latchkey.ts'
import { documentOf, operation, publishSamples, putDocument } from '../helpers/samples.ts'

// biome-ignore lint/suspicious/noExplicitAny: JSON, as it is answered
type Endpoint = any

/** Model 2's table, as its manual has it. */
const table = {
  Content: 'posts:read posts:write places:read artifacts:write',
  Workspace: 'workspaces:run workspaces:manage',
  Billing: 'billing:read billing:checkout billing:manage payouts:manage transfers:manage',
  Account: 'notifications:read notifications:write memberships:manage sharing:manage webhooks:manage',
}

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const { call } = latchkey
    await publishSamples(latchkey)
    const read = (
      query = '',
      token: string | null = null,
      headers: Record<string, string> = {},
    ): Promise<Answer> => call('GET', `/api/programmatic/catalog${query}`, undefined, { token, headers })
    const ids = (answer: Answer, service?: string) =>
      answer.body.endpoints
        .filter((one: Endpoint) => one.service !== 'latchkey' && (!service || one.service === service))
        .map((one: Endpoint) => one.id)
        .sort()
    const token = async (body: object) => (await provision(latchkey, { scopes: [], ...body })).token
    const refused = (t: Test, answer: Answer, status: number, detail: RegExp) =>
      t.match({ status: answer.status, detail: answer.body.detail }, { status, detail }, detail.source)

    t.test('the whole scope table of model 2 is in it, by group, with a job for each scope', async (t) => {
      const { body } = await read()
      for (const [title, names] of Object.entries(table)) {
        const group = body.scopeGroups.find((one: Endpoint) => one.title === title)
        t.strictSame(group.scopes.map((one: Endpoint) => one.name).sort(), names.split(' ').sort(), title)
        for (const name of names.split(' ')) {
          const jobs = body.jobs.filter((one: Endpoint) => one.scopes.includes(name))
          t.ok(jobs.length > 0, `${name} is for some job`)
          const uses = body.endpoints.filter((one: Endpoint) => one.auth.scopes.includes(name))
          t.ok(uses.length > 0, `${name} is needed by some endpoint`)
        }
      }
      const payouts = body.scopeGroups
        .flatMap((one: Endpoint) => one.scopes)
        .find((one: Endpoint) => one.name === 'payouts:manage')
      t.match(payouts, { service: 'billing', risk: 'high', maxLifetimeDays: 30 })
      t.match(
        body.presets.find((one: Endpoint) => one.id === 'ci-publish'),
        { scopes: ['posts:write'], expiresInDays: 30, service: 'posts' },
      )
    })

    t.test('every kind of access is told from security and x-latchkey', async (t) => {
      const { body } = await read('', latchkey.admin)
      const access = Object.fromEntries(body.endpoints.map((one: Endpoint) => [one.id, one.access]))
      t.match(access, {
        listPosts: 'both',
        createCheckoutLink: 'token',
        changePassword: 'browser-only',
        readPost: 'public',
        stripeWebhook: 'webhook-ingress',
        reindexPosts: 'internal',
        takeDownPost: 'admin-only',
      })
      t.match(body.endpoints.find((one: Endpoint) => one.id === 'changePassword').auth, {
        pat: false,
        session: true,
        scopes: [],
      })
    })

    t.test('an endpoint says what to send, what comes back and what can go wrong', async (t) => {
      const { body } = await read()
      const find = (id: string) => body.endpoints.find((one: Endpoint) => one.id === id)
      t.strictSame(
        find('createPost'),
        {
          id: 'createPost',
          service: 'posts',
          method: 'POST',
          path: '/v1/posts',
          summary: 'Create a draft post',
          access: 'both',
          auth: { pat: true, session: true, clientCredentials: false, scopes: ['posts:write'] },
          effects: { readOnly: false, destructive: false, idempotency: 'Idempotency-Key' },
          request: {
            header: { 'Idempotency-Key': 'string, up to 100' },
            contentType: 'application/json',
            hint: { title: 'required, string, up to 120', body: 'string, up to 65536, markdown' },
            example: { title: 'Hello', body: 'First post' },
          },
          response: {
            status: 201,
            contentType: 'application/json',
            example: { id: 'post_01J9', title: 'Hello', state: 'draft' },
          },
          errors: ['invalid-token', 'insufficient-scope', 'ip-not-allowed', 'validation-failed'],
          jobs: ['Create or update posts'],
          stability: 'stable',
        },
        'a schema that contains itself ends',
      )
      t.match(find('listPosts').request.query, { limit: 'integer 1-100, default 30', cursor: /opaque/ })
      t.match(find('createCheckoutLink'), {
        request: { hint: { amount: 'required, integer, minor units' }, example: { amount: 1900 } },
        note: /browser/,
        auth: { scopes: ['billing:checkout'] },
      })
      const known = new Set(body.errors.map((one: Endpoint) => one.code))
      for (const one of body.endpoints)
        for (const code of one.errors) t.ok(known.has(code), `${one.id}: ${code}`)
      t.match(
        body.errors.find((one: Endpoint) => one.code === 'rate-limited'),
        { status: 429, whatToDo: /Retry-After/, service: 'posts' },
      )
    })

    t.test('what is hidden is shown to nobody, what is internal or for admins to admins only', async (t) => {
      const restricted = ['reindexPosts', 'takeDownPost']
      const admins = [latchkey.admin, await token({ subject: 'ops', scopes: ['services:admin'] })]
      const others = [
        null,
        'lk_pat_nonsense',
        await token({ scopes: ['posts:write'] }),
        await token({ scopes: ['audit:read', 'catalog:publish', 'tokens:write'] }),
        await token({ scopes: ['services:admin'], audience: ['posts'] }),
        await token({ scopes: ['services:admin'], ipRestriction: '192.0.2.1' }),
      ]
      for (const one of admins) {
        const answer = await read('', one)
        t.strictSame(
          ids(answer).filter((id: string) => restricted.includes(id)),
          restricted,
        )
        t.notOk(ids(answer).includes('legacyFeed'))
        t.equal(answer.headers.get('cache-control'), 'private, no-store')
        t.equal(answer.headers.get('vary'), 'Authorization')
      }
      for (const one of others) {
        const answer = await read('', one)
        t.equal(answer.status, 200)
        for (const view of [answer, await read('?view=summary', one), await read('?q=reindex', one)])
          t.notMatch(view.text, /reindexPosts|takeDownPost|legacyFeed|takedown/)
        t.equal(answer.headers.get('cache-control'), 'public, max-age=60')
        t.equal(answer.headers.get('vary'), 'Authorization')
      }
      const elsewhere = await token({ scopes: ['services:admin'], audience: ['posts'] })
      t.notMatch((await read('?for=self', elsewhere)).text, /reindexPosts/, 'not an admin here')
      t.match((await read('?for=self', latchkey.admin)).text, /reindexPosts/)
      for (const access of ['internal', 'admin-only']) {
        t.equal((await read(`?access=${access}`)).body.endpoints.length, 0)
        t.equal((await read(`?access=${access}`, latchkey.admin)).body.endpoints.length, 1)
      }
    })

    t.test('the filters leave what was asked for, alone and together', async (t) => {
      const all = (await read()).body.endpoints
      const expected: [query: string, keep: (one: Endpoint) => boolean][] = [
        ['service=billing', (one) => one.service === 'billing'],
        ['service=latchkey', (one) => one.service === 'latchkey'],
        ['scope=posts:write', (one) => one.auth.scopes.includes('posts:write')],
        ['method=DELETE', (one) => one.method === 'DELETE'],
        ['access=public', (one) => one.access === 'public'],
        [
          'service=posts&method=PUT&access=both',
          (one) => one.service === 'posts' && one.method === 'PUT' && one.access === 'both',
        ],
        ['q=CHECKOUT%20link', (one) => one.id === 'createCheckoutLink'],
        ['q=no-such-word-anywhere', () => false],
        ['job=create%20or%20update%20posts', (one) => ['createPost', 'publishPost'].includes(one.id)],
        ['job=Transfer%20money', (one) => one.id === 'createTransfer'],
        ['job=Share%20with%20others', (one) => one.id === 'share'],
        ['workflow=publish-post', (one) => ['createPost', 'publishPost'].includes(one.id)],
        ['workflow=publish-post&q=draft%20publish', (one) => one.id === 'publishPost'],
      ]
      for (const [query, keep] of expected) {
        const { body } = await read(`?${query}`)
        t.strictSame(body.endpoints, all.filter(keep), query)
      }
      for (const [query, detail] of [
        ['?servce=posts', /no such field/],
        ['?service=post', /Did you mean "posts"/],
        ['?scope=posts:wirte', /Did you mean "posts:write"/],
        ['?job=Transfer%20mony', /Did you mean "Transfer money"/],
        ['?workflow=publish-pst', /Did you mean "publish-post"/],
        ['?method=FETCH', /one of GET/],
        ['?access=dual', /one of both/],
        ['?view=short', /one of full, summary/],
        ['?for=me', /one of self/],
        ['?q=', /./],
      ] as const)
        refused(t, await read(query), 400, detail)
    })

    t.test('a summary is a line of what one chooses by, and small', async (t) => {
      const [full, summary] = [await read(), await read('?view=summary')]
      t.equal(summary.body.endpoints.length, full.body.endpoints.length)
      t.strictSame(
        summary.body.endpoints.find((one: Endpoint) => one.id === 'createPost'),
        {
          id: 'createPost',
          service: 'posts',
          method: 'POST',
          path: '/v1/posts',
          access: 'both',
          scopes: ['posts:write'],
          summary: 'Create a draft post',
        },
      )
      t.ok(summary.text.length < full.text.length / 3, `${summary.text.length} of ${full.text.length}`)
      t.strictSame(Object.keys(summary.body), [
        'revision',
        'catalogVersion',
        'view',
        'links',
        'services',
        'jobs',
        'endpoints',
      ])
    })

    t.test('for=self says of each endpoint whether the token may call it, or what it lacks', async (t) => {
      const mine = await token({ scopes: ['posts:write', 'billing:read'], subject: 'user_7' })
      const answer = await read('?for=self', mine)
      t.equal(answer.headers.get('cache-control'), 'private, no-store')
      t.match(answer.body.you, {
        subject: 'user_7',
        scopes: ['billing:read', 'posts:read', 'posts:write'],
        expireAt: /Z$/,
      })
      const of = (id: string) => {
        const { allowed, missingScopes, reason } = answer.body.endpoints.find(
          (one: Endpoint) => one.id === id,
        )
        return { allowed, ...(missingScopes && { missingScopes }), ...(reason && { reason }) }
      }
      t.strictSame(of('listPosts'), { allowed: true }, 'implied')
      t.strictSame(of('createPost'), { allowed: true })
      t.strictSame(of('listPrices'), { allowed: true })
      t.strictSame(of('createCheckoutLink'), { allowed: false, missingScopes: ['billing:checkout'] })
      t.match(of('changePassword'), { allowed: false, reason: /browser/ })
      t.match(of('stripeWebhook'), { allowed: false, reason: /third party/ })
      t.strictSame(of('readSelf'), { allowed: true })
      t.strictSame(of('listServices'), { allowed: false, missingScopes: ['services:admin'] })
      const narrow = await read(
        '?for=self&service=posts&view=summary',
        await token({ scopes: ['posts:read', 'billing:read'], audience: ['billing'] }),
      )
      for (const one of narrow.body.endpoints.filter((one: Endpoint) => one.access === 'both'))
        t.match(one, { allowed: false, reason: /limited to billing/ })
      const marked = await read('?for=self', latchkey.admin)
      t.match(
        marked.body.endpoints.find((one: Endpoint) => one.id === 'takeDownPost'),
        { allowed: false, missingScopes: ['posts:write'] },
      )
    })

    t.test('for=self is refused to whoever shows no good token', async (t) => {
      const revoked = await token({})
      await call('DELETE', '/api/v1/tokens/self', undefined, { token: revoked })
      for (const one of [null, 'nonsense', revoked]) {
        const answer = await read('?for=self', one)
        refused(t, answer, 401, /token/)
        t.match(answer.headers.get('www-authenticate'), /^Bearer /)
        t.equal(answer.headers.get('cache-control'), 'no-store')
      }
    })

    t.test('every answer has an ETag of its own content, and is not sent again', async (t) => {
      const seen = new Map<string, string>()
      for (const [query, who] of [
        ['', null],
        ['', latchkey.admin],
        ['?view=summary', null],
        ['?service=posts', null],
        ['?for=self', latchkey.admin],
      ] as const) {
        const first = await read(query, who)
        const etag = first.headers.get('etag')!
        t.match(etag, /^"[\w-]{32}"$/)
        t.equal(first.body.revision, etag.slice(1, -1))
        t.notOk(seen.has(etag), `${query} is not ${seen.get(etag)}`)
        seen.set(etag, query)
        const again = await read(query, who, { 'if-none-match': etag })
        t.strictSame([again.status, again.text, again.headers.get('etag')], [304, '', etag])
        t.equal((await read(query, who)).text, first.text)
      }
    })

    t.test('a workflow is shown as long as all its steps are', async (t) => {
      const find = (body: Endpoint, id: string) => body.workflows.find((one: Endpoint) => one.id === id)
      const { body } = await read()
      t.match(find(body, 'publish-post'), {
        service: 'posts',
        steps: [{ endpoint: 'createPost', service: 'posts' }, { endpoint: 'publishPost' }],
      })
      t.match(find(body, 'sell-with-checkout-link').steps, [{ service: 'posts' }, { service: 'billing' }])
      t.match(
        body.jobs.find((one: Endpoint) => one.job === 'Create checkout links'),
        {
          workflow: 'sell-with-checkout-link',
          scopes: ['billing:checkout'],
          endpoints: ['createPost', 'createCheckoutLink'],
        },
      )
    })

    t.test('scopes-for gives the smallest set for endpoints and jobs', async (t) => {
      const ask = (body: object, who: string | null = null) =>
        call('POST', '/api/v1/catalog/scopes-for', body, { token: who })
      const scopes = async (body: object, who?: string) => (await ask(body, who)).body.scopes
      t.strictSame(
        await scopes({
          endpoints: [
            { method: 'GET', path: '/v1/posts' },
            { method: 'post', path: '/v1/posts/{anything}/publish' },
            { method: 'POST', path: '/v1/posts/post_01J9/publish', service: 'posts' },
            { method: 'GET', path: '/v1/posts/{postId}' },
            { method: 'PUT', path: '/v1/artifacts/site.zip' },
          ],
        }),
        ['artifacts:write', 'posts:write'],
        'posts:read is implied by posts:write',
      )
      t.strictSame(await scopes({ jobs: ['Read invoices', 'change plan and payment method'] }), [
        'billing:manage',
      ])
      t.strictSame(
        await scopes({ jobs: ['Read places'], endpoints: [{ method: 'GET', path: '/v1/prices' }] }),
        ['places:read'],
      )
      t.strictSame(await scopes({ endpoints: [] }), [])
      const unknown = await ask({
        endpoints: [
          { method: 'GET', path: '/v1/post' },
          { method: 'GET', path: '/v1/posts' },
          { method: 'GET', path: '/v1/posts', service: 'bilings' },
        ],
        jobs: ['Read invoice'],
      })
      t.equal(unknown.status, 400)
      t.match(unknown.body.errors, [
        { pointer: '/endpoints/0', detail: /Did you mean "GET \/v1\/posts"/ },
        { pointer: '/endpoints/2', detail: /Did you mean "billing"/ },
        { pointer: '/jobs/0', detail: /Did you mean "Read invoices"/ },
      ])
      const internal = { endpoints: [{ method: 'POST', path: '/internal/reindex' }] }
      t.equal((await ask(internal)).status, 400)
      t.strictSame(await scopes(internal, latchkey.admin), ['posts:write'])
      t.equal((await ask({})).status, 400)
      t.equal((await ask({ endpoint: [] })).body.code, 'unknown-field')
    })

    t.test(
      'one OpenAPI 3.1 document of all services: valid, with unique ids and no loose reference',
      async (t) => {
        const get = (path: string, who: string | null = null) =>
          call('GET', `/api/programmatic/${path}`, undefined, { token: who })
        await call('POST', '/api/v1/services', {
          id: 'twin',
          name: 'Twin',
          baseUrl: 'https://twin.example/base',
        })
        const twin = JSON.parse(
          JSON.stringify(
            documentOf(
              {
                '/v1/posts': {
                  get: operation(['posts:read'], {
                    operationId: 'listPosts',
                    responses: {
                      200: {
                        description: 'x',
                        content: { 'application/json': { schema: { $ref: '#/components/schemas/Post' } } },
                      },
                    },
                  }),
                },
                '/v1/posts/{other}': { get: operation([], { operationId: 'twin_listPosts' }) },
              },
              {
                components: {
                  securitySchemes: { pat: { type: 'oauth2', flows: {} } },
                  schemas: {
                    Post: {
                      type: 'object',
                      properties: {
                        next: { $ref: '#/components/schemas/Post' },
                        kind: { $ref: '#/components/schemas/Kind/properties/a~1b' },
                      },
                      discriminator: {
                        propertyName: 'kind',
                        mapping: { a: 'Kind', b: '#/components/schemas/Kind' },
                      },
                    },
                    Kind: { properties: { 'a/b': { type: 'string' } } },
                    Unused: { description: 'of nothing that is shown' },
                  },
                },
              },
            ),
          ),
        )
        const put = await putDocument(latchkey, 'twin', twin)
        t.equal(put.status, 200, put.text)
        const merged = await get('openapi.json')
        const body = merged.body
        t.equal(body.openapi, '3.1.0')
        const operations = Object.entries(body.paths).flatMap(([path, item]) =>
          Object.entries(item as Endpoint)
            .filter(([name]) => /^(get|put|post|patch|delete)$/.test(name))
            .map(([method, one]) => ({ path, method, item: item as Endpoint, operation: one as Endpoint })),
        )
        const names = operations.map((one) => one.operation.operationId)
        t.equal(new Set(names).size, names.length)
        t.equal(operations.length, (await read()).body.endpoints.length)
        t.ok(names.includes('twin_listPosts') && names.includes('twin_twin_listPosts'))
        for (const { item } of operations) t.ok(item.servers[0].url)
        t.match(body.paths['/v1/posts'].servers, [{ url: 'https://api.example.com' }])
        t.match(body.paths['/v1/posts#twin'].servers, [{ url: 'https://twin.example/base' }])
        t.match(body.paths['/v1/posts/{other}#twin'].get, { operationId: 'twin_twin_listPosts' })
        t.strictSame(
          body.paths['/v1/invoices'].get.security,
          [{ bearer: ['billing:read'] }, { cookie: [] }],
          '3.0 could not say so',
        )
        t.strictSame(body.components.schemas.Invoice.properties.paidAt.type, ['string', 'null'])
        t.strictSame(
          body.paths['/v1/checkout-links'].post.requestBody.content['application/json'].schema.properties
            .amount.exclusiveMinimum,
          0,
        )
        t.strictSame(body.components.schemas.twin_Post.discriminator.mapping, {
          a: '#/components/schemas/Kind',
          b: '#/components/schemas/Kind',
        })
        t.notOk('Unused' in body.components.schemas)
        for (const found of merged.text.matchAll(/"\$ref":"#([^"]+)"/g)) {
          const target = found[1]!
            .slice(1)
            .split('/')
            .reduce(
              (at: Endpoint, part) =>
                at?.[decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~')],
              body,
            )
          t.ok(target, found[1]!)
        }
        t.notMatch(merged.text, /reindexPosts|takeDownPost|legacyFeed/)
        t.match((await get('openapi.json', latchkey.admin)).text, /reindexPosts/)
        const again = await call('GET', '/api/programmatic/openapi.json', undefined, {
          token: null,
          headers: { 'if-none-match': merged.headers.get('etag')! },
        })
        t.equal(again.status, 304)

        const one = await get('openapi/billing.json')
        t.match(one.body, { info: { title: 'Billing' }, openapi: '3.1.0' })
        t.equal(Object.keys(one.body.paths).length, 7)
        t.match(
          (await get('openapi/latchkey.json')).body.paths['/api/v1/tokens'].post.operationId,
          'provisionToken',
        )
        refused(t, await get('openapi/bilings.json'), 404, /Did you mean "billing"/)

        for (const document of [merged.body, one.body]) {
          // Fragments in paths are text to the schema; everything else must be as the standard wants it.
          const checked = await putDocument(latchkey, 'twin', document, { query: '?dryRun=true' })
          t.equal(checked.status, 200, checked.body.detail)
        }
        await call('DELETE', '/api/v1/services/twin')
        t.notMatch((await get('openapi.json')).text, /twin/)
      },
    )

    t.test('a service that is removed is in no catalog any more', async (t) => {
      const before = await read()
      t.ok(ids(before, 'billing').length > 0)
      await call('DELETE', '/api/v1/services/billing')
      const after = await read()
      t.strictSame(ids(after, 'billing'), [])
      t.notOk(after.body.workflows.some((one: Endpoint) => one.service === 'billing'))
      t.not(after.headers.get('etag'), before.headers.get('etag'))
    })
  })
}
