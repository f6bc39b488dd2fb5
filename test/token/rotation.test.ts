// A token gets a new secret without a moment in which none works; the old one ends exactly when it was said to, on every
// replica; nobody gets more by it than before. And a token can be paused.
import fc from 'fast-check'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { serverIdentity } from '../../src/db/preparing-client.ts'
import type { TokenPrincipal } from '../../src/guard/principal.ts'
import { Problem } from '../../src/http/problem.ts'
import type { ScopeRow } from '../../src/identity/queries.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { type Asker, judge } from '../../src/policy/judge.ts'
import { parseAddress } from '../../src/policy/network.ts'
import { closure } from '../../src/policy/scopes.ts'
import { cleanTokens } from '../../src/token/cleaning.ts'
import { type Existing, isAdmin, refuseWider } from '../../src/token/grants.ts'
import { warmUp } from '../../src/verify/warm.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import {
  type Answer,
  basic,
  type CallOptions,
  engines,
  type Latchkey,
  provision,
  registerPosts,
  startLatchkey,
} from '../helpers/latchkey.ts'
import { hold, persist, waiting } from '../helpers/races.ts'
import { everyRow } from '../helpers/rows.ts'

const hour = 3_600_000
const day = 24 * hour
const atOnce = 64

const rotation = (latchkey: Latchkey) => (id: string, body?: object, options?: CallOptions) =>
  latchkey.call('POST', `/api/v1/tokens/${id}/rotate`, body, options)

/** What the service `posts` is answered about a secret. */
const askingAs = (latchkey: Latchkey, posts: { id: string; secret: string }) => async (token: string) =>
  (await latchkey.form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))).body

