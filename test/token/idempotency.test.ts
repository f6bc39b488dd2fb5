// Whoever got no answer asks again with the same key: the work is done once, the answer is the same, and what is kept for
// that opens only for who has the key and might have the answer anyway.
import { randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openPostgres } from '../../src/db/postgres.ts'
import { cleanTokens } from '../../src/token/cleaning.ts'
import { canonical, readIdempotencyKey, retryKey } from '../../src/token/idempotency-key.ts'
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
import { bearer, command, started } from '../helpers/shipped.ts'

const minute = 60_000
const atOnce = 64

/** Calls with a key. */
const keyed =
  ({ call }: Latchkey) =>
  (path: string, key: string, body?: unknown, { headers, ...options }: CallOptions = {}) =>
    call('POST', path, body, { ...options, headers: { 'idempotency-key': key, ...headers } })

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
    const ask = keyed(latchkey)
    let count = 0
    /** A subject of its own, so that its tokens can be counted. */
    const wish = (more: object = {}) => ({ name: 'ci', subject: `wisher_${count++}`, ...more })
    const tokensOf = async (subject: string) =>
      (await call('GET', `/api/v1/tokens?subject=${subject}&status=any&limit=100`)).body
    const isActive = async (token: string) =>
      (await latchkey.form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))).body.active
    const refused = async (t: Test, answer: Promise<Answer>, status: number, code: string, detail = /./) => {
      const got = await answer
      t.match({ status: got.status, ...got.body }, { status, code, detail }, `${status} ${detail.source}`)
      return got
    }

    t.test('provisioning again with the same key gives the same token, word for word', async (t) => {
      const body = wish({ scopes: ['posts:read'] })
      const key = randomUUID()
      const first = await ask('/api/v1/tokens', key, body)
      t.equal(first.status, 200)
      t.equal(first.headers.get('idempotency-replayed'), null)
      clock.now += 9 * minute
      for (let round = 0; round < 3; round++) {
        const again = await ask('/api/v1/tokens', key, body)
        t.equal(again.status, 200)
        t.equal(again.text, first.text)
        t.equal(again.headers.get('idempotency-replayed'), 'true')
        for (const name of ['location', 'cache-control'])
          t.equal(again.headers.get(name), first.headers.get(name), name)
      }
      t.equal((await tokensOf(body.subject)).length, 1)
      t.equal(await isActive(first.body.token), true)
      const events = await call('GET', `/api/v1/audit-events?tokenId=${first.body.id}`)
      t.equal(events.body.length, 1, 'and was recorded once')
    })

    t.test('without a key, or with another one, another token is made', async (t) => {
      const body = wish()
      const made = [
        await call('POST', '/api/v1/tokens', body),
        await call('POST', '/api/v1/tokens', body),
        await ask('/api/v1/tokens', randomUUID(), body),
        await ask('/api/v1/tokens', randomUUID(), body),
      ]
      t.equal(new Set(made.map((one) => one.body.token)).size, 4)
    })

    t.test('rotating again with the same key gives the same secret, which stays the one', async (t) => {
      const made = await provision(latchkey)
      const path = `/api/v1/tokens/${made.id}/rotate`
      const key = randomUUID()
      const first = await ask(path, key, { gracePeriod: '1h' })
      const again = await ask(path, key, { gracePeriod: '1h' })
      t.strictSame(again.body, first.body)
      t.equal(again.headers.get('idempotency-replayed'), 'true')
      t.equal(again.body.secretVersion, 2)
      t.strictSame([await isActive(made.token), await isActive(first.body.token)], [true, true])
      const other = await ask(path, randomUUID(), { gracePeriod: '1h' })
      t.equal(other.body.secretVersion, 3)
    })

    t.test(
      'a job that rotates its own token with an overlap may ask again with its old secret',
      async (t) => {
        for (const body of [{ gracePeriod: '1h' }, { previousEnds: 'first-use' }]) {
          const made = await provision(latchkey, { scopes: ['tokens:rotate-self'] })
          const self = (key: string, token: string) => ask('/api/v1/tokens/self/rotate', key, body, { token })
          const key = randomUUID()
          const first = await self(key, made.token)
          t.equal((await self(key, made.token)).body.token, first.body.token)
          await refused(t, self(randomUUID(), made.token), 409, 'conflict', /replaced/)
          t.equal((await self(key, first.body.token)).body.token, first.body.token)
        }
      },
    )

    t.test('a key stands for one request: another body, path or method of making is refused', async (t) => {
      const made = await provision(latchkey)
      const body = wish({ metadata: { a: 1, b: 2 } })
      const key = randomUUID()
      t.equal((await ask('/api/v1/tokens', key, body)).status, 200)
      const before = await rows()
      for (const [path, other] of [
        ['/api/v1/tokens', { ...body, name: 'other' }],
        ['/api/v1/tokens', { ...body, scopes: [] }],
        ['/api/v1/tokens', { ...body, metadata: { a: 1, b: 3 } }],
        [`/api/v1/tokens/${made.id}/rotate`, {}],
        ['/api/v1/tokens/self/rotate', {}],
      ] as const)
        await refused(t, ask(path, key, other), 422, 'idempotency-key-reused')
      t.equal(await rows(), before)
      const { name, subject } = body
      const reordered = { metadata: { b: 2, a: 1 }, subject, name }
      t.equal((await ask('/api/v1/tokens', key, reordered)).status, 200, 'the order of members says nothing')
    })

    t.test('a request that was refused used up no key', async (t) => {
      const key = randomUUID()
      const body = wish({ scopes: ['posts:none'] })
      await refused(t, ask('/api/v1/tokens', key, body), 400, 'unknown-scope')
      await refused(t, ask('/api/v1/tokens', key, body), 400, 'unknown-scope')
      t.equal((await ask('/api/v1/tokens', key, { ...body, scopes: [] })).status, 200)
    })

    t.test('after ten minutes a key is like new, and what was kept for it goes', async (t) => {
      const begun = clock.now
      const body = wish()
      const key = randomUUID()
      const first = await ask('/api/v1/tokens', key, body)
      const kept = async () =>
        (await db.selectFrom('replay').select('token_id').execute()).map((row) => row.token_id)
      await cleanTokens(db, new Date(begun + 10 * minute - 1))
      t.ok((await kept()).includes(first.body.id))
      clock.now = begun + 10 * minute
      const later = await ask('/api/v1/tokens', key, body)
      t.equal(later.status, 200)
      t.not(later.body.id, first.body.id)
      t.equal((await ask('/api/v1/tokens', key, body)).text, later.text)
      await cleanTokens(db, new Date(begun + 20 * minute))
      t.strictSame(await kept(), [])
      t.equal(await isActive(later.body.token), true, 'the token stays')
      clock.now = begun
    })

    t.test('a key that could be guessed is refused, and never said back', async (t) => {
      const bad = [
        'retry-1',
        'x'.repeat(21),
        'x'.repeat(256),
        'with spaces and more than enough of them',
        'fifteen.dots.are.not.of.the.alphabet',
        '"',
        '""',
        '0190a8f4-7c3e-7d21-8e5a-1f2b3c4d5e6f',
        '6ba7b810-9dad-11d1-80b4-00c04fd430c8',
        '8e03978e-40d5-43dd-0c93-6894a57f9324',
        `${randomUUID()}, ${randomUUID()}`,
      ]
      const before = await rows()
      for (const key of bad) {
        const answer = await refused(
          t,
          ask('/api/v1/tokens', key, wish()),
          400,
          'validation-failed',
          /^idempotency-key: /,
        )
        t.strictSame(answer.body.errors[0].parameter, 'idempotency-key')
        if (key.length > 2) t.notOk(answer.text.includes(key))
      }
      t.equal(await rows(), before)
      const body = wish()
      const key = randomBytes(17).toString('base64url')
      const bare = await ask('/api/v1/tokens', key, body)
      t.equal((await ask('/api/v1/tokens', `"${key}"`, body)).text, bare.text, 'quotes are the draft’s')
    })

    t.test('a key is its caller’s: nobody else gets anything by it', async (t) => {
      const subject = `wisher_${count++}`
      const caller = async (scopes: string[], more: object = {}) =>
        (await provision(latchkey, { subject, scopes, ...more })).token as string
      const key = randomUUID()
      const body = { name: 'x', scopes: ['posts:read'] }
      const one = { token: await caller(['tokens:write', 'posts:read']) }
      const other = { token: await caller(['tokens:write', 'posts:read']) }
      const narrow = { token: await caller(['tokens:write']) }
      const first = await ask('/api/v1/tokens', key, body, one)
      const second = await ask('/api/v1/tokens', key, body, other)
      t.strictSame([first.status, second.status], [200, 200])
      t.not(second.body.token, first.body.token)
      t.equal(second.headers.get('idempotency-replayed'), null)
      await refused(t, ask('/api/v1/tokens', key, body, narrow), 403, 'policy-violation')
      await refused(t, ask('/api/v1/tokens', key, body, { token: null }), 401, 'invalid-token')
    })

    t.test('who has lost the right to a token is not given it again', async (t) => {
      const subject = `wisher_${count++}`
      const asks = async () => {
        const scopes = ['tokens:write', 'posts:read']
        const maker = await provision(latchkey, { subject, scopes })
        const key = randomUUID()
        const repeat = () =>
          ask('/api/v1/tokens', key, { name: 'x', scopes: ['posts:read'] }, { token: maker.token })
        const { body } = await repeat()
        return { maker, repeat, made: body }
      }
      const narrowed = await asks()
      await call('PATCH', `/api/v1/tokens/${narrowed.maker.id}`, { scopes: ['tokens:write'] })
      await refused(t, narrowed.repeat(), 403, 'policy-violation', /posts:read/)
      const unscoped = await asks()
      await call('PATCH', `/api/v1/tokens/${unscoped.maker.id}`, { scopes: ['posts:read'] })
      await refused(t, unscoped.repeat(), 403, 'insufficient-scope')
      const shortened = await asks()
      await call('PATCH', `/api/v1/tokens/${shortened.maker.id}`, { expiresIn: '1d' })
      await refused(t, shortened.repeat(), 403, 'policy-violation', /outlive/)
      const revoked = await asks()
      await call('DELETE', `/api/v1/tokens/${revoked.maker.id}`)
      await refused(t, revoked.repeat(), 401, 'invalid-token')
    })

    t.test('a token that was revoked since is answered as it was made, and is good nowhere', async (t) => {
      const body = wish()
      const key = randomUUID()
      const first = await ask('/api/v1/tokens', key, body)
      await call('DELETE', `/api/v1/tokens/${first.body.id}`)
      const again = await ask('/api/v1/tokens', key, body)
      t.equal(again.text, first.text)
      t.equal(await isActive(again.body.token), false)
      t.equal((await call('GET', `/api/v1/tokens/${first.body.id}`)).body.status, 'revoked')
    })

    t.test('what is kept shows neither secret nor key', async (t) => {
      const key = randomUUID()
      const made = await ask('/api/v1/tokens', key, wish())
      const { rows } = await sql<{ row: string }>`select r::text as row from replay r`.execute(db)
      const bytes = rows.map(({ row }) => row).join('\n')
      t.ok(bytes.length > 500)
      for (const hidden of [made.body.token.slice(0, -6), key, `${made.body.name}","`])
        for (const form of [hidden, Buffer.from(hidden).toString('hex')]) t.notOk(bytes.includes(form))
      t.notOk(latchkey.log().includes(key))
    })

    t.test(
      'of many requests with one key at once, one is done; the others wait, or get its answer',
      async (t) => {
        for (let round = 0; round < 3; round++) {
          const body = wish()
          const key = randomUUID()
          const answers = await Promise.all(
            Array.from({ length: atOnce }, () => persist(() => ask('/api/v1/tokens', key, body))),
          )
          const given = answers.filter(({ status }) => status === 200)
          t.ok(given.length > 0)
          t.equal(new Set(given.map(({ text }) => text)).size, 1)
          t.equal(given.filter(({ headers }) => headers.get('idempotency-replayed') === null).length, 1)
          for (const { status, body, headers } of answers.filter(({ status }) => status !== 200))
            t.match(
              { status, code: body.code, after: headers.get('retry-after') },
              { status: 409, code: 'idempotency-in-progress', after: '1' },
            )
          t.equal((await tokensOf(body.subject)).length, 1)
          t.equal((await ask('/api/v1/tokens', key, body)).text, given[0]!.text)
        }
      },
    )

    if (engine === 'postgres') {
      t.test('while a request runs, its key is in progress; then its answer is there', async (t) => {
        const body = wish()
        const key = randomUUID()
        await latchkey.running.flushUsage()
        const held = await hold(db, 'audit_event')
        const first = ask('/api/v1/tokens', key, body)
        await waiting(db, 1)
        const { headers } = await refused(t, ask('/api/v1/tokens', key, body), 409, 'idempotency-in-progress')
        t.equal(headers.get('retry-after'), '1')
        await held.release()
        const { text } = await first
        t.equal((await ask('/api/v1/tokens', key, body)).text, text)
      })

      for (const table of ['token_secret', 'audit_event', 'replay'] as const) {
        t.test(`killed in the middle, at ${table}, and asked again: one token`, async (t) => {
          const body = wish()
          const key = randomUUID()
          await latchkey.running.flushUsage()
          const held = await hold(db, table)
          const first = ask('/api/v1/tokens', key, body)
          await waiting(db, 1)
          await sql`select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and wait_event_type = 'Lock'`.execute(db)
          await held.release()
          t.equal((await first).status, 503)
          t.equal((await tokensOf(body.subject)).length, 0)
          let again = await ask('/api/v1/tokens', key, body)
          // The server may not have let go yet of what the one that was killed held.
          while (again.status === 409) again = await ask('/api/v1/tokens', key, body)
          t.equal(again.status, 200)
          t.equal(again.headers.get('idempotency-replayed'), null)
          t.equal((await ask('/api/v1/tokens', key, body)).text, again.text)
          t.equal((await tokensOf(body.subject)).length, 1)
        })
      }
    }
  })
}

