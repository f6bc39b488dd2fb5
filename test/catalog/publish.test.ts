// A service publishes its API: what it may publish, what it is told beforehand and afterwards, and that all of it or
// nothing is done.
import t, { type Test } from 'tap'
import {
  type Answer,
  engines,
  type Latchkey,
  provision,
  registerPosts,
  startLatchkey,
} from '../helpers/latchkey.ts'
import { everyRow } from '../helpers/rows.ts'
import { documentOf, operation, publisher, putDocument, samples } from '../helpers/samples.ts'

type Scopes = {
  groups?: object[]
  scopes?: object[]
  presets?: object[]
  jobs?: object[]
  workflows?: object[]
}
const group = { id: 'content', title: 'Content' }
const scope = (name: string, more: object = {}) => ({ name, title: name, group: 'content', ...more })

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const { call, clock } = latchkey
    const { db } = latchkey.running.store
    await registerPosts(latchkey)
    const put = (document: unknown, options: Parameters<typeof putDocument>[3] = {}, service = 'posts') =>
      putDocument(latchkey, service, document, options)
    const dryRun = (document: unknown, service = 'posts') => put(document, { query: '?dryRun=true' }, service)
    const register = (id: string, baseUrl: string | null = null) =>
      call('POST', '/api/v1/services', { id, name: id, baseUrl, clientSecret: 'brought-by-hand' })
    const declare = (id: string, { groups = [group], scopes = [], ...more }: Scopes) =>
      call('PUT', `/api/v1/services/${id}/scopes`, { groups, scopes, ...more })
    const shown = async (service = 'posts') =>
      (
        await call('GET', `/api/programmatic/catalog?service=${service}&view=summary`, undefined, {
          token: null,
        })
      ).body.endpoints
    const events = async () =>
      (await call('GET', '/api/v1/audit-events?action=service.openapi_published')).body
    const refused = (t: Test, answer: Answer, status: number, detail: RegExp, code?: string) =>
      t.match(
        { status: answer.status, ...answer.body },
        { status, detail, ...(code && { code }) },
        detail.source,
      )

    const first = documentOf({
      '/v1/posts': { get: operation(['posts:read'], { operationId: 'listPosts', summary: 'List' }) },
      '/v1/posts/{id}': { delete: operation(['posts:write']) },
    })

    t.test('what is published is given back, and is in the catalog when it is acknowledged', async (t) => {
      const answer = await put(first)
      t.match(answer.body, {
        changed: true,
        digest: /^sha256:[0-9a-f]{64}$/,
        publishedAt: new Date(clock.now).toISOString(),
        endpoints: 2,
        diff: {
          added: [
            { id: 'listPosts', method: 'GET', path: '/v1/posts', scopes: ['posts:read'], access: 'token' },
            { id: 'delete_v1_posts_id' },
          ],
          removed: [],
          changed: [],
        },
      })
      t.equal(answer.headers.get('etag'), `"${answer.body.digest}"`)
      t.match(await shown(), [
        { id: 'listPosts', scopes: ['posts:read'] },
        { id: 'delete_v1_posts_id', method: 'DELETE' },
      ])
      const back = await call('GET', '/api/v1/services/posts/openapi')
      t.strictSame(back.body, first)
      t.equal(back.headers.get('etag'), answer.headers.get('etag'))
      const known = { headers: { 'if-none-match': back.headers.get('etag')! } }
      t.equal((await call('GET', '/api/v1/services/posts/openapi', undefined, known)).status, 304)
      t.match((await events())[0], {
        serviceId: 'posts',
        actor: 'admin',
        detail: { digest: answer.body.digest, added: 2 },
      })
    })

    t.test(
      'the same document again changes nothing and writes nothing, whatever it is written in',
      async (t) => {
        clock.now += 60_000
        const before = await everyRow(db)
        const yaml = `openapi: 3.1.0
info: { title: T, version: "1" }
paths:
  /v1/posts:
    get:
      security: &read [{ pat: ["posts:read"] }]
      responses: &ok { 200: { description: ok } }
      operationId: listPosts
      summary: List
  /v1/posts/{id}:
    delete:
      security: [{ pat: ["posts:write"] }]
      responses: *ok
components:
  securitySchemes:
    pat: { type: http, scheme: bearer }
    session: { type: apiKey, in: cookie, name: s }
`
        for (const [document, type] of [
          [first, 'application/json'],
          [JSON.stringify(first, null, 2), 'application/vnd.oai.openapi+json; charset=utf-8'],
          [first, 'application/openapi+json'],
          [yaml, 'application/yaml'],
          [yaml, 'text/yaml'],
          [yaml, 'application/x-yaml'],
          [`\uFEFF${yaml}`, 'application/vnd.oai.openapi'],
        ] as const) {
          const answer = await put(document, { type })
          t.match(
            answer.body,
            {
              changed: false,
              diff: null,
              endpoints: 2,
              publishedAt: new Date(clock.now - 60_000).toISOString(),
            },
            type,
          )
        }
        t.equal(await everyRow(db), before)
      },
    )

    t.test('a dry run says what would change and what speaks against it, and changes nothing', async (t) => {
      await declare('posts', {
        scopes: [scope('posts:read'), scope('posts:write', { implies: ['posts:read'] })],
        workflows: [
          {
            id: 'clear',
            title: 'Clear',
            scopes: ['posts:write'],
            steps: [{ id: 'one', endpoint: 'listPosts' }],
          },
        ],
      })
      await provision(latchkey, { scopes: ['posts:write'] })
      const before = await everyRow(db)
      const next = documentOf({
        '/v1/posts/{postId}': { delete: operation(['posts:read'], { operationId: 'removePost' }) },
        '/v1/things': { get: operation(['things:read']), put: { responses: { 200: { description: 'ok' } } } },
        '/v1//bad': { get: operation() },
      })
      const { status, body } = await dryRun(next)
      t.equal(status, 200)
      t.match(body, { changed: true, dryRun: true, endpoints: 2 })
      t.strictSame(body.diff.added, [
        { method: 'GET', path: '/v1/things', id: 'get_v1_things', access: 'token', scopes: ['things:read'] },
      ])
      t.match(body.diff.removed, [{ id: 'listPosts' }])
      t.match(body.diff.changed, [
        {
          method: 'DELETE',
          path: '/v1/posts/{postId}',
          fields: ['auth', 'id', 'path'],
          was: { scopes: ['posts:write'], id: 'delete_v1_posts_id' },
          now: { scopes: ['posts:read'], id: 'removePost' },
        },
      ])
      t.strictSame(body.diff.undeclaredScopes, [{ scope: 'things:read', routes: ['GET /v1/things'] }])
      t.strictSame(body.diff.withoutSecurity, [{ method: 'PUT', path: '/v1/things' }])
      t.strictSame(body.diff.brokenWorkflows, [
        { service: 'posts', workflow: 'clear', step: 'one', endpoint: 'listPosts' },
      ])
      t.strictSame(body.diff.scopesStillHeld, [{ scope: 'posts:write', liveTokens: 1 }])
      t.match(body.problems, [
        { code: 'validation-failed', pointer: '/paths/~1v1~1~1bad' },
        { code: 'validation-failed', pointer: '/paths/~1v1~1things/put' },
        { code: 'unknown-scope', detail: /things:read/ },
      ])
      t.match((await dryRun(first)).body, {
        changed: false,
        problems: [],
        diff: { added: [], changed: [], removed: [] },
      })
      t.equal(await everyRow(db), before)
      refused(t, await put(next), 400, /empty segment.*and 1 more/, 'validation-failed')
      t.equal(await everyRow(db), before)
    })

    t.test('a dry run never refuses what it can list, and refuses what it cannot read', async (t) => {
      for (const document of [
        documentOf({ '/a;b': { get: {} } }),
        documentOf({ '/a': { get: operation(['no:such']) } }),
        documentOf({ '/a': { get: operation([], { operationId: 'a.b' }) } }),
      ])
        t.match(await dryRun(document), { status: 200, body: { problems: [{ detail: /./ }] } })
      for (const document of ['{', {}, '[]']) t.equal((await dryRun(document)).status, 400)
    })

    t.test('of two who change at once, the second is told by If-Match', async (t) => {
      const etag = (await call('GET', '/api/v1/services/posts/openapi')).headers.get('etag')!
      const second = documentOf({ ...first.paths, '/v1/second': { get: operation() } })
      const ifMatch = (value: string) => ({ headers: { 'if-match': value } })
      refused(
        t,
        await put(second, ifMatch('"sha256:other"')),
        412,
        /the present one is "sha256:/,
        'precondition-failed',
      )
      refused(t, await put(first, ifMatch('"sha256:other"')), 412, /present one/)
      refused(t, await put(second, { ...ifMatch('"x"'), query: '?dryRun=true' }), 412, /present one/)
      t.equal((await put(second, ifMatch(etag))).body.changed, true)
      refused(t, await put(first, ifMatch(etag)), 412, /present one/)
      t.equal((await put(first, ifMatch('"x", *'))).body.changed, true)
      await register('fresh')
      refused(t, await put(documentOf({}), ifMatch('*'), 'fresh'), 412, /nothing is published yet/)
      t.equal((await put(documentOf({}), {}, 'fresh')).status, 200)
      const race = await Promise.all(
        Array.from({ length: 4 }, (_, n) =>
          put(
            documentOf({ '/v1/posts': { get: operation(['posts:read'], { summary: `${n}` }) } }),
            ifMatch(etag),
          ),
        ),
      )
      t.strictSame(race.map((one) => one.status).sort(), [200, 412, 412, 412])
      await put(first)
    })

    t.test(
      'a token with catalog:publish publishes for the service that is its subject, and for no other',
      async (t) => {
        const token = await publisher(latchkey, 'posts')
        t.equal((await put(first, { token })).status, 200)
        t.equal((await call('GET', '/api/v1/services/posts/openapi', undefined, { token })).status, 200)
        for (const other of ['fresh', 'nobody'])
          for (const query of ['', '?dryRun=true'])
            refused(
              t,
              await put(first, { token, query }, other),
              403,
              /service posts only/,
              'policy-violation',
            )
        refused(
          t,
          await call('GET', '/api/v1/services/fresh/openapi', undefined, { token }),
          403,
          /service posts only/,
        )
        refused(t, await put(first, {}, 'latchkey'), 403, /Latchkey itself/)
        refused(t, await put(first, {}, 'nobody'), 404, /no such service/)
        refused(t, await dryRun(first, 'nobody'), 404, /no such service/)
        t.equal((await call('GET', '/api/v1/services/nobody/openapi')).status, 404)
        for (const scopes of [['posts:write'], ['tokens:admin']]) {
          const wrong = (await provision(latchkey, { subject: 'posts', scopes })).token
          refused(t, await put(first, { token: wrong }), 403, /catalog:publish/)
        }
        t.equal((await put(first, { token: null })).status, 401)
        t.equal((await put(first, { query: '?dryrun=true' })).body.code, 'unknown-field')
      },
    )

    t.test('OpenAPI 3.0 and 3.1 are understood, with scopes in security or in x-latchkey', async (t) => {
      await register('kinds')
      const schemes = {
        bearer: { type: 'http', scheme: 'Bearer' },
        oauth: { type: 'oauth2', flows: {} },
        oidc: { type: 'openIdConnect', openIdConnectUrl: 'https://issuer.example/' },
        header: { type: 'apiKey', in: 'header', name: 'AUTHORIZATION' },
        cookie: { type: 'apiKey', in: 'cookie', name: 's' },
        signature: { type: 'apiKey', in: 'header', name: 'X-Signature' },
        alias: { $ref: '#/components/securitySchemes/bearer' },
      }
      const cases: [says: object, access: string, scopes?: string[]][] = [
        [{ security: [{ bearer: ['posts:read'] }] }, 'token', ['posts:read']],
        [{ security: [{ alias: ['posts:read'] }] }, 'token', ['posts:read']],
        [{ security: [{ bearer: [] }], 'x-latchkey': { scopes: ['posts:read'] } }, 'token', ['posts:read']],
        [
          { security: [{ bearer: ['posts:write', 'posts:read'] }, { oauth: ['posts:read', 'posts:write'] }] },
          'token',
          ['posts:read', 'posts:write'],
        ],
        [{ security: [{ header: [], signature: [] }] }, 'token'],
        [{ security: [{ oidc: [] }, { cookie: [] }] }, 'both'],
        [{ security: [{ cookie: [] }] }, 'browser-only'],
        [{ security: [] }, 'public'],
        [{ security: [{ bearer: [] }, {}] }, 'public'],
        [{}, 'both', ['posts:read']],
        [{ security: [{ signature: [] }], 'x-latchkey': { access: 'webhook-ingress' } }, 'webhook-ingress'],
        [{ security: [], 'x-latchkey': { access: 'webhook-ingress' } }, 'webhook-ingress'],
        [{ security: [{ signature: [] }], 'x-latchkey': { access: 'internal' } }, 'internal'],
        [
          { security: [{ bearer: ['posts:write'] }], 'x-latchkey': { access: 'admin-only' } },
          'admin-only',
          ['posts:write'],
        ],
        [{ security: [{ cookie: [] }], 'x-latchkey': { access: 'browser-only' } }, 'browser-only'],
      ]
      for (const openapi of ['3.1.0', '3.0.3']) {
        const paths = Object.fromEntries(
          cases.map(([says], n) => [
            `/kinds/${n}`,
            { get: { responses: { 200: { description: 'ok' } }, operationId: `k${n}`, ...says } },
          ]),
        )
        const document = documentOf(paths, {
          openapi,
          components: { securitySchemes: schemes },
          security: [{ bearer: ['posts:read'] }, { cookie: [] }],
        })
        const answer = await put(document, {}, 'kinds')
        t.equal(answer.status, 200, answer.text)
        const { endpoints } = (await call('GET', '/api/programmatic/catalog?service=kinds')).body
        t.strictSame(
          endpoints.map((one: { access: string; auth: { scopes: string[] } }) => [
            one.access,
            one.auth.scopes,
          ]),
          cases.map(([, access, scopes = []]) => [access, scopes]),
          openapi,
        )
      }
      await call('DELETE', '/api/v1/services/kinds')
    })

    t.test('two services cannot take the same requests, whoever comes second', async (t) => {
      const get = (...paths: string[]) =>
        documentOf(Object.fromEntries(paths.map((path) => [path, { get: operation() }])))
      const at = (url: string, ...paths: string[]) => ({ ...get(...paths), servers: [{ url }] })
      await register('left')
      await register('right')
      t.equal((await put(get('/v1/things/{id}', '/files/{name}.json'), {}, 'left')).status, 200)
      for (const path of [
        '/v1/things/{x}',
        '/v1/things/{x}/',
        '/v1/things/best',
        '/{any}/things/{x}',
        '/files/a.{type}',
        '/files/{any}',
      ])
        refused(
          t,
          await put(get('/elsewhere', path), {}, 'right'),
          409,
          /of the service left take the same requests.*different base URLs/,
          'conflict',
        )
      t.match((await dryRun(get('/v1/things/best'), 'right')).body.problems, [
        { code: 'conflict', pointer: '/paths/~1v1~1things~1best/get' },
      ])
      t.equal((await put(get('/v1/things', '/files/a.txt', '/files/.json'), {}, 'right')).status, 200)
      t.equal(
        (await put(documentOf({ '/v1/things/{id}': { put: operation() } }), {}, 'right')).status,
        200,
        'another method',
      )
      t.equal((await put(at('/below', '/v1/things/best'), {}, 'right')).status, 200, 'below another path')
      refused(
        t,
        await put(at('/v1', '/things/best'), {}, 'right'),
        409,
        /GET \/v1\/things\/best and GET \/v1\/things\/\{id\}/,
      )
      refused(
        t,
        await put(at('https://right.example', '/v1/things/best'), {}, 'right'),
        409,
        /at right\.example/,
      )

      const patch = (id: string, baseUrl: string | null) =>
        call('PATCH', `/api/v1/services/${id}`, { baseUrl })
      t.equal((await patch('right', 'https://right.example')).status, 200)
      t.equal((await put(get('/v1/things/best'), {}, 'right')).status, 200, 'an admin has given it a host')
      refused(
        t,
        await put(at('https://right.example', '/anything'), {}, 'left'),
        409,
        /belongs to the service right/,
      )
      refused(t, await patch('right', null), 409, /take the same requests/)
      t.equal((await patch('left', 'https://right.example/left')).status, 200, 'and another one a part of it')
      refused(t, await patch('left', 'https://right.example'), 409, /take the same requests/)
      t.equal((await call('GET', '/api/v1/services/left')).body.baseUrl, 'https://right.example/left')
      t.equal((await patch('left', null)).status, 200)

      await register('guest')
      t.equal((await put(at('https://guest.example', '/guest'), {}, 'guest')).status, 200)
      refused(
        t,
        await patch('right', 'https://guest.example'),
        409,
        /guest has published that it is at guest\.example/,
      )
      refused(t, await register('host', 'https://guest.example/x'), 409, /guest has published/)
      t.equal((await call('GET', '/api/v1/services/host')).status, 404, 'and is not registered')
      const race = await Promise.all([put(get('/raced/{a}'), {}, 'left'), put(get('/raced/b'), {}, 'guest')])
      t.strictSame(race.map((one) => one.status).sort(), [200, 409])
      for (const id of ['left', 'right', 'guest']) await call('DELETE', `/api/v1/services/${id}`)
    })

    t.test('a service is changed in part, recorded, and at once', async (t) => {
      await register('plain')
      const patch = (body: object, id = 'plain') => call('PATCH', `/api/v1/services/${id}`, body)
      const answer = await patch({
        name: 'Better',
        description: 'Of it',
        checksIp: true,
        baseUrl: 'https://plain.example/v1',
      })
      t.match(answer.body, {
        id: 'plain',
        name: 'Better',
        description: 'Of it',
        checksIp: true,
        baseUrl: 'https://plain.example/v1',
      })
      t.strictSame((await call('GET', '/api/v1/services/plain')).body, answer.body)
      t.match((await patch({ description: null })).body, {
        name: 'Better',
        description: null,
        checksIp: true,
      })
      t.match((await call('GET', '/api/v1/audit-events?action=service.updated&limit=2')).body, [
        { serviceId: 'plain' },
        { detail: { baseUrl: 'https://plain.example/v1' } },
      ])
      refused(t, await patch({ name: 'x' }, 'latchkey'), 403, /Latchkey itself/)
      refused(t, await patch({ name: 'x' }, 'nobody'), 404, /no such service/)
      refused(t, await patch({}), 400, /./)
      refused(t, await patch({ baseUrl: 'ftp://x' }), 400, /./)
      refused(t, await patch({ id: 'other' }), 400, /no such field/, 'unknown-field')
    })

    t.test(
      'a scope that a published route needs cannot be left out; of one that tokens hold it is said how many',
      async (t) => {
        await register('held')
        const all = ['held:read', 'held:write', 'held:old', 'held:older']
        await declare('held', {
          scopes: [
            scope('held:read'),
            scope('held:write', { implies: ['held:read', 'held:old'] }),
            scope('held:old'),
            scope('held:older'),
          ],
        })
        await put(
          documentOf({ '/held': { get: operation(['held:read']), put: operation(['held:read']) } }),
          {},
          'held',
        )
        await put(documentOf({ ...first.paths, '/borrowed': { get: operation(['held:write']) } }))
        const live = [
          await provision(latchkey, { scopes: ['held:old'] }),
          await provision(latchkey, { scopes: ['held:write'] }),
        ]
        const revoked = await provision(latchkey, { scopes: ['held:old'] })
        await call('DELETE', `/api/v1/tokens/${revoked.id}`)
        await provision(latchkey, { scopes: ['held:old'], expiresIn: 1 })
        clock.now += 2_000
        const before = await everyRow(db)
        const without = (...names: string[]) =>
          declare('held', { scopes: all.filter((name) => !names.includes(name)).map((name) => scope(name)) })
        refused(
          t,
          await without('held:read'),
          409,
          /"held:read" cannot be left out.*GET \/held of held, PUT \/held of held\./,
          'conflict',
        )
        refused(t, await without('held:write'), 409, /GET \/borrowed of posts/)
        t.equal(await everyRow(db), before)
        const answer = await without('held:old', 'held:older')
        t.strictSame(
          [answer.status, answer.body.scopesStillHeld],
          [200, [{ scope: 'held:old', liveTokens: live.length }]],
        )
        await put(first)
        await call('DELETE', '/api/v1/services/held')
      },
    )

    t.test('presets, jobs and workflows are kept as given, and what they name must exist', async (t) => {
      await register('guide')
      const said = {
        groups: [group],
        scopes: [scope('guide:read')],
        presets: [{ id: 'all', title: 'All', scopes: ['guide:read', 'posts:read'], expiresInDays: 30 }],
        jobs: [
          { job: 'Read the guide', scopes: ['guide:read'], workflow: 'read' },
          { job: 'Alone', scopes: ['posts:read'] },
        ],
        workflows: [
          {
            id: 'read',
            title: 'Read',
            scopes: ['guide:read'],
            before: 'Sit.',
            steps: [
              { id: 'a', endpoint: 'readGuide', save: { id: '$response.body#/id' } },
              { id: 'b', endpoint: 'listPosts', service: 'posts', use: { id: '$steps.a.outputs.id' } },
            ],
            humanStep: 'Look.',
            success: 'Seen',
          },
          {
            id: 'own',
            title: 'Own',
            scopes: ['guide:read'],
            steps: [{ id: 'a', endpoint: 'readSelf', service: 'latchkey' }],
          },
        ],
      }
      const answer = await declare('guide', said)
      t.equal(answer.status, 200, answer.text)
      t.strictSame(answer.body.brokenWorkflows, [
        { service: 'guide', workflow: 'read', step: 'a', endpoint: 'readGuide' },
      ])
      const { presets, jobs, workflows } = (await call('GET', '/api/v1/services/guide/scopes')).body
      t.strictSame(
        { presets, jobs, workflows },
        { presets: said.presets, jobs: said.jobs, workflows: said.workflows },
      )
      const catalog = async () => (await call('GET', '/api/programmatic/catalog')).body
      const of = (list: { service: string; id: string }[]) =>
        list.filter((one) => one.service === 'guide').map((one) => one.id)
      t.strictSame(of((await catalog()).workflows), ['own'], 'what is broken is left out')
      t.notOk((await catalog()).jobs.find((one: { job: string }) => one.job === 'Read the guide').workflow)
      const published = await put(
        documentOf({ '/guide': { get: operation(['guide:read'], { operationId: 'readGuide' }) } }),
        {},
        'guide',
      )
      t.strictSame(
        published.body.diff.brokenWorkflows.filter((one: { service: string }) => one.service === 'guide'),
        [],
      )
      t.strictSame(of((await catalog()).workflows), ['read', 'own'])
      t.equal(
        (await catalog()).jobs.find((one: { job: string }) => one.job === 'Read the guide').workflow,
        'read',
      )

      const before = await everyRow(db)
      const bad: [more: Scopes, detail: RegExp, pointer: string][] = [
        [
          { presets: [{ id: 'a', title: 'A', scopes: ['guide:raed'] }] },
          /Did you mean "guide:read"/,
          '/presets/0/scopes/0',
        ],
        [
          { jobs: [{ job: 'A', scopes: ['guide:read', 'no:such'] }] },
          /No service declares/,
          '/jobs/0/scopes/1',
        ],
        [
          { jobs: [{ job: 'A', scopes: ['guide:read'], workflow: 'raed' }], workflows: [said.workflows[0]!] },
          /Did you mean "read"/,
          '/jobs/0/workflow',
        ],
        [{ workflows: [said.workflows[0]!, said.workflows[0]!] }, /twice/, '/workflows/1'],
        [
          {
            workflows: [
              {
                ...said.workflows[0]!,
                steps: [
                  { id: 'a', endpoint: 'x' },
                  { id: 'a', endpoint: 'y' },
                ],
              },
            ],
          },
          /twice/,
          '/workflows/0/steps/1',
        ],
        [{ workflows: [{ ...said.workflows[0]!, steps: [] }] }, /./, '/workflows/0/steps'],
        [{ workflows: [{ ...said.workflows[0]!, step: [] }] }, /Did you mean "steps"/, '/workflows/0/step'],
        [{ presets: [{ id: 'a', title: 'A', scopes: [] }] }, /./, '/presets/0/scopes'],
      ]
      for (const [more, detail, pointer] of bad)
        t.match(
          await declare('guide', { scopes: [scope('guide:read')], ...more }),
          { status: 400, body: { detail, errors: [{ pointer }] } },
          pointer,
        )
      t.equal(await everyRow(db), before)
      await declare('guide', { scopes: [scope('guide:read')] })
      t.match(
        (await call('GET', '/api/v1/services/guide/scopes')).body,
        { presets: [], jobs: [], workflows: [] },
        'a PUT replaces all',
      )
    })

    t.test('a document of five thousand routes is published and shown within moments', async (t) => {
      await register('large', 'https://large.example')
      const paths = Object.fromEntries(
        Array.from({ length: 5_000 }, (_, n) => [
          `/v1/things${n}/{id}`,
          {
            get: operation(['posts:read'], {
              operationId: `op${n}`,
              description: 'Words about it. '.repeat(20),
            }),
          },
        ]),
      )
      const timed = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
        const begun = performance.now()
        const result = await work()
        t.comment(`${what}: ${(performance.now() - begun).toFixed(0)} ms`)
        return result
      }
      const answer = await timed('publish', () => put(documentOf(paths), {}, 'large'))
      t.match(answer.body, { changed: true, endpoints: 5_000 })
      const catalog = () => call('GET', '/api/programmatic/catalog', undefined, { token: null })
      t.ok((await timed('first catalog', catalog)).body.endpoints.length > 5_000)
      await timed('second catalog', catalog)
      const found = await timed('search', () =>
        call('GET', '/api/programmatic/catalog?q=op4711', undefined, { token: null }),
      )
      t.equal(found.body.endpoints.length, 1)
      await timed('for=self', () => call('GET', '/api/programmatic/catalog?for=self&view=summary'))
      await timed('merged OpenAPI', () =>
        call('GET', '/api/programmatic/openapi.json', undefined, { token: null }),
      )
      await call('DELETE', '/api/v1/services/large')
    })

    t.test('the samples are good as they are', async (t) => {
      const other = await emptied(latchkey)
      for (const [id, scopes, document, type] of [
        ['posts', samples.postsScopes, samples.posts, 'application/yaml'],
        ['billing', samples.billingScopes, samples.billing, 'application/json'],
      ] as const) {
        await other.register(id)
        t.equal((await call('PUT', `/api/v1/services/${id}/scopes`, scopes)).status, 200)
        t.match((await put(document, { type, query: '?dryRun=true' }, id)).body, { problems: [] })
      }
    })
  })
}

/** Without the services of the tests before. */
async function emptied({ call }: Latchkey) {
  for (const { id } of (await call('GET', '/api/v1/services')).body)
    if (id !== 'latchkey') await call('DELETE', `/api/v1/services/${id}`)
  return {
    register: (id: string) =>
      call('POST', '/api/v1/services', { id, name: id, clientSecret: 'brought-by-hand' }),
  }
}
