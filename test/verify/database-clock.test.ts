// All replicas go by the database's clock, which each learns from its heartbeats; tokens end by it.
import t from 'tap'
import type { ListenerEvents } from '../../src/db/listen.ts'
import { createLease } from '../../src/verify/lease.ts'
import { watchLease } from '../../src/verify/lease-watch.ts'
import { createReplicas } from '../../src/verify/replicas.ts'

t.test('a heartbeat whose commit is slow does not set the clock back', async (t) => {
  const at = { monotonic: 1_000 }
  const databaseNow = () => Date.UTC(2026, 10, 1) + at.monotonic
  let events: ListenerEvents | null = null
  let slowMs = 0
  let heartbeats = 0
  const monotonic = () => at.monotonic
  const replicas = createReplicas({
    listen: (given) => {
      events = given
      return {
        async query() {
          const row = { silent: 0, now: databaseNow(), server: 'one', key: 'key_1' }
          at.monotonic += slowMs
          heartbeats += 1
          setImmediate(() => events!.onMessage(`h rep_a ${heartbeats}`))
          return [row] as never
        },
        restart() {},
        async stop() {},
      }
    },
    self: 'rep_a',
    keyId: 'key_1',
    lease: watchLease(createLease(monotonic), monotonic, { lost() {}, back() {} }),
    monotonic,
    onForget() {},
    onForgetAll() {},
    onTrouble() {},
    sabotage: new Set(),
  })
  t.teardown(replicas.stop)
  events!.onUp()
  await replicas.ready()
  t.equal(replicas.now(), databaseNow())
  slowMs = 600
  t.ok(await replicas.confirm())
  t.equal(replicas.now(), databaseNow(), 'which was read before the commit waited')
  slowMs = 0
  at.monotonic += 5_000
  t.ok(await replicas.confirm())
  t.equal(replicas.now(), databaseNow())
})