t.test('asked again at another replica, the answer is the same, and as binding', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const replicas = await Promise.all([1, 2].map(() => startLatchkey(t, 'postgres', { DATABASE_URL: url })))
  const [here, there] = replicas as [Latchkey, Latchkey]
  const posts = await registerPosts(here)
  const isActive = (one: Latchkey) => async (token: string) =>
    (await one.form('/oauth2/introspect', { token }, basic(posts.id, posts.secret))).body.active
  // One caller for both: its token is what a key belongs to.
  const token = here.admin
  for (let round = 0; round < 8; round++) {
    const key = randomUUID()
    const body = { name: 'ci', subject: `wisher_${round}` }
    const first = await keyed(here)('/api/v1/tokens', key, body, { token })
    const again = await keyed(there)('/api/v1/tokens', key, body, { token })
    t.equal(again.text, first.text)
    t.equal(again.headers.get('idempotency-replayed'), 'true')
    for (const one of replicas) t.equal(await isActive(one)(first.body.token), true)

    const path = `/api/v1/tokens/${first.body.id}/rotate`
    const other = randomUUID()
    const answers = await Promise.all(replicas.map((one) => keyed(one)(path, other, {}, { token })))
    const told = answers.filter(({ status }) => status === 200)
    t.ok(told.length > 0)
    t.equal(new Set(told.map((one) => one.body.token)).size, 1)
    for (const one of replicas) t.equal(await isActive(one)(first.body.token), false, `round ${round}`)
  }
})