for (const engine of engines) {
  t.test(engine, async (t) => {
    const latchkey = await startLatchkey(t, engine)
    const posts = await registerPosts(latchkey)
    const { call, clock } = latchkey
    const { db } = latchkey.running.store
    /** All that is stored, once what was noted is written. */
    const rows = async () => {
      await latchkey.running.flushUsage()
      return everyRow(db)
    }
    const iso = (ms: number) => new Date(clock.now + ms).toISOString()
    const introspect = askingAs(latchkey, posts)
    const areActive = async (...secrets: string[]) =>
      (await Promise.all(secrets.map(introspect))).map(({ active }) => active)
    const rotate = rotation(latchkey)
    const read = async (id: string) => (await call('GET', `/api/v1/tokens/${id}`)).body
    const events = async (id: string, action: string) =>
      (await call('GET', `/api/v1/audit-events?tokenId=${id}&action=${action}`)).body
    const refused = async (t: Test, answer: Promise<Answer>, status: number, code: string, detail = /./) => {
      const got = await answer
      t.match({ status: got.status, ...got.body }, { status, code, detail }, `${status} ${detail.source}`)
    }

    t.test(
      'a rotated token is the same token with another secret, and the old one ends at once',
      async (t) => {
        const made = await provision(latchkey, { scopes: ['posts:write'], description: 'd', team: 'team_a' })
        t.strictSame(await areActive(made.token), [true])
        const { status, headers, body } = await rotate(made.id)
        t.equal(status, 200)
        t.equal(headers.get('cache-control'), 'no-store')
        const { token, effectiveAt, ...view } = body
        t.match(token, /^lk_pat_[0-9A-Za-z]{36}$/)
        t.strictSame(view, {
          ...(await read(made.id)),
          lastUsedAt: view.lastUsedAt,
          secretVersion: 2,
          previousEnds: null,
          previousSecretValidUntil: null,
          hint: `lk_pat_${token.slice(7, 11)}…${token.slice(-4)}`,
        })
        const { token: _, hint, secretVersion, lastUsedAt, ...kept } = made
        t.match(view, kept, 'all else is as it was')
        t.equal(effectiveAt, iso(0))
        t.strictSame(await areActive(made.token, token), [false, true])
        t.match(await introspect(token), { jti: made.id, scope: 'posts:read posts:write', team: 'team_a' })
        t.notOk((await call('GET', `/api/v1/tokens/${made.id}`)).text.includes(token))
      },
    )

    t.test('what is recorded of a rotation says which secret, and contains none', async (t) => {
      const made = await provision(latchkey)
      const { body } = await rotate(made.id, { gracePeriod: '1h' })
      const [event] = await events(made.id, 'token.rotated')
      t.match(event, {
        actor: 'admin',
        detail: { secretVersion: 2, hint: body.hint, previousHint: made.hint, expireAt: made.expireAt },
      })
      t.equal(event.detail.previousEnd.at, iso(hour))
      for (const secret of [made.token, body.token])
        t.notOk(JSON.stringify(event).includes(secret.slice(7, 37)))
    })

    t.test(
      'within the grace period both secrets work, and the old one ends to the millisecond',
      async (t) => {
        const begun = clock.now
        for (const gracePeriod of ['24h', 'PT24H', '1d', 86_400]) {
          const made = await provision(latchkey)
          const { body } = await rotate(made.id, { gracePeriod })
          t.match(body, { previousEnds: 'grace', previousSecretValidUntil: iso(day) }, String(gracePeriod))
          t.strictSame(await areActive(made.token, body.token), [true, true])
          t.equal((await introspect(made.token)).exp, (begun + day) / 1000, 'who asks is told when')
          clock.now = begun + day - 1
          t.strictSame(await areActive(made.token, body.token), [true, true])
          t.equal((await read(made.id)).previousEnds, 'grace')
          clock.now = begun + day
          t.strictSame(await areActive(made.token, body.token), [false, true])
          t.match(await read(made.id), { previousEnds: null, previousSecretValidUntil: null })
          clock.now = begun
        }
      },
    )

    t.test('a grace period that says nothing, or too much, is refused; 0 is none', async (t) => {
      const made = await provision(latchkey)
      for (const gracePeriod of ['', 'soon', 'P', 'PT', '-1h', '24 h', '91d', 1e15, -1, null, true, []])
        await refused(t, rotate(made.id, { gracePeriod }), 400, 'validation-failed')
      await refused(t, rotate(made.id, { previousEnds: 'never' }), 400, 'validation-failed')
      await refused(t, rotate(made.id, { grace: '1h' }), 400, 'unknown-field')
      t.equal((await read(made.id)).secretVersion, 1)
      const { body } = await rotate(made.id, { gracePeriod: 0 })
      t.equal(body.previousEnds, null)
      t.strictSame(await areActive(made.token, body.token), [false, true])
    })

    t.test('a grace period extends no expiry, and a later expiry extends no old secret', async (t) => {
      const begun = clock.now
      const made = await provision(latchkey, { expiresIn: '2h' })
      const { body } = await rotate(made.id, { gracePeriod: '24h' })
      t.match(body, { expireAt: made.expireAt, previousSecretValidUntil: made.expireAt })
      clock.now = begun + 2 * hour
      t.strictSame(await areActive(made.token, body.token), [false, false])
      clock.now = begun

      for (const previousEnds of ['grace', 'first-use']) {
        const short = await provision(latchkey, { expiresIn: '2h' })
        const longer = await rotate(short.id, { gracePeriod: '24h', previousEnds, expiresIn: '30d' })
        t.match(longer.body, { expireAt: iso(30 * day), previousSecretValidUntil: short.expireAt })
        clock.now = begun + 2 * hour
        t.strictSame(await areActive(short.token, longer.body.token), [false, true])
        clock.now = begun
      }
      const waits = await provision(latchkey, { expiresIn: '2h' })
      const open = await rotate(waits.id, { previousEnds: 'first-use', expiresIn: '30d' })
      t.equal(open.body.previousSecretValidUntil, waits.expireAt)
    })

    t.test(
      'rotated again within the grace period, the oldest secret ends at once: two live ones at most',
      async (t) => {
        const made = await provision(latchkey)
        const second = await rotate(made.id, { gracePeriod: '24h' })
        t.strictSame(await areActive(made.token, second.body.token), [true, true])
        const third = await rotate(made.id, { gracePeriod: '24h' })
        t.strictSame(await areActive(made.token, second.body.token, third.body.token), [false, true, true])
        const fourth = await rotate(made.id)
        t.strictSame(await areActive(made.token, second.body.token, third.body.token, fourth.body.token), [
          false,
          false,
          false,
          true,
        ])
        t.equal(fourth.body.secretVersion, 4)
      },
    )

    t.test('a token that is not active is not rotated, and nothing of it changes', async (t) => {
      const begun = clock.now
      const revoked = await provision(latchkey)
      await call('DELETE', `/api/v1/tokens/${revoked.id}`)
      const expired = await provision(latchkey, { expiresIn: 60 })
      const paused = await provision(latchkey)
      await call('POST', `/api/v1/tokens/${paused.id}/disable`)
      const owned = await provision(latchkey, { subject: 'leaver' })
      await call('PATCH', '/api/v1/subjects/leaver', { disabled: true })
      clock.now = begun + 60_000
      const before = await rows()
      for (const [one, why] of [
        [revoked, /revoked/],
        [expired, /expired/],
        [paused, /disabled/],
        [owned, /disabled/],
      ] as const)
        await refused(t, rotate(one.id, { expiresIn: '30d' }), 409, 'conflict', why)
      await refused(t, rotate('tok_00000000000000000000000000'), 404, 'not-found')
      await refused(t, rotate('nothing'), 404, 'not-found')
      t.equal(await rows(), before)
      clock.now = begun
    })

    t.test('a federated token is not rotated: it would outlive the job it was made for', async (t) => {
      const made = await provision(latchkey)
      await db.updateTable('token').set({ type: 'federated' }).where('id', '=', made.id).execute()
      await refused(t, rotate(made.id), 403, 'policy-violation', /federated/)
      t.strictSame(await areActive(made.token), [true])
    })

    t.test('however many rotate at once, one secret lives', async (t) => {
      // CVE-2026-1035 and others: rotations that overtook each other left several.
      const made = await provision(latchkey)
      const answers = await Promise.all(Array.from({ length: atOnce }, () => persist(() => rotate(made.id))))
      t.strictSame([...new Set(answers.map(({ status }) => status))], [200])
      const secrets = answers.map(({ body }) => body.token as string)
      const live = (await areActive(...secrets)).filter(Boolean)
      t.equal(live.length, 1)
      t.strictSame(
        answers.map(({ body }) => body.secretVersion).sort((a, b) => a - b),
        Array.from({ length: atOnce }, (_, n) => n + 2),
      )
      const last = answers.find(({ body }) => body.secretVersion === atOnce + 1)!
      t.strictSame(await areActive(made.token, last.body.token), [false, true])
      const { rows } = await sql<{ n: number }>`
        select count(*)::int as n from token_secret where token_id = ${made.id} and not ended`.execute(db)
      t.equal(rows[0]!.n, 1)
    })

    t.test('however many rotate at once with a grace period, two secrets live', async (t) => {
      const made = await provision(latchkey)
      const answers = await Promise.all(
        Array.from({ length: 16 }, () => persist(() => rotate(made.id, { gracePeriod: '1h' }))),
      )
      const secrets = [made.token, ...answers.map(({ body }) => body.token as string)]
      t.equal((await areActive(...secrets)).filter(Boolean).length, 2)
    })

    t.test('the use of a secret after its end is recorded as that, and punished by nothing', async (t) => {
      const begun = clock.now
      const made = await provision(latchkey)
      const { body } = await rotate(made.id, { gracePeriod: '1h' })
      const check = (token: string) => call('POST', '/api/v1/verify', { token })
      clock.now = begun + hour
      t.match((await check(made.token)).body, { valid: false, code: 'rotated' })
      const third = await rotate(made.id)
      t.match((await check(body.token)).body, { valid: false, code: 'rotated' })
      t.equal((await introspect(made.token)).active, false)
      t.equal((await call('GET', '/api/v1/tokens/self', undefined, { token: made.token })).status, 401)
      await latchkey.running.flushUsage()
      const all = await events(made.id, 'token.refused')
      const [event] = all
      t.equal(
        all.reduce((sum: number, one: { detail: { count: number } }) => sum + one.detail.count, 0),
        4,
      )
      t.match(event, { actor: 'latchkey', detail: { code: 'rotated' } })
      t.strictSame(await areActive(third.body.token), [true])
      clock.now = begun
    })

    t.test('a secret that ended long ago is unknown in the end, and the token is as it was', async (t) => {
      const made = await provision(latchkey, { expireAt: null })
      const { body } = await rotate(made.id)
      await cleanTokens(db, new Date(clock.now + 89 * day))
      const versions = () =>
        db.selectFrom('token_secret').select('version').where('token_id', '=', made.id).execute()
      t.equal((await versions()).length, 2)
      await cleanTokens(db, new Date(clock.now + 90 * day))
      t.strictSame(await versions(), [{ version: 2 }])
      t.strictSame(await areActive(made.token, body.token), [false, true])
      t.equal((await rotate(made.id)).status, 200)
    })

    t.test(
      'with first-use the old secret works until the new one is found good, and then no more',
      async (t) => {
        const made = await provision(latchkey)
        const { body } = await rotate(made.id, { previousEnds: 'first-use' })
        t.match(body, { previousEnds: 'first-use', previousSecretValidUntil: null })
        t.strictSame(await areActive(made.token), [true])
        await latchkey.running.flushUsage()
        t.strictSame(await areActive(made.token), [true], 'its own use ends nothing')

        const denied = { token: body.token, requiredScopes: ['posts:write'] }
        t.equal((await call('POST', '/api/v1/verify', denied)).body.code, 'missing_scope')
        await latchkey.running.flushUsage()
        t.strictSame(await areActive(made.token), [true], 'nor does a check that finds the new one wanting')

        t.strictSame(await areActive(body.token), [true])
        await latchkey.running.flushUsage()
        t.strictSame(await areActive(made.token, body.token), [false, true])
        t.match(await read(made.id), { previousEnds: null, previousSecretValidUntil: null, secretVersion: 2 })
        t.equal((await call('POST', '/api/v1/verify', { token: made.token })).body.code, 'rotated')
        const ended = await events(made.id, 'token.secret_ended')
        t.match(ended, [{ actor: 'latchkey', detail: { secretVersion: 1 } }])
        t.equal(ended.length, 1)
      },
    )

    t.test('first-use happens without anybody asking for it, soon after the check', async (t) => {
      const made = await provision(latchkey)
      const { body } = await rotate(made.id, { previousEnds: 'first-use' })
      t.strictSame(await areActive(body.token), [true])
      const begun = performance.now()
      while ((await introspect(made.token)).active) if (performance.now() - begun > 5_000) break
      t.equal((await introspect(made.token)).active, false)
      t.comment(`${(performance.now() - begun).toFixed(0)} ms after the check`)
    })

    t.test('with first-use and a grace period, whichever comes first', async (t) => {
      const begun = clock.now
      const made = await provision(latchkey)
      const { body } = await rotate(made.id, { previousEnds: 'first-use', gracePeriod: '1h' })
      t.match(body, { previousEnds: 'first-use', previousSecretValidUntil: iso(hour) })
      clock.now = begun + hour
      t.strictSame(await areActive(made.token), [false])
      t.equal((await read(made.id)).previousEnds, null)
      clock.now = begun
      t.strictSame(await areActive(body.token), [true])
      await latchkey.running.flushUsage()
      t.strictSame(await areActive(made.token, body.token), [false, true])
    })

    t.test(
      'a use that was noted before the next rotation does not end what that one left alive',
      async (t) => {
        const made = await provision(latchkey)
        const second = await rotate(made.id, { previousEnds: 'first-use' })
        t.strictSame(await areActive(second.body.token), [true])
        const third = await rotate(made.id, { previousEnds: 'first-use' })
        await latchkey.running.flushUsage()
        t.strictSame(await areActive(made.token, second.body.token), [false, true])
        await latchkey.running.flushUsage()
        t.strictSame(await areActive(second.body.token), [true], 'until its own successor is used')
        t.strictSame(await areActive(third.body.token), [true])
        await latchkey.running.flushUsage()
        t.strictSame(await areActive(second.body.token, third.body.token), [false, true])
      },
    )

    t.test('what ends a token ends both of its secrets, whichever it is asked with', async (t) => {
      const twoSecrets = async () => {
        const made = await provision(latchkey)
        const { body } = await rotate(made.id, { gracePeriod: '24h' })
        t.strictSame(await areActive(made.token, body.token), [true, true])
        return { id: made.id as string, old: made.token as string, young: body.token as string }
      }
      const ways: Record<string, (one: Awaited<ReturnType<typeof twoSecrets>>) => Promise<Answer>> = {
        revoke: ({ id }) => call('DELETE', `/api/v1/tokens/${id}`),
        'revoke self by the old': ({ old }) =>
          call('DELETE', '/api/v1/tokens/self', undefined, { token: old }),
        'RFC 7009 by the old': ({ old }) =>
          latchkey.form('/oauth2/revoke', { token: old }, basic(posts.id, posts.secret)),
        'RFC 7009 by the new': ({ young }) =>
          latchkey.form('/oauth2/revoke', { token: young }, basic(posts.id, posts.secret)),
        disable: ({ id }) => call('POST', `/api/v1/tokens/${id}/disable`),
      }
      for (const [name, end] of Object.entries(ways)) {
        const one = await twoSecrets()
        t.equal((await end(one)).status, 200)
        t.strictSame(await areActive(one.old, one.young), [false, false], name)
        t.equal((await read(one.id)).active, false)
      }
      const narrowed = await twoSecrets()
      await call('PATCH', `/api/v1/tokens/${narrowed.id}`, { scopes: [], expiresIn: '1h' })
      t.match(await read(narrowed.id), { previousSecretValidUntil: iso(hour), expireAt: iso(hour) })
      for (const secret of [narrowed.old, narrowed.young]) {
        const { scope, exp } = await introspect(secret)
        t.strictSame({ scope, exp }, { scope: undefined, exp: (clock.now + hour) / 1000 })
      }
    })

    t.test('an end may be made earlier, and later as far as such a token could be provisioned', async (t) => {
      await call('POST', '/api/v1/services', { id: 'vault', name: 'Vault' })
      await call('PUT', '/api/v1/services/vault/scopes', {
        groups: [{ id: 'g', title: 'G' }],
        scopes: [{ name: 'vault:open', title: 'Open', group: 'g', maxLifetimeDays: 2 }],
      })
      const made = await provision(latchkey, { expiresIn: '10d' })
      t.equal((await rotate(made.id)).body.expireAt, made.expireAt)
      t.equal((await rotate(made.id, { expiresIn: '5d' })).body.expireAt, iso(5 * day))
      t.equal((await rotate(made.id, { expireAt: iso(50 * day) })).body.expireAt, iso(50 * day))
      t.equal((await rotate(made.id, { expireAt: null })).body.expireAt, null)
      t.equal((await rotate(made.id, { expireAt: null })).body.expireAt, null)
      await refused(t, rotate(made.id, { expireAt: iso(-1) }), 400, 'validation-failed')
      await refused(t, rotate(made.id, { expireAt: null, expiresIn: 5 }), 400, 'validation-failed')

      const bounded = await provision(latchkey, { scopes: ['vault:open'], expiresIn: '1d' })
      t.equal((await rotate(bounded.id, { expiresIn: '2d' })).body.expireAt, iso(2 * day))
      for (const end of [{ expiresIn: '3d' }, { expireAt: null }])
        await refused(t, rotate(bounded.id, end), 403, 'policy-violation', /maximum lifetime/)
    })

    let count = 0
    /** A token that may manage those of its subject, and one of that subject to rotate. */
    const manager = async (held: object, target: object) => {
      const subject = `manager_${count++}`
      const { token } = await provision(latchkey, {
        subject,
        scopes: ['tokens:write', 'posts:read'],
        ...held,
      })
      const made = await provision(latchkey, { subject, ...target })
      return { made, rotate: (body?: object) => rotate(made.id, body, { token }), token }
    }

    t.test('nobody gets at the rights of a wider token by rotating it', async (t) => {
      // GitLab #418878: rotating handed an owner's token to a maintainer.
      const cases: [held: object, target: object, what: RegExp][] = [
        [{}, { scopes: ['posts:write'] }, /posts:write is what the token that asks for this may not give/],
        [{}, { scopes: ['posts:read', 'audit:read'] }, /audit:read/],
        [{}, { scopes: ['tokens:admin'] }, /tokens:admin/],
        [{ ipRestriction: '127.0.0.0/8' }, {}, /ipRestriction/],
        [{ ipRestriction: '127.0.0.0/8' }, { ipRestriction: '127.0.0.1, 192.0.2.1' }, /ipRestriction/],
        [{ team: 'team_a' }, {}, /team/],
        [{ team: 'team_a' }, { team: 'team_b' }, /team/],
        [{ audience: ['latchkey'] }, {}, /audience/],
        [{ audience: ['latchkey'] }, { audience: ['latchkey', 'posts'] }, /audience/],
        [{ expiresIn: '1d' }, { expiresIn: '2d' }, /outlive/],
        [{ expiresIn: '1d' }, { expireAt: null }, /outlive/],
      ]
      for (const [held, target, what] of cases) {
        const one = await manager(held, target)
        const before = await rows()
        await refused(t, one.rotate(), 403, 'policy-violation', what)
        t.equal(await rows(), before)
        t.strictSame(await areActive(one.made.token), [!('ipRestriction' in target)], 'and it lives on')
      }
      const equal = { ipRestriction: '127.0.0.0/8', team: 'team_a', audience: ['latchkey'], expiresIn: '1d' }
      t.equal((await (await manager(equal, { ...equal, scopes: ['posts:read'] })).rotate()).status, 200)
      const shortened = await manager({ expiresIn: '1d' }, { expireAt: null })
      t.equal((await shortened.rotate({ expiresIn: '1d' })).body.expireAt, iso(day))
      await refused(t, shortened.rotate({ expiresIn: '2d' }), 403, 'policy-violation', /outlive/)
    })

    t.test('a scope that is declared no more counts, as it may be declared again', async (t) => {
      const scopes = (...names: string[]) => ({
        groups: [{ id: 'g', title: 'G' }],
        scopes: names.map((name) => ({ name, title: name, group: 'g' })),
      })
      await call('POST', '/api/v1/services', { id: 'fading', name: 'F' })
      await call('PUT', '/api/v1/services/fading/scopes', scopes('fading:use'))
      const one = await manager({}, { scopes: ['fading:use'] })
      await call('PUT', '/api/v1/services/fading/scopes', scopes())
      await refused(t, one.rotate(), 403, 'policy-violation', /fading:use/)
      t.equal((await rotate(one.made.id)).status, 200, 'an admin rotates it')
    })

    t.test(
      'an admin rotates what products guard, and of Latchkey itself only what it could give',
      async (t) => {
        const admin = await provision(latchkey, { subject: 'helpdesk', scopes: ['tokens:admin'] })
        const as = { token: admin.token }
        const product = await provision(latchkey, {
          scopes: ['posts:write'],
          team: 'team_x',
          expiresIn: '1d',
        })
        t.equal((await rotate(product.id, {}, as)).status, 200)
        const other = await provision(latchkey, { scopes: ['services:admin'], expiresIn: '1d' })
        await refused(t, rotate(other.id, {}, as), 403, 'policy-violation', /services:admin/)
        const first = (await call('GET', '/api/v1/tokens?subject=admin')).body[0]
        await refused(t, rotate(first.id, {}, as), 403, 'policy-violation')
      },
    )

    t.test(
      'another subject’s token cannot be rotated or paused, and looks as if it were not there',
      async (t) => {
        const { token } = await manager({}, {})
        const other = await provision(latchkey)
        const before = await rows()
        for (const verb of ['rotate', 'disable', 'enable'])
          await refused(
            t,
            call('POST', `/api/v1/tokens/${other.id}/${verb}`, undefined, { token }),
            404,
            'not-found',
          )
        t.equal(await rows(), before)
      },
    )

    t.test('with tokens:rotate-self a token rotates itself and nothing else', async (t) => {
      const made = await provision(latchkey, {
        scopes: ['tokens:rotate-self', 'posts:read'],
        expiresIn: '9d',
      })
      const sibling = await provision(latchkey, { scopes: ['posts:read'] })
      const as = { token: made.token }
      const self = (body?: object, options = as) => rotate('self', body, options)
      await refused(t, rotate(sibling.id, {}, as), 403, 'insufficient-scope')
      await refused(t, rotate(made.id, {}, as), 403, 'insufficient-scope')
      await refused(t, self({ expiresIn: '10d' }), 403, 'policy-violation', /no token outlives/)
      const { status, body } = await self({ gracePeriod: '1h' })
      t.match(
        { status, id: body.id, expireAt: body.expireAt },
        { status: 200, id: made.id, expireAt: made.expireAt },
      )
      t.strictSame(await areActive(made.token, body.token), [true, true])
      const event = (await events(made.id, 'token.rotated'))[0]
      t.match(event, { actor: 'user_42', actorTokenId: made.id })

      await refused(t, self({}), 409, 'conflict', /replaced/)
      t.strictSame(await areActive(made.token, body.token), [true, true], 'the successor is left alone')
      const again = await self({}, { token: body.token })
      t.equal(again.status, 200)
      t.strictSame(await areActive(made.token, body.token, again.body.token), [false, false, true])
      t.equal((await self({}, { token: sibling.token })).status, 403)
    })

    t.test('of many jobs that rotate their token at once, one gets the successor', async (t) => {
      for (const body of [{}, { gracePeriod: '1h' }, { previousEnds: 'first-use' }]) {
        const made = await provision(latchkey, { scopes: ['tokens:rotate-self'] })
        const answers = await Promise.all(
          Array.from({ length: atOnce }, () => persist(() => rotate('self', body, { token: made.token }))),
        )
        const won = answers.filter(({ status }) => status === 200)
        t.equal(won.length, 1)
        const lost = new Set(answers.map(({ status }) => status).filter((status) => status !== 200))
        t.ok(
          [...lost].every((status) => status === 401 || status === 409),
          [...lost].join(),
        )
        t.strictSame(await areActive(won[0]!.body.token), [true])
      }
    })

    t.test('disabled is a pause: nothing of the token is lost', async (t) => {
      const made = await provision(latchkey)
      const pause = (verb: string, options?: CallOptions) =>
        call('POST', `/api/v1/tokens/${made.id}/${verb}`, undefined, options)
      t.strictSame(await areActive(made.token), [true])
      for (let round = 0; round < 2; round++) {
        const { status, body } = await pause('disable')
        t.match(
          { status, paused: body.status, ...body },
          { status: 'disabled', active: false, effectiveAt: iso(0) },
        )
        t.equal(status, 200)
        t.strictSame(await areActive(made.token), [false])
        t.equal((await call('POST', '/api/v1/verify', { token: made.token })).body.code, 'disabled')
      }
      for (let round = 0; round < 2; round++) {
        t.match((await pause('enable')).body, { status: 'active', active: true, effectiveAt: iso(0) })
        t.strictSame(await areActive(made.token), [true])
      }
      for (const action of ['token.disabled', 'token.enabled'])
        t.equal((await events(made.id, action)).length, 1, `${action} is recorded when something changed`)
      await call('DELETE', `/api/v1/tokens/${made.id}`)
      for (const verb of ['disable', 'enable']) await refused(t, pause(verb), 409, 'conflict', /revoked/)
    })

    t.test('what an admin has paused, its owner does not let go on', async (t) => {
      const { made, token } = await manager({}, {})
      const as = { token }
      const pause = (verb: string, options?: CallOptions) =>
        call('POST', `/api/v1/tokens/${made.id}/${verb}`, undefined, options)
      await pause('disable', as)
      t.equal((await pause('enable', as)).status, 200, 'its own pause it ends')
      await pause('disable', as)
      t.equal((await pause('disable')).status, 200, 'an admin’s pause takes the place of the owner’s')
      await refused(t, pause('enable', as), 403, 'policy-violation', /admin/)
      await pause('disable', as)
      await refused(t, pause('enable', as), 403, 'policy-violation', /admin/)
      t.strictSame(await areActive(made.token), [false])
      t.equal((await pause('enable')).status, 200)
      t.strictSame(await areActive(made.token), [true])
    })

    t.test('who prefers not to wait is told by when it is effective', async (t) => {
      const headers = { prefer: 'respond-async' }
      const made = await provision(latchkey)
      const path = `/api/v1/tokens/${made.id}`
      for (const verb of ['rotate', 'disable', 'enable']) {
        const answer = await call('POST', `${path}/${verb}`, undefined, { headers })
        t.equal(answer.status, 202)
        t.equal(answer.headers.get('preference-applied'), 'respond-async')
        t.match(answer.body, { effectiveBy: iso(2_000), effectiveAt: undefined })
        t.equal('token' in answer.body, verb === 'rotate')
      }
    })

    t.test('an ETag changes with what a rotation changes, by itself too', async (t) => {
      const begun = clock.now
      const made = await provision(latchkey)
      const etag = async () => (await call('GET', `/api/v1/tokens/${made.id}`)).headers.get('etag')
      const seen = [await etag()]
      await rotate(made.id, { gracePeriod: '1h' })
      seen.push(await etag())
      clock.now = begun + hour
      seen.push(await etag())
      t.equal(new Set(seen).size, 3)
      clock.now = begun
    })

    if (engine === 'postgres') {
      t.test('what a secret has begun is not finished once its end is acknowledged', async (t) => {
        const made = await provision(latchkey, { scopes: ['tokens:write', 'posts:read'] })
        await latchkey.running.flushUsage()
        const held = await hold(db, 'audit_event')
        const rotating = rotate(made.id)
        await waiting(db, 1)
        const minting = call('POST', '/api/v1/tokens', { name: 'late' }, { token: made.token })
        await waiting(db, 2)
        await held.release()
        t.strictSame([(await rotating).status, (await minting).status], [200, 401])
      })

      t.test('warm memory has both live secrets of a token, and none that has ended', async (t) => {
        const made = await provision(latchkey)
        await rotate(made.id)
        await rotate(made.id, { previousEnds: 'first-use', gracePeriod: '1h' })
        const { rows } = await sql<{ server: string }>`select ${sql.raw(serverIdentity)} as server`.execute(
          db,
        )
        const loaded: Facts[] = []
        await warmUp({
          db,
          server: () => rows[0]!.server,
          keyId: (await db.selectFrom('digest_key').select('id').executeTakeFirstOrThrow()).id,
          capacity: 100_000,
          mark: () => 0,
          reserve: () => {},
          remember: (_digest, facts) => loaded.push(facts),
        })
        const ours = loaded.filter(({ tokenId }) => tokenId === made.id)
        t.strictSame(
          ours.map(({ endsAt, endsVersion, state }) => ({ endsAt, endsVersion, state })).sort(byEnd),
          [
            { endsAt: null, endsVersion: 2, state: 'active' },
            { endsAt: clock.now + hour, endsVersion: null, state: 'active' },
          ],
        )
      })
    }
  })
}

