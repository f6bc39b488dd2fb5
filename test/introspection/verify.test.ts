// POST /api/v1/verify and its batch form: one verdict, with reasons, the same as introspection's.
import fc from 'fast-check'
import t from 'tap'
import { basic, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

type Check = { token: string; requiredScopes?: string[]; clientIp?: string; team?: string }

t.test('verify', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite')
  const posts = await registerPosts(latchkey)
  await latchkey.call('POST', '/api/v1/services', { id: 'places', name: 'Places API' })
  const asPosts = basic(posts.id, posts.secret)
  const check = (body: unknown) => latchkey.call('POST', '/api/v1/verify', body, { headers: asPosts })
  const batch = (body: unknown) => latchkey.call('POST', '/api/v1/verify/batch', body, { headers: asPosts })
  const of = async (body: Record<string, unknown>) => (await provision(latchkey, body)).token

  const good = await provision(latchkey, { scopes: ['posts:write'], team: 'team_a' })
  const bound = await of({ ipRestriction: '192.0.2.0/24' })
  const elsewhere = await of({ audience: ['places'] })
  const revoked = await provision(latchkey)
  await latchkey.call('DELETE', `/api/v1/tokens/${revoked.id}`)
  const disabled = await of({ subject: 'user_disabled' })
  await latchkey.call('PATCH', '/api/v1/subjects/user_disabled', { disabled: true })
  const expired = await of({ expiresIn: 1 })
  latchkey.clock.now += 1_000

  const cases: [string, Check, Record<string, unknown>][] = [
    [
      'good',
      { token: good.token },
      { valid: true, code: 'valid', missingScopes: [], token: { id: good.id } },
    ],
    ['implied scope', { token: good.token, requiredScopes: ['posts:read'] }, { valid: true }],
    ['same team', { token: good.token, team: 'team_a' }, { valid: true }],
    ['other team', { token: good.token, team: 'team_b' }, { valid: false, code: 'wrong_team' }],
    ['unknown', { token: 'nonsense' }, { valid: false, code: 'not_found', token: null }],
    ['empty', { token: '' }, { valid: false, code: 'not_found', token: null }],
    ['revoked', { token: revoked.token }, { valid: false, code: 'revoked', token: { id: revoked.id } }],
    ['expired', { token: expired }, { valid: false, code: 'expired' }],
    ['subject disabled', { token: disabled }, { valid: false, code: 'subject_disabled' }],
    ['another service', { token: elsewhere }, { valid: false, code: 'wrong_audience', token: null }],
    ['right address', { token: bound, clientIp: '192.0.2.9' }, { valid: true }],
    ['mapped address', { token: bound, clientIp: '::ffff:192.0.2.9' }, { valid: true }],
    ['wrong address', { token: bound, clientIp: '192.0.3.9' }, { valid: false, code: 'ip_not_allowed' }],
    ['no address', { token: bound }, { valid: false, code: 'ip_not_allowed' }],
    [
      'missing scopes',
      {
        token: bound,
        clientIp: '192.0.2.9',
        requiredScopes: ['posts:read', 'posts:write', 'nobody:declared'],
      },
      { valid: false, code: 'missing_scope', missingScopes: ['posts:write', 'nobody:declared'] },
    ],
  ]

  for (const [name, body, wanted] of cases) {
    t.test(`a verdict is 200, and says why: ${name}`, async (t) => {
      const answer = await check(body)
      t.equal(answer.status, 200)
      t.match(answer.body, wanted)
      t.equal(answer.headers.get('cache-control'), 'no-store')
      t.notOk(body.token !== '' && answer.text.includes(body.token), 'the secret is not repeated')
    })
  }

  t.test('introspection gives the same verdict, without the reason', async (t) => {
    for (const [name, { token, requiredScopes = [], clientIp, team }, { valid }] of cases) {
      if (token === '') continue // a form without a token is no request (INT-01)
      const fields = {
        token,
        ...(requiredScopes.length > 0 && { scope: requiredScopes.join(' ') }),
        ...(clientIp && { client_ip: clientIp }),
        ...(team && { team }),
      }
      t.equal((await latchkey.form('/oauth2/introspect', fields, asPosts)).body.active, valid, name)
    }
  })

  t.test('a batch is its single checks, in whatever order and however often', async (t) => {
    const singles = new Map<Check, unknown>()
    for (const [, body] of cases) singles.set(body, (await check(body)).body)
    const anyBatch = fc.array(fc.constantFrom(...singles.keys()), { minLength: 1, maxLength: 100 })
    await fc.assert(
      fc.asyncProperty(anyBatch, async (checks) => {
        const answer = await batch({ checks })
        t.strictSame(answer.body, { results: checks.map((one) => singles.get(one)) })
      }),
      { numRuns: 20 },
    )
  })

  t.test('a batch has 1 to 100 checks, and one that cannot be read refuses all', async (t) => {
    const many = (count: number) => ({ checks: Array.from({ length: count }, () => ({ token: 'x' })) })
    t.equal((await batch(many(100))).body.results.length, 100)
    for (const body of [many(101), many(0), {}, { checks: {} }]) {
      t.match(await batch(body), { status: 400, body: { code: 'validation-failed' } })
    }
    const wrong = await batch({ checks: [{ token: 'x' }, { token: 'x', clientIp: 'here' }] })
    t.match(wrong, { status: 400, body: { errors: [{ pointer: '/checks/1/clientIp' }] } })
    const misspelt = await batch({ checks: [{ token: 'x', requiredScope: [] }] })
    t.match(misspelt, { status: 400, body: { code: 'unknown-field', detail: /requiredScopes/ } })
  })

  t.test('who asks must be a service, or bear tokens:introspect', async (t) => {
    const body = { token: good.token }
    t.equal((await latchkey.call('POST', '/api/v1/verify', body, { token: null })).status, 401)
    const asWrong = { headers: basic('posts', 'wrong') }
    t.match(await latchkey.call('POST', '/api/v1/verify', body, asWrong), {
      status: 401,
      body: { code: 'invalid-token' },
    })
    const refused = await latchkey.call('POST', '/api/v1/verify', body, { token: good.token })
    t.match(refused, { status: 403, body: { requiredScopes: ['tokens:introspect'] } })
  })

  t.test(
    'a bearer caller speaks for the service that its subject names, and for none otherwise',
    async (t) => {
      const scopes = ['tokens:introspect']
      const asPlaces = { token: await of({ subject: 'places', type: 'service', scopes }) }
      const asSomebody = { token: await of({ subject: 'somebody', scopes }) }
      const body = { token: elsewhere }
      t.match((await latchkey.call('POST', '/api/v1/verify', body, asPlaces)).body, { valid: true })
      t.match((await latchkey.call('POST', '/api/v1/verify', body, asSomebody)).body, {
        code: 'wrong_audience',
      })
    },
  )
})