t.test('a replay that overtakes the first answer promises no more than is so', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const replicas = await Promise.all([1, 2].map(() => startLatchkey(t, 'postgres', { DATABASE_URL: url })))
  const [here, there] = replicas as [Latchkey, Latchkey]
  const posts = await registerPosts(here)
  const token = here.admin
  const announced = await hearing(t, url)
  for (let round = 0; round < 8; round++) {
    const made = await provision(here)
    const introspect = async () =>
      (await there.form('/oauth2/introspect', { token: made.token }, basic(posts.id, posts.secret))).body
        .active
    t.equal(await introspect(), true)
    const key = randomUUID()
    const rotate = (prefer: string) =>
      keyed(here)(`/api/v1/tokens/${made.id}/rotate`, key, {}, { token, headers: { prefer } })
    // The first does not wait for the other replica; the second does, although it has nothing left to do.
    t.equal((await rotate('respond-async')).status, 202)
    const { status, body } = await rotate('wait=5')
    t.equal(status, 200)
    t.match(body, { effectiveAt: String, effectiveBy: undefined })
    t.equal(await introspect(), false, `round ${round}`)
    t.equal(await announced(made.id), 2, 'each announces, for each waits until it was heard')
  }
})

t.test(
  'a process that is killed while it provisions leaves nothing; asked again, another makes one token',
  async (t) => {
    const { url, drop } = await freshPostgresUrl()
    t.teardown(drop)
    const env = { DATABASE_URL: url, LATCHKEY_SECRET: 'a secret of the tests' }
    const [dying, other] = [await started(t, env), await started(t, env)]
    const { db, close } = await openPostgres(url)
    t.teardown(close)
    const headers = {
      ...bearer((await command(['bootstrap'], env)).stdout.trim()),
      'content-type': 'application/json',
      'idempotency-key': randomUUID(),
    }
    const body = JSON.stringify({ name: 'once', subject: 'killed' })
    const ask = (at: string) => fetch(`${at}/api/v1/tokens`, { method: 'POST', headers, body })
    const held = await hold(db, 'audit_event')
    const unanswered = ask(dying.url).catch(() => null)
    await waiting(db, 1)
    await dying.stop('SIGKILL')
    t.equal(await unanswered, null)
    t.equal((await ask(other.url)).status, 409, 'PostgreSQL does not know yet that it died')
    await held.release()
    let answer = await ask(other.url)
    while (answer.status === 409) answer = await ask(other.url)
    t.equal(answer.status, 200)
    t.equal(answer.headers.get('idempotency-replayed'), null)
    t.equal(await (await ask(other.url)).text(), await answer.text())
    const made = await db.selectFrom('token').select('id').where('subject', '=', 'killed').execute()
    t.equal(made.length, 1)
  },
)

