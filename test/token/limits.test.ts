// Nothing is wider than its maker, nobody reaches another's token, and no race gets around either.
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { TokenPrincipal } from '../../src/guard/principal.ts'
import { Problem } from '../../src/http/problem.ts'
import type { ScopeRow, SubjectRow } from '../../src/identity/queries.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { type Asker, judge } from '../../src/policy/judge.ts'
import { parseAddress } from '../../src/policy/network.ts'
import { closure } from '../../src/policy/scopes.ts'
import { chooseExpiry } from '../../src/token/expiry.ts'
import { isAdmin, type Reach, reach, refuseTooMuch, withinMaker } from '../../src/token/grants.ts'
import { type Answer, basic, engines, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'
import { hold, persist, waiting } from '../helpers/races.ts'
import { everyRow } from '../helpers/rows.ts'

const day = 86_400_000
const atOnce = 64

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const posts = await registerPosts(latchkey)
    const { call, clock } = latchkey
    const { db } = latchkey.running.store
    const iso = (ms: number) => new Date(clock.now + ms).toISOString()
    const introspect = async (token: string, more: Record<string, string> = {}) =>
      (await latchkey.form('/oauth2/introspect', { token, ...more }, basic(posts.id, posts.secret))).body
    let count = 0
    /** A token that may make tokens, of a subject of its own. */
    const maker = async (body: Record<string, unknown> = {}) => {
      const subject = `maker_${count++}`
      const made = await provision(latchkey, { subject, scopes: ['tokens:write', 'posts:read'], ...body })
      const make = (asked: object) =>
        call('POST', '/api/v1/tokens', { name: 'child', ...asked }, { token: made.token })
      return { ...made, make, as: { token: made.token as string } }
    }
    const tooMuch = async (t: Test, answer: Promise<Answer>, detail: RegExp) => {
      const { status, body } = await answer
      t.match({ status, ...body }, { status: 403, code: 'policy-violation', detail }, detail.source)
    }

    t.test('a token gives no scope that it has not, by name or by what the name implies', async (t) => {
      const { make } = await maker()
      t.strictSame((await make({ scopes: ['posts:read'] })).body.scopes, ['posts:read'])
      t.equal((await make({ scopes: ['tokens:read', 'tokens:write'] })).status, 200)
      await tooMuch(
        t,
        make({ scopes: ['posts:read', 'posts:write'] }),
        /posts:write is what the token that makes this/,
      )
      for (const scope of ['tokens:admin', 'tokens:introspect', 'services:admin', 'audit:read'])
        await tooMuch(t, make({ scopes: [scope] }), new RegExp(scope))
      const wider = await maker({ scopes: ['tokens:write', 'posts:write'] })
      t.equal(
        (await wider.make({ scopes: ['posts:read'] })).status,
        200,
        'what it has by implication it may give',
      )
    })

    t.test(
      'a token makes nothing that outlives it: not when asked, not by default, not for ever',
      async (t) => {
        const { make, expireAt } = await maker({ expiresIn: '10d' })
        t.equal((await make({})).body.expireAt, expireAt)
        t.equal((await make({ expireAt })).status, 200)
        t.equal((await make({ expiresIn: '10d' })).body.expireAt, expireAt)
        await tooMuch(t, make({ expireAt: iso(10 * day + 1) }), /no token outlives/)
        await tooMuch(t, make({ expiresIn: '11d' }), /no token outlives/)
        await tooMuch(t, make({ expireAt: null }), /no token outlives/)
        const endless = await maker({ expireAt: null })
        t.equal((await endless.make({ expireAt: null })).body.expireAt, null)
        t.equal((await endless.make({})).body.expireAt, iso(90 * day))
      },
    )

    t.test('a token makes nothing that works from where it does not', async (t) => {
      const { make } = await maker({ ipRestriction: '127.0.0.0/8, 10.0.0.0/8' })
      t.equal((await make({})).body.ipRestriction, '127.0.0.0/8, 10.0.0.0/8', 'silence takes it over')
      t.equal(
        (await make({ ipRestriction: ['10.1.0.0/16', '127.0.0.1'] })).body.ipRestriction,
        '10.1.0.0/16, 127.0.0.1',
      )
      for (const ipRestriction of [
        '0.0.0.0/0',
        '10.0.0.0/7',
        '::/0',
        '10.0.0.1, 192.0.2.1',
        '::ffff:0:0/96',
        null,
        [],
        '',
      ])
        await tooMuch(t, make({ ipRestriction }), /ipRestriction: .*127\.0\.0\.0\/8, 10\.0\.0\.0\/8/)
      const child = await make({ scopes: ['tokens:write'], ipRestriction: '127.0.0.1' })
      const grandchild = await call('POST', '/api/v1/tokens', { name: 'x' }, { token: child.body.token })
      t.equal(grandchild.body.ipRestriction, '127.0.0.1', 'nor does what it makes')
    })

    t.test('a token of a team makes tokens of that team, one of an audience for that audience', async (t) => {
      const { make } = await maker({ team: 'team_a', audience: ['posts', 'latchkey'] })
      t.match((await make({})).body, { team: 'team_a', audience: ['posts', 'latchkey'] })
      t.match((await make({ team: 'team_a', audience: ['posts'] })).body, {
        team: 'team_a',
        audience: ['posts'],
      })
      await tooMuch(t, make({ team: 'team_b' }), /team: .*team_a/)
      await tooMuch(t, make({ team: null }), /team: .*team_a/)
      await tooMuch(t, make({ audience: [] }), /audience: .*posts, latchkey/)
      const free = await maker()
      t.match((await free.make({ team: 'team_b', audience: ['posts'] })).body, {
        team: 'team_b',
        audience: ['posts'],
      })
    })

    t.test('a token makes tokens for its own subject only', async (t) => {
      const { make, subject } = await maker()
      t.equal((await make({})).body.subject, subject)
      t.equal((await make({ subject })).body.createdBy, subject)
      for (const other of ['admin', 'user_42', `${subject}x`, subject.toUpperCase()])
        await tooMuch(t, make({ subject: other }), /only a token with tokens:admin/)
    })

    t.test(
      'an admin gives to anybody what products guard, and of Latchkey itself only what it has',
      async (t) => {
        const { make, expireAt } = await maker({ scopes: ['tokens:admin'], expiresIn: '40d' })
        const given = {
          subject: 'someone',
          scopes: ['posts:write', 'tokens:write'],
          team: 'team_x',
          audience: ['posts'],
        }
        t.match((await make(given)).body, { ...given, expireAt, createdBy: /^maker_/ })
        for (const scope of [
          'services:admin',
          'audit:read',
          'events:admin',
          'tokens:introspect',
          'catalog:publish',
        ])
          await tooMuch(t, make({ subject: 'someone', scopes: [scope] }), new RegExp(scope))
        await tooMuch(t, make({ subject: 'someone', expireAt: null }), /no token outlives/)

        const bound = await maker({
          scopes: ['tokens:admin'],
          ipRestriction: '127.0.0.0/8',
          team: 'team_a',
          audience: ['latchkey'],
        })
        const product = { subject: 'someone', scopes: ['posts:read'] }
        t.match((await bound.make({ ...product, team: 'team_b' })).body, {
          team: 'team_b',
          ipRestriction: '127.0.0.0/8',
        })
        await tooMuch(t, bound.make({ ...product, ipRestriction: null }), /ipRestriction/)
        const own = { subject: 'someone', scopes: ['tokens:read'] }
        t.match((await bound.make(own)).body, { team: 'team_a', audience: ['latchkey'] })
        await tooMuch(t, bound.make({ ...own, team: 'team_b' }), /team_a/)
        await tooMuch(t, bound.make({ ...own, audience: ['posts'] }), /audience/)
      },
    )

    t.test('a scope with a maximum lifetime bounds every token that reaches it', async (t) => {
      await call('POST', '/api/v1/services', { id: 'vault', name: 'Vault' })
      await call('PUT', '/api/v1/services/vault/scopes', {
        groups: [{ id: 'g', title: 'G' }],
        scopes: [
          { name: 'vault:open', title: 'Open', group: 'g', maxLifetimeDays: 2 },
          { name: 'vault:all', title: 'All', group: 'g', implies: ['vault:open'] },
        ],
      })
      for (const scope of ['vault:open', 'vault:all']) {
        const asked = { subject: 'someone', name: 'x', scopes: ['posts:read', scope] }
        t.equal((await call('POST', '/api/v1/tokens', asked)).body.expireAt, iso(2 * day))
        for (const end of [{ expireAt: null }, { expiresIn: '3d' }])
          await tooMuch(t, call('POST', '/api/v1/tokens', { ...asked, ...end }), /maximum lifetime/)
      }
    })

    t.test(
      'without tokens:write a token makes, changes and revokes nothing, not even of its own',
      async (t) => {
        const { id, token } = await provision(latchkey, {
          subject: 'reader',
          scopes: ['tokens:read', 'posts:write'],
        })
        const before = await everyRow(db)
        for (const [method, path, body] of [
          ['POST', '/api/v1/tokens', { name: 'x' }],
          ['PATCH', `/api/v1/tokens/${id}`, { name: 'x' }],
          ['DELETE', `/api/v1/tokens/${id}`],
        ] as const) {
          const answer = await call(method, path, body, { token })
          t.match(answer, {
            status: 403,
            body: { code: 'insufficient-scope', requiredScopes: ['tokens:write'] },
          })
        }
        t.equal(await everyRow(db), before)
      },
    )

    t.test(
      'another subject’s token is answered like one that does not exist, and nothing happens to it',
      async (t) => {
        const theirs = await maker()
        const mine = await maker()
        const unknown = `${theirs.id.slice(0, -4)}0000`
        const before = await everyRow(db)
        const bodies: [string, object | undefined][] = [
          ['GET', undefined],
          ['HEAD', undefined],
          ['DELETE', undefined],
          ['PATCH', { name: 'mine now' }],
          ['PATCH', { scopes: ['posts:unheard-of'] }],
          ['PATCH', { expireAt: null }],
          ['PATCH', { name: 1 }],
          ['PATCH', {}],
        ]
        for (const [method, body, rest = ''] of bodies) {
          for (const headers of [
            {},
            { 'if-match': '*' },
            { 'if-match': '"9.0.active"', 'if-none-match': '*' },
          ]) {
            const [known, none] = await Promise.all(
              [theirs.id, unknown].map(async (id) =>
                plain(
                  await call(method, `/api/v1/tokens/${id}${rest}`, body, {
                    ...mine.as,
                    headers: { ...headers },
                  }),
                ),
              ),
            )
            t.strictSame(known, none, `${method} ${JSON.stringify(body)} ${Object.keys(headers)}`)
            t.ok([400, 404].includes(known!.status))
          }
        }
        t.equal(await everyRow(db), before, 'no side effect')
        const listed = await call('GET', '/api/v1/tokens?status=any', undefined, mine.as)
        t.strictSame(
          listed.body.map((one: { id: string }) => one.id),
          [mine.id],
        )
        for (const query of [`subject=${theirs.subject}`, `subject=${theirs.subject}&status=any&q=ci`]) {
          const [known, none] = await Promise.all(
            [query, query.replace(theirs.subject, 'nobody')].map(async (one) =>
              plain(await call('GET', `/api/v1/tokens?${one}`, undefined, mine.as)),
            ),
          )
          t.strictSame(known, none)
          t.equal(known!.status, 403)
        }
      },
    )

    t.test('an id is text that is looked for and never a pattern, a path or a fault of ours', async (t) => {
      const { id } = await provision(latchkey)
      for (const odd of [
        '%25',
        'tok_%25',
        id.toUpperCase(),
        `${id}%20`,
        '%00',
        `${id}%00`,
        'x'.repeat(64),
        '%F0%9F%94%91',
        '..%2Fself',
      ])
        for (const method of ['GET', 'DELETE']) {
          const { status } = await call(method, `/api/v1/tokens/${odd}`)
          t.ok(status === 404 || status === 400, `${method} ${odd}: ${status}`)
        }
    })

    t.test('a disabled subject’s tokens are dead at once, and live again when it is enabled', async (t) => {
      const { token, subject, make, as } = await maker()
      const of = (id: string) => `/api/v1/subjects/${id}`
      t.match(await introspect(token), { active: true })
      t.match((await call('PATCH', of(subject), { disabled: true })).body, {
        id: subject,
        disabled: true,
        disabledAt: iso(0),
      })
      t.strictSame(await introspect(token), { active: false })
      t.equal((await make({})).status, 401)
      t.equal((await call('GET', '/api/v1/tokens/self', undefined, as)).status, 401)
      t.match((await call('GET', `/api/v1/tokens?subject=${subject}`)).body, [
        { active: false, status: 'disabled' },
      ])
      await tooMuch(t, call('POST', '/api/v1/tokens', { name: 'x', subject }), /is disabled/)
      t.match((await call('PATCH', of(subject), { disabled: false })).body, {
        disabled: false,
        disabledAt: null,
      })
      t.match(await introspect(token), { active: true })
      t.equal((await make({})).status, 200)
    })

    t.test('a cap on a subject bounds what its tokens may do now, and what may be made for it', async (t) => {
      const { token, subject, make } = await maker({ scopes: ['tokens:write', 'posts:write'] })
      const cap = (scopeCap: string[] | null) => call('PATCH', `/api/v1/subjects/${subject}`, { scopeCap })
      const scope = async () => (await introspect(token)).scope
      t.equal(await scope(), 'posts:read posts:write tokens:read tokens:write')
      t.equal((await cap(['posts:read', 'tokens:write'])).status, 200)
      t.equal(await scope(), 'posts:read tokens:read tokens:write')
      t.strictSame(await introspect(token, { scope: 'posts:write' }), { active: false })
      await tooMuch(
        t,
        make({ scopes: ['posts:write'] }),
        /posts:write is more than the subject|posts:write is what/,
      )
      await tooMuch(
        t,
        call('POST', '/api/v1/tokens', { name: 'x', subject, scopes: ['posts:write'] }),
        /may not have/,
      )
      t.equal((await make({ scopes: ['posts:read'] })).status, 200)
      await cap([])
      t.match(await introspect(token), { active: true, scope: undefined })
      t.equal((await make({})).status, 403)
      await cap(null)
      t.equal(await scope(), 'posts:read posts:write tokens:read tokens:write')
      t.match((await cap(['posts:raed'])).body, {
        code: 'unknown-scope',
        errors: [{ pointer: '/scopeCap/0' }],
      })
    })

    t.test('a token makes no successor once its revoke is acknowledged', async (t) => {
      // AWS IAM's three seconds: a thief uses the gap to mint the next one.
      for (let round = 0; round < 3; round++) {
        const { id, subject, make } = await maker()
        const makes = Array.from({ length: atOnce - 1 }, () =>
          persist<Answer>(() => make({ scopes: ['tokens:write'] })),
        )
        const revoked = await persist(() => call('DELETE', `/api/v1/tokens/${id}`))
        const late = Array.from({ length: 4 }, () => persist(() => make({})))
        const made = await Promise.all(makes)
        t.equal(revoked.status, 200)
        for (const { status } of [...made, ...(await Promise.all(late))])
          if (status !== 200 && status !== 401) t.fail(`${status}`)
        t.ok(
          (await Promise.all(late)).every(({ status }) => status === 401),
          'what begins afterwards is refused',
        )
        const live = (await call('GET', `/api/v1/tokens?subject=${subject}&limit=100`)).body.map(idOf).sort()
        const told = made.filter(({ status }) => status === 200).map(({ body }) => body.id)
        t.strictSame(live, told.sort(), 'what lives was acknowledged, what was refused was not made')
      }
    })

    if (engine === 'postgres') {
      t.test('a revoke waits for what the token is making, or is waited for', async (t) => {
        const { id, make } = await maker()
        const held = await hold(db, 'token_secret')
        const making = make({})
        await waiting(db, 1)
        let acknowledged = false
        const revoking = call('DELETE', `/api/v1/tokens/${id}`).finally(() => (acknowledged = true))
        await waiting(db, 2)
        t.notOk(acknowledged, 'the revoke is not acknowledged while the new token may still come')
        await held.release()
        t.strictSame([(await making).status, (await revoking).status], [200, 200])

        const second = await maker()
        await latchkey.running.flushUsage()
        const audit = await hold(db, 'audit_event')
        const revokingFirst = call('DELETE', `/api/v1/tokens/${second.id}`)
        await waiting(db, 1)
        const makingLater = second.make({})
        await waiting(db, 2)
        await audit.release()
        t.strictSame([(await revokingFirst).status, (await makingLater).status], [200, 401])
      })

      t.test('a token gives nothing that it has lost by an acknowledged change', async (t) => {
        const { id, make } = await maker()
        await latchkey.running.flushUsage()
        const held = await hold(db, 'audit_event')
        const narrowing = call('PATCH', `/api/v1/tokens/${id}`, { scopes: ['tokens:write'] })
        await waiting(db, 1)
        const making = make({ scopes: ['posts:read'] })
        await waiting(db, 2)
        await held.release()
        t.strictSame([(await narrowing).status, (await making).status], [200, 403])
      })
    }

    t.test('many revokes of one token at once are one revoke, with one record', async (t) => {
      const { id } = await maker()
      const answers = await Promise.all(
        Array.from({ length: atOnce }, () => persist(() => call('DELETE', `/api/v1/tokens/${id}`))),
      )
      t.ok(answers.every(({ status }) => status === 200))
      t.equal(answers.filter(({ body }) => body.message === 'Token revoked').length, 1)
      t.equal(new Set(answers.map(({ body }) => body.revokedAt)).size, 1)
      t.equal((await call('GET', `/api/v1/audit-events?tokenId=${id}&action=token.revoked`)).body.length, 1)
    })

    t.test('a token that ends itself many times at once is ended once, and no call fails', async (t) => {
      const { id, as } = await maker()
      const end = (path: string) => persist(() => call('DELETE', `/api/v1/tokens/${path}`, undefined, as))
      const answers = await Promise.all(Array.from({ length: atOnce }, (_, n) => end(n % 2 ? 'self' : id)))
      const statuses = answers.map(({ status }) => status)
      t.ok(
        statuses.every((status) => status === 200 || status === 401),
        [...new Set(statuses)].join(),
      )
      t.ok(statuses.includes(200))
      t.equal((await call('GET', `/api/v1/audit-events?tokenId=${id}&action=token.revoked`)).body.length, 1)
    })

    t.test('of many changes to one version of a token one is made', async (t) => {
      const { id } = await maker()
      const etag = (await call('GET', `/api/v1/tokens/${id}`)).headers.get('etag')!
      const headers = { 'if-match': etag }
      const answers = await Promise.all(
        Array.from({ length: atOnce }, (_, n) =>
          persist(() => call('PATCH', `/api/v1/tokens/${id}`, { name: `n${n}` }, { headers })),
        ),
      )
      const won = answers.filter(({ status }) => status === 200)
      t.equal(won.length, 1)
      t.equal(answers.filter(({ status }) => status === 412).length, atOnce - 1)
      t.equal((await call('GET', `/api/v1/tokens/${id}`)).body.name, won[0]!.body.name)
      t.equal((await call('GET', `/api/v1/audit-events?tokenId=${id}&action=token.updated`)).body.length, 1)
    })

    t.test(
      'a token that changes itself many times at once is changed each time, and no call fails',
      async (t) => {
        const { id, as } = await maker()
        const answers = await Promise.all(
          Array.from({ length: atOnce }, (_, n) =>
            persist(() => call('PATCH', `/api/v1/tokens/${id}`, { name: `n${n}` }, as)),
          ),
        )
        t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
      },
    )

    t.test('a token that is narrowed while it makes another gives no more than it has left', async (t) => {
      const { id, subject, make } = await maker()
      const makes = Array.from({ length: 16 }, () => make({ scopes: ['posts:read'] }))
      const narrowed = await call('PATCH', `/api/v1/tokens/${id}`, { scopes: ['tokens:write'] })
      t.equal(narrowed.status, 200)
      t.equal((await make({ scopes: ['posts:read'] })).status, 403, 'what begins afterwards is refused')
      const made = (await Promise.all(makes)).filter(({ status }) => status === 200)
      const live = (await call('GET', `/api/v1/tokens?subject=${subject}&scope=posts:read`)).body
        .map(idOf)
        .sort()
      t.strictSame(live, made.map(({ body }) => body.id).sort())
    })
  })
}

