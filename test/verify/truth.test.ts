// Memory, fence, lease and the other replicas, put together: what a replica is told on its listening session governs what it
// reads from the database, and reaches whoever else remembers something.
import { sql } from 'kysely'
import t from 'tap'
import type { Invalidation } from '../../src/db/change.ts'
import type { ListenerEvents } from '../../src/db/listen.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import { serverIdentity } from '../../src/db/preparing-client.ts'
import { createLogger } from '../../src/observe/logger.ts'
import { mintSecret, secretShape } from '../../src/token/format.ts'
import { openKeyRing } from '../../src/token/key-ring.ts'
import type { FeedEvent } from '../../src/verify/feed.ts'
import { leaseMs } from '../../src/verify/lease.ts'
import { createTruth } from '../../src/verify/truth.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

t.test('a replica', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  await registerPosts(latchkey)
  const { id, token } = await provision(latchkey)
  const store = await openPostgres(url)
  t.teardown(store.close)
  const { rows } = await sql<{ one: string }>`select ${sql.raw(serverIdentity)} as one`.execute(store.db)
  const ring = await openKeyRing(store.db, { current: 'a secret of the tests', previous: null }, new Date())

  /** Heartbeats come round on it, and say that they come from `server`. */
  const session = { server: rows[0]!.one, echoes: true }
  let events: ListenerEvents | null = null
  const forgotten: (readonly Invalidation[] | null)[] = []
  const truth = createTruth(
    {
      ...store,
      listen(given) {
        events = given
        return {
          async query(_text, [, message]) {
            if (session.echoes) setImmediate(given.onMessage, String(message))
            return [{ silent: 0, now: Date.now(), server: session.server, key: ring.currentId }] as never
          },
          restart() {},
          async stop() {},
        }
      },
    },
    ring,
    secretShape(['lk']),
    (what) => forgotten.push(what),
    createLogger('silent'),
    new Set(),
  )
  const { facts, feed, replicas } = truth
  t.teardown(() => replicas!.stop())
  const told: FeedEvent[] = []
  feed.subscribe(null, (event, missed) => missed || told.push(event))
  events!.onUp()
  await replicas!.ready()

  t.test('tells all who remember something that it has begun to listen anew', async (t) => {
    t.same(forgotten.splice(0), [null])
    t.match(told.splice(0), [{ kind: 'reset' }])
  })

  t.test('forgets what another one announces, and passes it on', async (t) => {
    t.match(await facts.read(token), { tokenId: id, state: 'active' })
    t.ok(facts.slotOf(token) >= 0)
    events!.onMessage(`i rep_b rep_b-1 [{"kind":"token","id":"${id}"}]`)
    t.equal(facts.slotOf(token), -1)
    t.same(forgotten.splice(0), [[{ kind: 'token', id }]])
    t.match(told.splice(0), [{ kind: 'forget', what: [{ kind: 'token', id }] }])
  })

  t.test('forgets its own change, and passes it on when it is told of it like the others', async (t) => {
    await facts.read(token)
    truth.forget([{ kind: 'token', id }])
    t.equal(facts.slotOf(token), -1)
    t.same(forgotten.splice(0), [[{ kind: 'token', id }]])
    t.same(told, [])
  })

  t.test('is warmed with what its server has', async (t) => {
    t.equal(await truth.warm(), 2, 'the admin’s, and the other')
    t.ok(facts.slotOf(token) >= 0)
    events!.onMessage('i rep_b rep_b-2 []')
  })

  t.test('finds no secret that nobody was given, and says so when a heartbeat has come round', async (t) => {
    const unknown = () => facts.read(mintSecret('lk', 'personal'))!
    t.equal(await unknown(), null)
    session.echoes = false
    await t.rejects(unknown(), { code: 'unavailable' })
    session.echoes = true
    events!.onDown(null)
    events!.onUp()
    t.ok(await replicas!.confirm())
  })

  t.test('believes nothing that another server says than the one of its heartbeats', async (t) => {
    session.server = 'another'
    t.ok(await replicas!.confirm())
    await t.rejects(facts.read(token)!, { code: 'ECONNRESET' })
    t.equal(await truth.warm(), 0)
    t.equal(facts.slotOf(token), -1)
    session.server = rows[0]!.one
    t.ok(await replicas!.confirm())
    t.match(await facts.read(token), { tokenId: id })
  })

  t.test('whose listening session ends answers for a lease, and not longer', async (t) => {
    t.ok(facts.slotOf(token) >= 0)
    events!.onDown(null)
    const { now } = performance
    const later = now.call(performance) + leaseMs
    performance.now = () => later
    t.teardown(() => {
      performance.now = now
    })
    t.equal(facts.slotOf(token), -1)
  })
})