t.test('two keys, two callers, two servers: nothing of one opens the other', async () => {
  const key = fc.string({ minLength: 22, maxLength: 60, unit: fc.constantFrom(...'abcXYZ019_-') })
  const caller = fc.constantFrom('tok_1', 'tok_2', 'tok_11')
  const server = fc.constantFrom('a', 'b').map((text) => Buffer.from(text.repeat(32)))
  const made = fc.record({ key, caller, server })
  fc.assert(
    fc.property(made, made, fc.string(), fc.nat(), (one, other, text, at) => {
      const [mine, theirs] = [one, other].map((of) => retryKey(of.key, of.caller, of.server)) as [
        ReturnType<typeof retryKey>,
        ReturnType<typeof retryKey>,
      ]
      const sealed = mine.seal(text)
      if (mine.open(sealed) !== text) return false
      const bent = Buffer.from(sealed)
      bent[at % bent.length]! ^= 1
      if (opens(mine, bent)) return false
      const same = one.key === other.key && one.caller === other.caller && one.server.equals(other.server)
      return mine.id.equals(theirs.id) === same && opens(theirs, sealed) === same
    }),
    { numRuns: 2_000 },
  )
})

t.test('a fingerprint is the same for the same request and no other', async () => {
  const mine = retryKey('x'.repeat(22), 'tok_1', Buffer.alloc(32))
  fc.assert(
    fc.property(fc.jsonValue(), fc.jsonValue(), fc.constantFrom('/a', '/b'), (one, other, path) => {
      const copy = JSON.parse(JSON.stringify(one))
      if (canonical(copy) !== canonical(one)) return false
      const same = canonical(one) === canonical(other) && path === '/a'
      return mine.fingerprint('POST', '/a', one).equals(mine.fingerprint('POST', path, other)) === same
    }),
    { numRuns: 5_000 },
  )
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const back = JSON.parse(canonical(value))
      return canonical(back) === canonical(value)
    }),
  )
})

t.test('no key at all is no key', async (t) => {
  t.equal(readIdempotencyKey(undefined), null)
})

/** @returns how often a token was announced to the replicas until now; what is announced arrives in the order of commits */
async function hearing(t: Test, url: string): Promise<(id: string) => Promise<number>> {
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  const heard: string[] = []
  let onMark = () => {}
  client.on('notification', ({ payload = '' }) => {
    heard.push(payload)
    if (payload === 'mark') onMark()
  })
  await client.query('listen latchkey')
  return async (id) => {
    const marked = new Promise<void>((resolve) => {
      onMark = resolve
    })
    await client.query(`select pg_notify('latchkey', 'mark')`)
    await marked
    return heard.filter((one) => one.startsWith('i ') && one.includes(id)).length
  }
}

function opens(key: ReturnType<typeof retryKey>, sealed: Buffer): boolean {
  try {
    key.open(sealed)
    return true
  } catch {
    return false
  }
}