const byEnd = (a: { endsAt: number | null }, b: { endsAt: number | null }) =>
  (a.endsAt ?? 0) - (b.endsAt ?? 0)

t.test('what one replica acknowledges, every other one answers by, whatever its clock says', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const replicas = await Promise.all([1, 2].map(() => startLatchkey(t, 'postgres', { DATABASE_URL: url })))
  const [here, there] = replicas as [Latchkey, Latchkey]
  // Far more than clocks that are kept by one database can differ.
  there.clock.now = here.clock.now - 5_000
  const posts = await registerPosts(here)
  const asking = replicas.map((one) => askingAs(one, posts))
  const seen = async (secret: string) =>
    (await Promise.all(asking.map((introspect) => introspect(secret)))).map(({ active }) => active)
  let worst = 0
  for (let round = 0; round < 12; round++) {
    const made = await provision(here)
    const changing = replicas[round % 2]!
    t.strictSame(await seen(made.token), [true, true])
    const begun = performance.now()
    const { body } = await rotation(changing)(made.id)
    t.strictSame(await seen(made.token), [false, false], `round ${round}: the old secret`)
    t.strictSame(await seen(body.token), [true, true], 'the new one')
    await changing.call('POST', `/api/v1/tokens/${made.id}/disable`)
    t.strictSame(await seen(body.token), [false, false], 'disabled')
    await changing.call('POST', `/api/v1/tokens/${made.id}/enable`)
    t.strictSame(await seen(body.token), [true, true], 'enabled')
    const next = await rotation(changing)(made.id, { previousEnds: 'first-use' })
    t.strictSame(await seen(next.body.token), [true, true])
    for (const one of replicas) await one.running.flushUsage()
    t.strictSame(await seen(body.token), [false, false], 'after the first use')
    worst = Math.max(worst, performance.now() - begun)
  }
  const { body } = await here.call('GET', '/api/v1/audit-events?action=token.secret_ended&limit=100')
  t.equal(body.length, 12, 'both saw a first use, each end is recorded once')
  t.comment(`slowest round: ${worst.toFixed(0)} ms`)
})

