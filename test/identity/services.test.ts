// Services and what they declare: who may speak for one, with which secret, and what its scopes then mean.
import t, { type Test } from 'tap'
import { type Answer, basic, engines, provision, startLatchkey } from '../helpers/latchkey.ts'
import { everyRow } from '../helpers/rows.ts'

const group = { id: 'g', title: 'Group' }
const scope = (name: string, more: object = {}) => ({ name, title: name, group: 'g', ...more })

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const { call, form, clock } = latchkey
    const { db } = latchkey.running.store
    const now = new Date(clock.now).toISOString()
    const register = (body: object) => call('POST', '/api/v1/services', { name: 'A service', ...body })
    const declare = (id: string, scopes: object[], groups: object[] = [group], token = latchkey.admin) =>
      call('PUT', `/api/v1/services/${id}/scopes`, { groups, scopes }, { token })
    /** What introspection with these credentials answers: 200, or 401 when they are not good. */
    const knows = async (id: string, secret: string) =>
      (await form('/oauth2/introspect', { token: latchkey.admin }, basic(id, secret))).status
    const problem = (
      t: Test,
      answer: Answer,
      status: number,
      code: string,
      detail: RegExp,
      pointer?: string,
    ) =>
      t.match(
        { status: answer.status, ...answer.body },
        { status, code, detail, ...(pointer && { errors: [{ pointer }] }) },
        detail.source,
      )

    t.test('a service is registered with a secret that is shown once, and known by it', async (t) => {
      const made = await register({
        id: 'posts',
        name: 'Posts API',
        description: 'All posts',
        baseUrl: 'https://posts.example/v1',
        checksIp: true,
      })
      const { clientSecret, ...shown } = made.body
      t.equal(made.status, 200)
      t.equal(made.headers.get('location'), '/api/v1/services/posts')
      t.equal(made.headers.get('cache-control'), 'no-store')
      t.match(clientSecret, /^[A-Za-z0-9_-]{40,}$/)
      t.strictSame(shown, {
        id: 'posts',
        name: 'Posts API',
        description: 'All posts',
        baseUrl: 'https://posts.example/v1',
        checksIp: true,
        clientId: 'posts',
        credentials: [
          {
            id: shown.credentials[0].id,
            hint: `${clientSecret.slice(0, 8)}…${clientSecret.slice(-4)}`,
            createdAt: now,
          },
        ],
        createdAt: now,
      })
      t.strictSame((await call('GET', '/api/v1/services/posts')).body, shown)
      const listed = (await call('GET', '/api/v1/services')).body
      t.strictSame(
        listed.map((service: { id: string }) => service.id),
        ['latchkey', 'posts'],
      )
      t.strictSame(listed[1], shown)
      t.equal(await knows('posts', clientSecret), 200)
    })

    t.test('a secret that the operator brings is taken, and never repeated in any part', async (t) => {
      const clientSecret = 'Correct-Horse_9'
      const made = await register({ id: 'brought', clientSecret })
      t.equal(made.status, 200)
      t.equal(await knows('brought', clientSecret), 200)
      const all = [
        made,
        await call('GET', '/api/v1/services/brought'),
        await call('GET', '/api/v1/audit-events'),
      ]
      for (const { text } of all) t.notMatch(text, /clientSecret|Corr|Hors|se_9/)
      t.notMatch(latchkey.log(), /Correct-Horse/)
      t.notMatch(await everyRow(db), /Correct-Horse/)
      t.match(await everyRow(db), /\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
      for (const bad of [
        'short',
        'with space in it',
        'ünïcödé-secret',
        'a'.repeat(129),
        'percent%2Fencoded',
        '',
      ])
        problem(
          t,
          await register({ id: 'bad', clientSecret: bad }),
          400,
          'validation-failed',
          /./,
          '/clientSecret',
        )
    })

    t.test('only the right secret of a known service is let in', async (t) => {
      const { clientSecret } = (await register({ id: 'strict' })).body
      t.equal(await knows('strict', clientSecret), 200)
      for (const [id, secret] of [
        ['strict', `${clientSecret}x`],
        ['strict', clientSecret.slice(0, -1)],
        ['strict', clientSecret.toUpperCase()],
        ['STRICT', clientSecret],
        ['nobody', clientSecret],
        ['brought', clientSecret],
        ['latchkey', clientSecret],
        ['strict', ''],
      ] as const)
        t.equal(await knows(id, secret), 401, `${id} with ${secret.length} characters`)
    })

    t.test('an id is taken once, and Latchkey’s own never', async (t) => {
      t.equal((await register({ id: 'once', name: 'First' })).status, 200)
      for (const id of ['once', 'latchkey'])
        problem(
          t,
          await register({ id, name: 'Second' }),
          409,
          'conflict',
          new RegExp(`a service "${id}" already`),
        )
      t.equal((await call('GET', '/api/v1/services/once')).body.name, 'First')
      const race = await Promise.all(Array.from({ length: 4 }, () => register({ id: 'raced' })))
      t.strictSame(race.map(({ status }) => status).sort(), [200, ...Array(3).fill(409)])
      for (const id of ['Posts', '1st', '', 'a'.repeat(49), 'a b', '../x', 'a:b'])
        problem(t, await register({ id }), 400, 'validation-failed', /./, '/id')
    })

    t.test(
      'two secrets are good at once, a third is refused, and a removed one is refused at once',
      async (t) => {
        const first = (await register({ id: 'rolling' })).body
        const add = (body: object = {}) => call('POST', '/api/v1/services/rolling/credentials', body)
        const second = (await add()).body
        t.strictSame(Object.keys(second).sort(), ['clientId', 'clientSecret', 'createdAt', 'hint', 'id'])
        t.strictSame(
          [await knows('rolling', first.clientSecret), await knows('rolling', second.clientSecret)],
          [200, 200],
        )
        problem(t, await add(), 409, 'conflict', /at most 2 credentials/)

        const remove = (id: string, service = 'rolling') =>
          call('DELETE', `/api/v1/services/${service}/credentials/${id}`)
        t.equal((await remove(first.credentials[0].id, 'posts')).status, 404, 'not through another service')
        t.equal(await knows('rolling', first.clientSecret), 200)
        t.strictSame((await remove(first.credentials[0].id)).body, {
          message: 'Credential removed',
          status: 200,
          id: first.credentials[0].id,
        })
        t.strictSame(
          [await knows('rolling', first.clientSecret), await knows('rolling', second.clientSecret)],
          [401, 200],
        )
        t.equal((await remove(first.credentials[0].id)).status, 404)

        const brought = await add({ clientSecret: 'brought-by-hand' })
        t.notOk('clientSecret' in brought.body)
        t.equal(await knows('rolling', 'brought-by-hand'), 200)
        const race = await Promise.all([remove(brought.body.id), ...Array.from({ length: 6 }, () => add())])
        t.equal(race.filter(({ status }) => ![200, 409].includes(status)).length, 0)
        t.equal((await call('GET', '/api/v1/services/rolling')).body.credentials.length <= 2, true)
      },
    )

    t.test('a removed service is refused at once, and its scopes give nothing any more', async (t) => {
      const { clientSecret } = (await register({ id: 'brief' })).body
      await declare('brief', [scope('brief:read')])
      const { token } = await provision(latchkey, { scopes: ['brief:read', 'tokens:read'] })
      t.equal(await knows('brief', clientSecret), 200)
      t.strictSame((await call('DELETE', '/api/v1/services/brief')).body, {
        message: 'Service removed',
        status: 200,
        id: 'brief',
      })
      t.equal(await knows('brief', clientSecret), 401)
      t.strictSame(await effective(token), ['tokens:read'])
      for (const [method, path] of [
        ['GET', ''],
        ['DELETE', ''],
        ['GET', '/scopes'],
        ['POST', '/credentials'],
      ] as const) {
        const answer = await call(method, `/api/v1/services/brief${path}`, method === 'POST' ? {} : undefined)
        problem(t, answer, 404, 'not-found', /no such service/)
      }
      problem(t, await declare('brief', []), 404, 'not-found', /no such service/)
    })

    t.test('Latchkey’s own service is declared by itself and changed by nobody', async (t) => {
      const before = await everyRow(db)
      for (const answer of [
        await call('DELETE', '/api/v1/services/latchkey'),
        await call('POST', '/api/v1/services/latchkey/credentials', {}),
        await declare('latchkey', [scope('tokens:admin')]),
      ])
        problem(t, answer, 403, 'policy-violation', /Latchkey itself/)
      t.equal(await everyRow(db), before)
      t.ok((await call('GET', '/api/v1/services/latchkey/scopes')).body.scopes.length >= 8)
    })

    t.test(
      'scopes are declared as a whole: answered as stored, with defaults, in the order given',
      async (t) => {
        await register({ id: 'shop' })
        const answer = await declare(
          'shop',
          [
            scope('shop:write', {
              implies: ['shop:read'],
              risk: 'high',
              description: 'Sell',
              maxLifetimeDays: 7,
              group: 'h',
            }),
            scope('shop:read'),
          ],
          [{ id: 'h', title: 'H' }, group],
        )
        const expected = {
          service: 'shop',
          groups: [{ id: 'h', title: 'H' }, group],
          scopes: [
            {
              ...scope('shop:write'),
              group: 'h',
              description: 'Sell',
              risk: 'high',
              implies: ['shop:read'],
              maxLifetimeDays: 7,
            },
            { ...scope('shop:read'), description: null, risk: 'medium', implies: [], maxLifetimeDays: null },
          ],
          presets: [],
          jobs: [],
          workflows: [],
        }
        const told = { scopesStillHeld: [], brokenWorkflows: [] }
        t.strictSame([answer.status, answer.body], [200, { ...expected, ...told }])
        t.strictSame((await call('GET', '/api/v1/services/shop/scopes')).body, expected)
      },
    )

    t.test('a declaration with one fault changes nothing, and the fault is named', async (t) => {
      await register({ id: 'faulty' })
      await declare('faulty', [scope('faulty:a')])
      const before = await everyRow(db)
      const bad = async (
        scopes: object[],
        code: string,
        detail: RegExp,
        pointer?: string,
        groups?: object[],
      ) =>
        problem(
          t,
          await declare('faulty', scopes, groups),
          code === 'conflict' ? 409 : 400,
          code,
          detail,
          pointer,
        )
      await bad(
        [scope('faulty:b'), scope('faulty:b')],
        'validation-failed',
        /"faulty:b" is declared twice/,
        '/scopes/1',
      )
      await bad([], 'validation-failed', /"g" is declared twice/, '/groups/1', [group, group])
      await bad(
        [scope('faulty:b', { implies: ['faulty:bb'] })],
        'validation-failed',
        /"faulty:bb" is not declared in this request\. Did you mean "faulty:b"/,
        '/scopes/0/implies',
      )
      await bad(
        [scope('faulty:b', { implies: ['tokens:admin'] })],
        'validation-failed',
        /"tokens:admin" is not declared in this request/,
        '/scopes/0/implies',
      )
      await bad(
        [scope('faulty:b', { group: 'h' })],
        'validation-failed',
        /"h" is not declared/,
        '/scopes/0/group',
      )
      await bad(
        [scope('faulty:b'), scope('shop:read')],
        'conflict',
        /"shop:read" is declared by the service shop/,
      )
      await bad([scope('tokens:admin')], 'conflict', /declared by the service latchkey/)
      await bad([scope('Faulty:B')], 'validation-failed', /./, '/scopes/0/name')
      await bad([scope('faulty:*')], 'validation-failed', /./, '/scopes/0/name')
      await bad(
        [scope('faulty:b', { implied: [] })],
        'unknown-field',
        /Did you mean "implies"/,
        '/scopes/0/implied',
      )
      t.equal(await everyRow(db), before)
    })

    t.test('of two services that declare one scope at once, one has it and the other is told', async (t) => {
      for (let round = 0; round < 3; round++) {
        const ids = [`left${round}`, `right${round}`]
        for (const id of ids) await register({ id, clientSecret: 'brought-by-hand' })
        const scopes = Array.from({ length: 20 }, (_, n) => scope(`shared${round}:s${n}`))
        const answers = await Promise.all(ids.map((id) => declare(id, scopes)))
        t.strictSame(answers.map(({ status }) => status).sort(), [200, 409])
        const owned = await Promise.all(ids.map((id) => call('GET', `/api/v1/services/${id}/scopes`)))
        t.strictSame(owned.map(({ body }) => body.scopes.length).sort(), [0, 20])
      }
    })

    /** What a token may do now, as Latchkey answers it to anybody who asks. */
    async function effective(token: string): Promise<string[]> {
      const { body } = await call('POST', '/api/v1/verify', { token })
      return body.token.scopes
    }

    t.test('what a service declares anew is true at once for tokens that exist', async (t) => {
      await register({ id: 'docs' })
      await declare('docs', [scope('docs:read'), scope('docs:write', { implies: ['docs:read'] })])
      const { token, id } = await provision(latchkey, { scopes: ['docs:write'] })
      t.strictSame(await effective(token), ['docs:read', 'docs:write'])
      await declare('docs', [scope('docs:read'), scope('docs:write')])
      t.strictSame(await effective(token), ['docs:write'], 'implies no more')
      await declare('docs', [
        scope('docs:write', { implies: ['docs:edit'] }),
        scope('docs:edit', { implies: ['docs:read'] }),
        scope('docs:read', { implies: ['docs:write'] }),
      ])
      t.strictSame(
        await effective(token),
        ['docs:edit', 'docs:read', 'docs:write'],
        'implies all, in a circle',
      )
      await declare('docs', [scope('docs:read')])
      t.strictSame(await effective(token), [], 'declared no more')
      t.strictSame(
        (await call('GET', `/api/v1/tokens/${id}`)).body.scopes,
        ['docs:write'],
        'what it was given is kept',
      )
      t.equal((await call('PATCH', `/api/v1/tokens/${id}`, { scopes: ['docs:write'] })).status, 200)
      await declare('docs', [scope('docs:write')])
      t.strictSame(await effective(token), ['docs:write'])
    })

    t.test(
      'a token with catalog:publish declares for the service that is its subject, and for no other',
      async (t) => {
        await register({ id: 'pub-a' })
        await register({ id: 'pub-b' })
        const { token } = await provision(latchkey, { subject: 'pub-a', scopes: ['catalog:publish'] })
        t.equal((await declare('pub-a', [scope('pub-a:read')], [group], token)).status, 200)
        for (const other of ['pub-b', 'nobody', 'pub-a2'])
          problem(
            t,
            await declare(other, [scope('x:read')], [group], token),
            403,
            'policy-violation',
            /service pub-a only/,
          )
        problem(t, await declare('latchkey', [], [], token), 403, 'policy-violation', /itself/)
        for (const [method, path] of [
          ['GET', '/api/v1/services'],
          ['POST', '/api/v1/services'],
          ['DELETE', '/api/v1/services/pub-a'],
          ['POST', '/api/v1/services/pub-a/credentials'],
        ] as const)
          t.equal(
            (await call(method, path, method === 'POST' ? {} : undefined, { token })).status,
            403,
            `${method} ${path}`,
          )
        const admin = (await provision(latchkey, { subject: 'ops', scopes: ['services:admin'] })).token
        t.equal((await declare('pub-b', [scope('pub-b:read')], [group], admin)).status, 200)
      },
    )
  })
}