const idOf = (token: { id: string }) => token.id

/** An answer without what is its own: the id of the request and the time. */
function plain({ status, headers, text, body }: Answer) {
  const kept = [...headers].filter(([name]) => !['x-request-id', 'date'].includes(name))
  const id = headers.get('x-request-id')!
  return { status, headers: kept, text: text.replaceAll(id, '…'), code: body?.code }
}

t.test(
  'whoever makes it, whatever it asks for: a new token is nowhere and never good where its maker is not',
  async () => {
    const now = new Date('2026-11-22T12:00:00Z')
    const row = (
      service_id: string,
      name: string,
      implies: string[] = [],
      days: number | null = null,
    ): ScopeRow => ({
      name,
      service_id,
      group_id: 'g',
      title: name,
      description: null,
      risk: 'low',
      implies,
      closure: [],
      max_lifetime_days: days,
      position: 0,
    })
    const rows = [
      row('latchkey', 'tokens:read'),
      row('latchkey', 'tokens:write', ['tokens:read']),
      row('latchkey', 'tokens:admin', ['tokens:read', 'tokens:write']),
      row('latchkey', 'audit:read'),
      row('posts', 'posts:read'),
      row('posts', 'posts:write', ['posts:read'], 3),
      row('billing', 'billing:read'),
    ]
    const implies = new Map(rows.map((one) => [one.name, one.implies]))
    const declared = new Map(rows.map((one) => [one.name, { ...one, closure: closure(one.name, implies) }]))
    const expanded = (scopes: readonly string[]) => [...reach(scopes, declared)].sort()

    const scopes = fc.uniqueArray(fc.constantFrom(...declared.keys()), { maxLength: 4 })
    const ranges = fc.uniqueArray(
      fc.constantFrom(
        '10.0.0.0/8',
        '10.1.0.0/16',
        '10.1.2.3',
        '0.0.0.0/0',
        '::/0',
        '2001:db8::/32',
        '2001:db8::1',
      ),
      { maxLength: 2 },
    )
    const team = fc.constantFrom(null, 'team_a', 'team_b')
    const audience = fc.uniqueArray(fc.constantFrom('posts', 'billing', 'latchkey'), { maxLength: 2 })
    const end = fc.option(fc.integer({ min: 1, max: 200 }).map((days) => now.getTime() + days * day))
    const makers = fc.record({ scopes, ranges, team, audience, expireAt: end }).map(
      (some): TokenPrincipal => ({
        kind: 'token',
        asker: { kind: 'unregistered' },
        facts: { ...base, ...some, scopes: expanded(some.scopes) },
      }),
    )
    const base: Facts = {
      tokenId: 'tok_1',
      type: 'personal',
      subject: 'user_42',
      team: null,
      audience: [],
      scopes: [],
      ranges: [],
      createdAt: now.getTime(),
      expireAt: null,
      endsAt: null,
      endsVersion: null,
      state: 'active',
    }
    const asked = fc.record(
      {
        ranges,
        team,
        audience,
        expireAt: end.map((at) => (at === null ? null : new Date(at).toISOString())),
      },
      { requiredKeys: [] },
    )
    const subjects = fc
      .option(fc.constant([...declared.keys()].slice(1)), { freq: 1 })
      .map((scope_cap): SubjectRow => ({ id: 'user_42', disabled_at: null, scope_cap, created_at: now }))
    const askers = fc.constantFrom<Asker>(
      ...['posts', 'billing', 'latchkey'].map((id) => ({ kind: 'service' as const, id, checksIp: false })),
      { kind: 'service', id: 'posts', checksIp: true },
      { kind: 'unregistered' },
    )
    const questions = fc.record({
      asker: askers,
      clientIp: fc.constantFrom(
        null,
        ...['10.1.2.3', '10.9.9.9', '192.0.2.1', '2001:db8::1', '2001:db9::1'].map((ip) => parseAddress(ip)!),
      ),
      requiredScopes: fc.uniqueArray(fc.constantFrom(...declared.keys()), { maxLength: 2 }),
      team,
    })
    const when = fc.integer({ min: 0, max: 250 }).map((days) => now.getTime() + days * day)

    type Asked = Partial<Reach> & { expireAt?: string | null }
    const made = (
      maker: TokenPrincipal,
      wanted: string[],
      subject: SubjectRow,
      { expireAt, ...where }: Asked,
    ): Facts | null => {
      try {
        refuseTooMuch(wanted, declared, subject, maker)
        const reached = expanded(wanted)
        const own = reached.some((scope) => declared.get(scope)!.service_id === 'latchkey')
        const { ranges, team, audience } = withinMaker(where, own, maker)
        const latest = maker.facts.expireAt === null ? null : new Date(maker.facts.expireAt)
        const lifetimes = reached.flatMap((scope) => declared.get(scope)!.max_lifetime_days ?? [])
        const limits = {
          neverAllowed: true,
          latest,
          maxLifetimeDays: lifetimes.length > 0 ? Math.min(...lifetimes) : null,
        }
        const until = chooseExpiry(expireAt === undefined ? {} : { expireAt }, limits, now)
        return { ...base, scopes: reached, ranges, team, audience, expireAt: until?.getTime() ?? null }
      } catch (error) {
        if (error instanceof Problem) return null
        throw error
      }
    }
    let allowed = 0
    fc.assert(
      fc.property(
        makers,
        scopes,
        subjects,
        asked,
        fc.array(fc.tuple(questions, when), { minLength: 20, maxLength: 20 }),
        fc.boolean(),
        (maker, wanted, subject, where, asks, wider) => {
          const held = wanted.filter((scope) => maker.facts.scopes.includes(scope))
          const child = made(maker, wider ? wanted : held, subject, where)
          if (child === null) return true
          allowed += 1
          const cap = subject.scope_cap === null ? null : expanded(subject.scope_cap)
          if (cap && !child.scopes.every((scope) => cap.includes(scope))) return false
          // An admin's team, audience and scopes bound what it gives of Latchkey itself, not of the products.
          const product =
            isAdmin(maker) && child.scopes.every((scope) => declared.get(scope)!.service_id !== 'latchkey')
          return asks.every(([question, at]) => {
            const parent = product
              ? { ...maker.facts, team: child.team, audience: child.audience, scopes: child.scopes }
              : isAdmin(maker)
                ? {
                    ...maker.facts,
                    scopes: [...maker.facts.scopes, 'posts:read', 'posts:write', 'billing:read'],
                  }
                : maker.facts
            return !judge(child, question, at).active || judge(parent, question, at).active
          })
        },
      ),
      { numRuns: 20_000 },
    )
    if (allowed < 1_000) throw new Error(`only ${allowed} tokens were made`)
  },
)