t.test(
  'whoever rotates whatever: the new secret is nowhere and never good where the asker is not',
  async (t) => {
    const now = Date.parse('2026-11-22T12:00:00Z')
    const row = (service_id: string, name: string, implies: string[] = []): ScopeRow => ({
      name,
      service_id,
      group_id: 'g',
      title: name,
      description: null,
      risk: 'low',
      implies,
      closure: [],
      max_lifetime_days: null,
      position: 0,
    })
    const rows = [
      row('latchkey', 'tokens:read'),
      row('latchkey', 'tokens:write', ['tokens:read']),
      row('latchkey', 'tokens:admin', ['tokens:read', 'tokens:write']),
      row('latchkey', 'audit:read'),
      row('posts', 'posts:read'),
      row('posts', 'posts:write', ['posts:read']),
    ]
    const implies = new Map(rows.map((one) => [one.name, one.implies]))
    const declared = new Map(rows.map((one) => [one.name, { ...one, closure: closure(one.name, implies) }]))
    const reached = (scopes: readonly string[]) => [
      ...new Set(scopes.flatMap((scope) => declared.get(scope)?.closure ?? [scope])),
    ]
    const scopes = fc.uniqueArray(fc.constantFrom(...declared.keys(), 'gone:use'), { maxLength: 3 })
    const ranges = fc.uniqueArray(fc.constantFrom('10.0.0.0/8', '10.1.0.0/16', '10.1.2.3', '0.0.0.0/0'), {
      maxLength: 2,
    })
    const team = fc.constantFrom(null, 'team_a', 'team_b')
    const audience = fc.uniqueArray(fc.constantFrom('posts', 'latchkey'), { maxLength: 2 })
    const end = fc.option(fc.integer({ min: 1, max: 5 }).map((days) => now + days * day))
    const bounds = fc.record({ scopes, ranges, team, audience, end })

    const facts = (
      one: { scopes: readonly string[]; ranges: readonly string[]; end: number | null } & Pick<
        Facts,
        'team' | 'audience'
      >,
    ): Facts => ({
      tokenId: 'tok_1',
      type: 'personal',
      subject: 'user_42',
      team: one.team,
      audience: one.audience,
      scopes: reached(one.scopes),
      ranges: one.ranges,
      createdAt: now,
      expireAt: one.end,
      endsAt: null,
      endsVersion: null,
      state: 'active',
    })
    const askers: Asker[] = ['posts', 'latchkey', 'billing'].map((id) => ({
      kind: 'service',
      id,
      checksIp: false,
    }))
    const questions = fc.record({
      asker: fc.constantFrom(...askers),
      clientIp: fc.constantFrom(
        ...['10.1.2.3', '10.1.9.9', '10.200.0.1', '192.0.2.1'].map((ip) => parseAddress(ip)),
      ),
      requiredScopes: fc.uniqueArray(fc.constantFrom(...declared.keys(), 'gone:use'), { maxLength: 2 }),
      team,
    })

    /** `check` lets it through, and then the token is good where its asker is not. */
    const escapes = (check: typeof refuseWider) =>
      fc.check(
        fc.property(bounds, bounds, questions, fc.nat(6 * day), (held, target, question, later) => {
          // What is declared no more gives its holder nothing.
          const known = held.scopes.filter((scope) => declared.has(scope))
          const maker: TokenPrincipal = {
            kind: 'token',
            asker: { kind: 'unregistered' },
            facts: facts({ ...held, scopes: known }),
          }
          const token: Existing = { ...target, expireAt: target.end === null ? null : new Date(target.end) }
          try {
            check(token, declared, maker)
          } catch (error) {
            if (error instanceof Problem) return true
            throw error
          }
          const isOwn = (scope: string) => declared.get(scope)?.service_id === 'latchkey'
          // Handing out what products guard is what an admin is for; a token for Latchkey itself is another admin.
          const hands = isAdmin(maker)
          const isFree = hands && !reached(target.scopes).some(isOwn)
          const requiredScopes = question.requiredScopes.filter((scope) => !hands || isOwn(scope))
          const asked = { ...question, requiredScopes, ...(isFree && { team: null }) }
          const here = (one: Facts): Facts => (isFree ? { ...one, team: null, audience: [] } : one)
          const isGood = (one: Facts) => judge(here(one), asked, now + later).active
          return !isGood(facts(target)) || isGood(maker.facts)
        }),
        { numRuns: 20_000 },
      )

    t.match(escapes(refuseWider), { failed: false })
    const saboteurs: Record<string, (token: Existing) => Existing> = {
      scopes: (token) => ({ ...token, scopes: [] }),
      ranges: (token) => ({ ...token, ranges: ['10.1.2.3'] }),
      team: (token) => ({ ...token, team: 'team_a' }),
      audience: (token) => ({ ...token, audience: ['latchkey'] }),
      end: (token) => ({ ...token, expireAt: new Date(now) }),
    }
    for (const [bound, blind] of Object.entries(saboteurs)) {
      const { failed } = escapes((token, all, maker) => refuseWider(blind(token), all, maker))
      t.equal(failed, true, `a check that does not look at ${bound} is found out`)
    }
  },
)
