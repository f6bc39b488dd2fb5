// Tokens over REST, field by field: what is asked for is what is made, shown, found and narrowed, and nothing else.
import t, { type Test } from 'tap'
import { type Answer, basic, engines, provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

const day = 86_400_000
const iso = (at: number) => new Date(at).toISOString()

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine, { LATCHKEY_ISSUER: 'https://keys.example/latch' })
    const posts = await registerPosts(latchkey)
    const { clock, call } = latchkey
    const path = (id: string) => `/api/v1/tokens/${id}`
    const get = async (id: string) => (await call('GET', path(id))).body
    const ids = async (query: string) => {
      const { status, text, body } = await call('GET', `/api/v1/tokens?${query}`)
      if (status !== 200) throw new Error(text)
      return body.map((token: { id: string }) => token.id)
    }
    const asAgent = async (subject: string, scopes = ['tokens:write', 'posts:write']) =>
      (await provision(latchkey, { subject, scopes })).token as string
    const refused = (t: Test, answer: Answer, status: number, code: string, detail: RegExp, at?: string) => {
      const where = at?.startsWith('/') ? { pointer: at } : { parameter: at }
      t.match(answer.body, { status, code, detail, ...(at && { errors: [where] }) }, detail.source)
      t.equal(answer.status, status)
      t.equal(answer.body.message, answer.body.detail)
      t.match(answer.headers.get('content-type'), /^application\/problem\+json/)
    }

    t.test('what is provisioned is answered, read, listed and seen by itself, field for field', async (t) => {
      const made = await call('POST', '/api/v1/tokens', {
        name: 'ci',
        type: 'service',
        subject: 'user_1',
        scopes: ['posts:read'],
        expiresIn: '30d',
        ipRestriction: '203.0.113.77/24, 2001:DB8:0::/32 127.0.0.1',
        team: 'team_a',
        audience: ['posts'],
        description: 'release workflow',
        metadata: { repo: 'acme/site', runs: 3, live: true },
      })
      const { token, ...shown } = made.body
      t.equal(made.status, 200)
      t.match(token, /^lk_svc_[0-9A-Za-z]{36}$/)
      t.strictSame(shown, {
        id: shown.id,
        name: 'ci',
        description: 'release workflow',
        type: 'service',
        subject: 'user_1',
        team: 'team_a',
        audience: ['posts'],
        scopes: ['posts:read'],
        ipRestriction: '203.0.113.0/24, 2001:db8::/32, 127.0.0.1',
        metadata: { repo: 'acme/site', runs: 3, live: true },
        active: true,
        status: 'active',
        createdAt: iso(clock.now),
        createdBy: 'admin',
        expireAt: iso(clock.now + 30 * day),
        lastUsedAt: null,
        revokedAt: null,
        hint: `lk_svc_${token.slice(7, 11)}…${token.slice(-4)}`,
        secretVersion: 1,
        previousEnds: null,
        previousSecretValidUntil: null,
      })
      t.match(shown.id, /^tok_[0-9a-z]{26}$/)
      t.equal(made.headers.get('location'), path(shown.id))
      t.equal(made.headers.get('cache-control'), 'no-store')
      t.strictSame(await get(shown.id), shown, 'read')
      t.strictSame((await call('GET', '/api/v1/tokens?subject=user_1')).body, [shown], 'listed')
      t.strictSame((await call('GET', '/api/v1/tokens/self', undefined, { token })).body, shown, 'by itself')
    })

    t.test(
      'what is left out: the caller’s own subject, 90 days, nothing allowed, nowhere barred',
      async (t) => {
        const made = await call('POST', '/api/v1/tokens', { name: 'least' })
        t.match(made.body, {
          type: 'personal',
          subject: 'admin',
          team: null,
          description: null,
          ipRestriction: null,
          expireAt: iso(clock.now + 90 * day),
        })
        t.strictSame([made.body.scopes, made.body.audience, made.body.metadata], [[], [], {}])
      },
    )

    t.test('an end is what was asked for, in each way to ask for it', async (t) => {
      for (const [asked, expected] of [
        [{ expireAt: null }, null],
        [{ expireAt: '2027-02-19T01:00:00+01:00' }, '2027-02-19T00:00:00.000Z'],
        [{ expireAt: '2040-01-01T00:00:00.123Z' }, '2040-01-01T00:00:00.123Z'],
        [{ expiresIn: 3_600 }, iso(clock.now + 3_600_000)],
        [{ expiresIn: 'P30D' }, iso(clock.now + 30 * day)],
        [{ expiresIn: '2w' }, iso(clock.now + 14 * day)],
      ] as const)
        t.equal((await provision(latchkey, asked)).expireAt, expected, JSON.stringify(asked))
      const bad: [object, string][] = [
        [{ expireAt: iso(clock.now) }, '/expireAt'],
        [{ expireAt: '2026-12-31T23:59:60Z' }, '/expireAt'],
        [{ expireAt: '2027-01-01T00:00:00' }, '/expireAt'],
        [{ expireAt: '+010000-01-01T00:00:00Z' }, '/expireAt'],
        [{ expiresIn: 2 ** 53 }, '/expiresIn'],
        [{ expiresIn: '1 fortnight' }, '/expiresIn'],
        [{ expiresIn: '30d', expireAt: null }, '/expiresIn'],
      ]
      for (const [body, pointer] of bad)
        refused(
          t,
          await call('POST', '/api/v1/tokens', { name: 'x', ...body }),
          400,
          'validation-failed',
          /./,
          pointer,
        )
    })

    t.test(
      'an IP restriction is taken as text or list, shown normalised in the order given, never lost',
      async (t) => {
        for (const [asked, shown] of [
          ['10.0.0.1', '10.0.0.1'],
          ['2001:db8::1,10.0.0.1/8 , 192.0.2.0/24,', '2001:db8::1, 10.0.0.0/8, 192.0.2.0/24'],
          [['192.0.2.1', '::ffff:10.0.0.1', '192.0.2.1/32'], '192.0.2.1, 10.0.0.1'],
          ['', null],
          [[], null],
          [null, null],
        ] as const)
          t.equal(
            (await provision(latchkey, { ipRestriction: asked })).ipRestriction,
            shown,
            JSON.stringify(asked),
          )
        for (const ipRestriction of [
          '10.0.0.0/33',
          'localhost',
          ',',
          ['10.0.0.1', ''],
          [''],
          ['10.0.0.1 10.0.0.2'],
          '*',
        ])
          refused(
            t,
            await call('POST', '/api/v1/tokens', { name: 'x', ipRestriction }),
            400,
            'validation-failed',
            /write 203\.0\.113\.7/,
            '/ipRestriction',
          )
      },
    )

    t.test('the secret is in the answer that provisions and in no other, ever', async (t) => {
      const { id, token } = await provision(latchkey, { subject: 'user_secret' })
      const body = token.slice('lk_pat_'.length, -6)
      for (const [method, url, sent] of [
        ['GET', path(id)],
        ['GET', '/api/v1/tokens?subject=user_secret'],
        ['PATCH', path(id), { name: 'renamed' }],
        ['GET', `/api/v1/audit-events?tokenId=${id}`],
        ['DELETE', path(id)],
        ['GET', path(id)],
      ] as const) {
        const answer = await call(method, url, sent)
        t.equal(answer.status, 200)
        t.notOk(answer.text.includes(body), `${method} ${url}`)
        t.notMatch(answer.text, /"token"|digest/)
      }
      t.notOk(latchkey.log().includes(body), 'nor in the log')
    })

    t.test('a PATCH changes what it names and nothing else', async (t) => {
      const full = {
        scopes: ['posts:write', 'posts:read'],
        description: 'before',
        ipRestriction: '10.0.0.0/8',
        team: 'team_a',
        audience: ['posts'],
        metadata: { a: 1, b: 'two' },
        expireAt: iso(clock.now + 50 * day),
      }
      const { id, token, ...made } = await provision(latchkey, full)
      let now: object = { id, ...made }
      for (const [asked, changed] of [
        [{ name: 'renamed' }, { name: 'renamed' }],
        [{ description: 'after' }, { description: 'after' }],
        [{ description: null }, { description: null }],
        [{ metadata: { c: true } }, { metadata: { c: true } }],
        [{ metadata: {} }, { metadata: {} }],
        [{ expireAt: iso(clock.now + 40 * day) }, { expireAt: iso(clock.now + 40 * day) }],
        [{ expiresIn: '30d' }, { expireAt: iso(clock.now + 30 * day) }],
        [{ ipRestriction: ['10.1.0.0/16', '10.2.0.1'] }, { ipRestriction: '10.1.0.0/16, 10.2.0.1' }],
        [{ scopes: ['posts:read'] }, { scopes: ['posts:read'] }],
        [{ scopes: [] }, { scopes: [] }],
      ] as const) {
        now = { ...now, ...changed }
        const answer = await call('PATCH', path(id), asked)
        t.strictSame([answer.status, answer.body], [200, now], JSON.stringify(asked))
        t.strictSame(await get(id), now)
      }
      for (const body of [
        {},
        { team: 'team_b' },
        { audience: [] },
        { subject: 'other' },
        { type: 'service' },
        { active: true },
      ])
        t.equal((await call('PATCH', path(id), body)).status, 400, JSON.stringify(body))
      t.strictSame(await get(id), now)
      t.ok(token)
    })

    t.test('a PATCH narrows and never widens: scopes, addresses, end', async (t) => {
      const made = await provision(latchkey, {
        scopes: ['posts:write'],
        ipRestriction: '10.0.0.0/8, 2001:db8::/32',
        expiresIn: '30d',
      })
      const before = await get(made.id)
      const narrow = (body: object) => call('PATCH', path(made.id), body)
      for (const [body, detail] of [
        [{ scopes: ['posts:write', 'tokens:read'] }, /tokens:read would be new/],
        [{ ipRestriction: '10.0.0.0/7' }, /it is 10\.0\.0\.0\/8/],
        [{ ipRestriction: ['10.1.1.1', '192.0.2.1'] }, /never widened/],
        [{ ipRestriction: '0.0.0.0/0' }, /never widened/],
        [{ ipRestriction: null }, /never widened/],
        [{ ipRestriction: '' }, /never widened/],
        [{ ipRestriction: [] }, /never widened/],
        [{ expireAt: iso(clock.now + 30 * day + 1) }, /it ends at/],
        [{ expiresIn: '31d' }, /it ends at/],
        [{ expireAt: null }, /it ends at/],
      ] as const)
        refused(t, await narrow(body), 403, 'policy-violation', detail)
      refused(
        t,
        await narrow({ scopes: ['posts:raed'] }),
        400,
        'unknown-scope',
        /Did you mean "posts:read"/,
        '/scopes/0',
      )
      refused(
        t,
        await narrow({ expireAt: iso(clock.now - 1) }),
        400,
        'validation-failed',
        /future/,
        '/expireAt',
      )
      t.strictSame(await get(made.id), before, 'nothing of it was done, nor half of it')

      t.equal((await narrow({ scopes: ['posts:read'] })).status, 200, 'what a scope implies is not new')
      refused(
        t,
        await narrow({ scopes: ['posts:write'] }),
        403,
        'policy-violation',
        /posts:write would be new/,
      )
      t.equal((await narrow({ ipRestriction: '10.0.0.0/9' })).status, 200)
      refused(t, await narrow({ ipRestriction: '10.0.0.0/8' }), 403, 'policy-violation', /10\.0\.0\.0\/9/)

      const never = await provision(latchkey, { expireAt: null })
      t.equal((await call('PATCH', path(never.id), { expireAt: null })).status, 200, 'never stays never')
      t.equal((await call('PATCH', path(never.id), { expiresIn: '1h' })).status, 200)
      t.equal((await call('PATCH', path(never.id), { expireAt: null })).status, 403)
    })

    t.test('narrowed is narrowed at once, in every answer about the token', async (t) => {
      const { id, token } = await provision(latchkey, { scopes: ['posts:write'] })
      const check = async (more: Record<string, string> = {}) =>
        (await latchkey.form('/oauth2/introspect', { token, ...more }, basic(posts.id, posts.secret))).body
      t.match(await check({ scope: 'posts:write' }), { active: true })
      await call('PATCH', path(id), { scopes: ['posts:read'], ipRestriction: '10.0.0.1' })
      t.strictSame(await check({ scope: 'posts:write', client_ip: '10.0.0.1' }), { active: false })
      t.strictSame(await check({ client_ip: '10.0.0.2' }), { active: false })
      t.match(await check({ client_ip: '10.0.0.1' }), { active: true, scope: 'posts:read' })
    })

    t.test(
      'a version that was read guards the next change, and an unchanged one is not sent again',
      async (t) => {
        const { id } = await provision(latchkey)
        const first = (await call('GET', path(id))).headers.get('etag')!
        t.match(first, /^"[^"]+"$/, 'strong')
        const conditional = (header: string, value: string, method = 'GET', body?: object) =>
          call(method, path(id), body, { headers: { [header]: value } })
        const same = await conditional('if-none-match', first)
        t.strictSame([same.status, same.text, same.headers.get('etag')], [304, '', first])
        t.equal((await conditional('if-none-match', `"other", W/${first}`)).status, 304)
        t.equal((await conditional('if-none-match', '"other"')).status, 200)

        const changed = await conditional('if-match', first, 'PATCH', { name: 'two' })
        const second = changed.headers.get('etag')!
        t.equal(changed.status, 200)
        t.not(second, first)
        t.equal(
          (await call('GET', path(id))).headers.get('etag'),
          second,
          'the ETag of the answer is the new one',
        )
        t.equal((await conditional('if-none-match', first)).status, 200)
        refused(
          t,
          await conditional('if-match', first, 'PATCH', { name: 'three' }),
          412,
          'precondition-failed',
          /changed/,
        )
        for (const not of [`W/${second}`, second.replaceAll('"', ''), '""', '"', 'x'])
          t.equal((await conditional('if-match', not, 'PATCH', { name: 'three' })).status, 412, not)
        t.equal((await get(id)).name, 'two')
        t.equal((await conditional('if-match', `"x", ${second}`, 'PATCH', { name: 'three' })).status, 200)
        t.equal((await conditional('if-match', '*', 'PATCH', { name: 'four' })).status, 200)
      },
    )

    t.test('each filter finds what it says, and the rest stays out', async (t) => {
      const at = clock.now
      const make = (name: string, body: object = {}) =>
        provision(latchkey, { name, subject: 'list_1', ...body })
      const live = await make('Alpha 100%_\\', { team: 'team_l', type: 'service', expiresIn: '10d' })
      clock.now = at + 1_000
      const expired = await make('beta', { expiresIn: '5s', description: 'the Émile one' })
      clock.now += 1
      const revoked = await make('gamma', { scopes: ['posts:write'] })
      await call('DELETE', path(revoked.id))
      clock.now = at + 10_000
      const used = await make('delta', { scopes: ['tokens:read'], expireAt: null })
      const disabled = await provision(latchkey, { name: 'epsilon', subject: 'list_2' })
      await call('PATCH', '/api/v1/subjects/list_2', { disabled: true })
      await call('GET', '/api/v1/tokens/self', undefined, { token: used.token })
      await latchkey.running.flushUsage()
      const found = async (query: string) => {
        const names: Record<string, string> = {
          [live.id]: 'live',
          [expired.id]: 'expired',
          [revoked.id]: 'revoked',
          [used.id]: 'used',
          [disabled.id]: 'disabled',
        }
        return (await ids(query)).map((id: string) => names[id]).join(' ')
      }
      const mine = (query: string) => found(`subject=list_1&${query}`)
      const z = (ms: number) => encodeURIComponent(iso(at + ms))
      for (const [query, expected] of [
        ['', 'used expired live'],
        ['status=any', 'used revoked expired live'],
        ['status=active', 'used live'],
        ['status=expired', 'expired'],
        ['status=revoked', 'revoked'],
        ['status=disabled', ''],
        ['type=service', 'live'],
        ['type=personal', 'used expired'],
        ['type=federated', ''],
        ['team=team_l', 'live'],
        ['team=team', ''],
        ['scope=tokens:read', 'used'],
        ['scope=posts:write&status=any', 'revoked'],
        ['q=alpha', 'live'],
        ['q=100%25_', 'live'],
        ['q=%25', 'live'],
        ['q=_', 'used expired live'],
        ['q=%5C', 'live'],
        ['q=%C3%89mile', 'expired'],
        [`q=${live.token.slice(-4)}`, 'live'],
        [`createdAfter=${z(0)}`, 'used expired'],
        [`createdBefore=${z(1_000)}`, 'live'],
        [`createdAfter=${z(0)}&createdBefore=${z(10_000)}`, 'expired'],
        [`expiresBefore=${z(7_000)}`, 'expired'],
        ['expiresBefore=2099-01-01T00:00:00Z', 'expired live'],
        ['lastUsedBefore=never', 'expired live'],
        ['lastUsedBefore=2099-01-01T00:00:00Z', 'used'],
        [`lastUsedBefore=${z(10_000)}`, ''],
        ['limit=1', 'used'],
        ['q=nothing', ''],
      ] as const)
        t.equal(await mine(query), expected, query || 'no filter')
      t.equal(await found('subject=list_2'), 'disabled')
      t.equal(await found('subject=list_2&status=disabled'), 'disabled')
      t.equal(await found('subject=list_2&status=active'), '')
      t.equal(
        await found('subject=list_1&subject=list_2').catch(() => 'refused'),
        'refused',
        'twice is not once',
      )
      const states = (await call('GET', '/api/v1/tokens?subject=list_1&status=any')).body
      for (const token of states) t.equal(token.active, token.status === 'active')
      t.strictSame(
        states.map((token: { status: string }) => token.status),
        ['active', 'revoked', 'expired', 'active'],
      )
      clock.now = at
    })

    t.test(
      'a walk through the pages meets every token that was there, once, whatever happens meanwhile',
      async (t) => {
        const walker = await asAgent('walker')
        const before = await ids('subject=walker')
        for (let n = 0; n < 13; n++) {
          clock.now += n % 3
          before.push((await provision(latchkey, { subject: 'walker', name: `w${n}` })).id)
        }
        const met: string[] = []
        let next: string | null = '/api/v1/tokens?limit=4&status=any'
        for (let page = 0; next !== null && page < 20; page++) {
          const answer: Answer = await call('GET', next, undefined, { token: walker })
          t.equal(answer.status, 200)
          met.push(...answer.body.map((token: { id: string }) => token.id))
          const link = answer.headers.get('link')
          const parts =
            link === null
              ? null
              : /^<(https:\/\/keys\.example\/latch)(\/api\/v1\/tokens\?[^>]+)>; rel="next"$/.exec(link)
          if (link !== null) t.ok(parts, `absolute, on the issuer: ${link}`)
          next = parts?.[2] ?? null
          await provision(latchkey, { subject: 'walker', name: 'wnew' })
          await call('DELETE', path(met.at(-1)!))
          await call('DELETE', path(before[page + 1]!))
        }
        t.equal(new Set(met).size, met.length, 'none twice')
        t.strictSame(met, before.sort().reverse(), 'none left out, none that came later')
      },
    )

    t.test(
      'a cursor is good for the list and the caller it was made for, and for nothing else',
      async (t) => {
        const walker = await asAgent('cursor_1')
        const other = await asAgent('cursor_2')
        for (let n = 0; n < 3; n++) await provision(latchkey, { subject: 'cursor_1' })
        const list = (query: string, token = walker) =>
          call('GET', `/api/v1/tokens?${query}`, undefined, { token })
        const { headers } = await list('limit=1&status=any')
        const cursor = /cursor=([^&>]+)/.exec(headers.get('link')!)![1]!
        t.equal((await list(`limit=2&status=any&cursor=${cursor}`)).status, 200, 'another limit is fine')
        const bytes = Buffer.from(cursor, 'base64url')
        const flipped = (at: number) => {
          const copy = Buffer.from(bytes)
          copy[at]! ^= 1
          return copy.toString('base64url')
        }
        for (const [query, token] of [
          [`status=active&cursor=${cursor}`],
          [`cursor=${cursor}`],
          [`status=any&q=x&cursor=${cursor}`],
          [`status=any&cursor=${cursor}`, other],
          [`status=any&cursor=${cursor}`, latchkey.admin],
          ...[0, 15, 16, bytes.length - 1].map((at) => [`status=any&cursor=${flipped(at)}`] as const),
          [`status=any&cursor=${cursor.slice(0, -4)}`],
          [`status=any&cursor=${cursor}AAAA`],
          ['status=any&cursor='],
          ['status=any&cursor=x'],
          [`status=any&cursor=${Buffer.from('tok_zzz').toString('base64url')}`],
          [`status=any&cursor=${cursor}&cursor=${cursor}`],
        ] as const)
          refused(t, await list(query, token), 400, 'validation-failed', /cursor/, 'cursor')
        t.equal(
          (await call('GET', `/api/v1/audit-events?cursor=${cursor}`)).status,
          400,
          'nor for another list',
        )
      },
    )

    t.test('a use is seen after it was written, with the time of the last one', async (t) => {
      const { id, token } = await provision(latchkey)
      const at = clock.now
      const use = () => latchkey.form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))
      t.equal((await get(id)).lastUsedAt, null)
      const etag = (await call('GET', path(id))).headers.get('etag')!
      clock.now = at + 60_000
      await use()
      clock.now = at + 90_000
      await use()
      await latchkey.running.flushUsage()
      t.equal((await get(id)).lastUsedAt, iso(at + 90_000))
      t.equal((await call('GET', path(id), undefined, { headers: { 'if-none-match': etag } })).status, 200)
      const renamed = await call('PATCH', path(id), { name: 'used' }, { headers: { 'if-match': etag } })
      t.equal(renamed.status, 200, 'being used does not get in the way of a change')
      await call('DELETE', path(id))
      clock.now = at + 120_000
      await use()
      await latchkey.running.flushUsage()
      t.equal((await get(id)).lastUsedAt, iso(at + 90_000), 'a refused check is no use')
      clock.now = at
    })

    t.test('what does not exist is refused with the nearest name, never silently ignored', async (t) => {
      const post = (body: object) => call('POST', '/api/v1/tokens', { name: 'x', ...body })
      const unknown = (answer: Answer, detail: RegExp, at: string) =>
        refused(t, answer, 400, 'unknown-field', detail, at)
      unknown(await post({ expiresAt: null }), /Did you mean "expireAt"\?/, '/expiresAt')
      unknown(await post({ scope: 'posts:read' }), /Did you mean "scopes"\?/, '/scope')
      unknown(await post({ ipRestrictions: [] }), /Did you mean "ipRestriction"\?/, '/ipRestrictions')
      const { id } = await provision(latchkey)
      unknown(await call('PATCH', path(id), { nam: 'x' }), /Did you mean "name"\?/, '/nam')
      unknown(
        await call('GET', '/api/v1/tokens?createdAfer=x'),
        /Did you mean "createdAfter"\?/,
        'createdAfer',
      )
      unknown(await call('GET', '/api/v1/tokens?Status=any'), /Did you mean "status"\?/, 'Status')
      refused(
        t,
        await post({ scopes: ['posts:read', 'posts:wirte'] }),
        400,
        'unknown-scope',
        /No service declares the scope "posts:wirte"\. Did you mean "posts:write"\?/,
        '/scopes/1',
      )
      refused(
        t,
        await post({ scopes: ['posts:*'] }),
        400,
        'validation-failed',
        /resource:action/,
        '/scopes/0',
      )
      refused(
        t,
        await post({ audience: ['pots'] }),
        400,
        'validation-failed',
        /Did you mean "posts"\?/,
        '/audience/0',
      )
      for (const query of [
        'limit=0',
        'limit=101',
        'limit=x',
        'limit=1&limit=2',
        'status=alive',
        'createdAfter=yesterday',
      ])
        refused(
          t,
          await call('GET', `/api/v1/tokens?${query}`),
          400,
          'validation-failed',
          /./,
          query.split('=')[0]!,
        )
    })

    t.test('what is wrong is refused with what to write instead', async (t) => {
      const wrong = [
        [{ expiresIn: '90 days' }, /^expiresIn: Must be a duration, such as "90d"/, '/expiresIn'],
        [{ expiresIn: '' }, /Must be a duration/, '/expiresIn'],
        [{ expiresIn: '0d' }, /Must be in the future/, '/expiresIn'],
        [{ subject: 'user 42' }, /^subject: Must be: up to 100 of A-Z/, '/subject'],
        [{ team: 'team a' }, /^team: Must be: up to 100 of A-Z/, '/team'],
      ] as const
      for (const [body, detail, at] of wrong) {
        const answer = await call('POST', '/api/v1/tokens', { name: 'x', ...body })
        refused(t, answer, 400, 'validation-failed', detail, at)
        t.notMatch(answer.text, /anyOf/, 'how the schema says it is nobody’s business')
      }
      const form = await latchkey.form(
        '/api/v1/tokens',
        { name: 'x' },
        { authorization: `Bearer ${latchkey.admin}` },
      )
      t.match(form.body, { status: 415, detail: 'Send the body with Content-Type: application/json.' })
    })

    t.test('a time that is in the grammar and on no calendar is refused, not tripped over', async (t) => {
      for (const time of [
        '2026-12-31T23:59:60Z',
        '2027-01-01T00:00:00+02',
        '0000-01-01T00:00:00Z',
        '0001-01-01T00:00:00+23:59',
        '9999-12-31T23:59:59-23:59',
      ]) {
        for (const name of ['createdAfter', 'createdBefore', 'expiresBefore', 'lastUsedBefore'])
          t.equal(
            (await call('GET', `/api/v1/tokens?${name}=${encodeURIComponent(time)}`)).status,
            400,
            `${name}=${time}`,
          )
        t.equal((await call('GET', `/api/v1/audit-events?since=${encodeURIComponent(time)}`)).status, 400)
        t.equal((await call('POST', '/api/v1/tokens', { name: 'x', expireAt: time })).status, 400)
      }
      t.equal((await call('GET', '/api/v1/tokens?createdAfter=0001-01-01T00:00:00Z')).status, 200)
      t.equal((await call('GET', '/api/v1/tokens?createdAfter=9999-12-31T23:59:59Z')).status, 200)
    })

    t.test('a token shows and ends itself without any scope, and then it is nobody', async (t) => {
      const { id, token } = await provision(latchkey, { scopes: [], audience: ['posts'] })
      t.equal((await call('GET', '/api/v1/tokens/self', undefined, { token })).body.id, id)
      t.equal(
        (await call('GET', path(id), undefined, { token })).status,
        401,
        'in no other way: its audience is posts',
      )
      const ended = await call('DELETE', '/api/v1/tokens/self', undefined, { token })
      t.strictSame(ended.body, {
        message: 'Token revoked',
        status: 200,
        id,
        revokedAt: iso(clock.now),
        effectiveAt: iso(clock.now),
      })
      for (const method of ['GET', 'DELETE'])
        t.equal((await call(method, '/api/v1/tokens/self', undefined, { token })).status, 401)
      t.match(await get(id), { active: false, status: 'revoked', revokedAt: iso(clock.now) })
    })

    t.test(
      'a second revoke is answered like the first, with its time; it is effective with the answer',
      async (t) => {
        const { id } = await provision(latchkey)
        const at = clock.now
        await call('DELETE', path(id))
        clock.now = at + 5_000
        t.match((await call('DELETE', path(id))).body, {
          message: 'Token was already revoked',
          status: 200,
          id,
          revokedAt: iso(at),
          // The first may still be waiting for a replica.
          effectiveAt: iso(at + 5_000),
        })
        clock.now = at
      },
    )
  })
}

t.test('where tokens without end are not allowed, null is refused and silence is 90 days', async (t) => {
  const latchkey = await startLatchkey(t, 'pglite', { LATCHKEY_NEVER_EXPIRE: 'refuse' })
  const provisioned = (body: object) => latchkey.call('POST', '/api/v1/tokens', { name: 'x', ...body })
  t.match(await provisioned({ expireAt: null }), {
    status: 403,
    body: { code: 'policy-violation', detail: /Set expireAt/ },
  })
  t.equal((await provisioned({})).body.expireAt, iso(latchkey.clock.now + 90 * day))
})
