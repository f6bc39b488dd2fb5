// For how long a replica may believe its memory: never longer than the lease, and not at all after its machine has slept.
import t from 'tap'
import { createLease, holdMs, leaseMs } from '../../src/verify/lease.ts'
import { takeTime, turn } from '../helpers/time.ts'

function leaseAt() {
  const at = { monotonic: 10_000, clock: 1_800_000_000_000 }
  const lease = createLease(
    () => at.monotonic,
    () => at.clock,
  )
  const pass = (ms: number) => {
    at.monotonic += ms
    at.clock += ms
  }
  return { at, lease, pass }
}

/** What a promise has come to by now. */
const byNow = <T>(promise: Promise<T>) => Promise.race([promise, turn().then(() => 'nothing yet' as const)])

t.test('the lease counts from when the heartbeat was sent', async (t) => {
  const { at, lease, pass } = leaseAt()
  t.notOk(lease.holds(), 'none was granted')
  lease.grant(10_000 - 500, at.clock - 500)
  t.ok(lease.holds())
  pass(leaseMs - 501)
  t.ok(lease.holds())
  pass(1)
  t.notOk(lease.holds())
})

t.test('an earlier heartbeat takes nothing of what a later one has earned', async (t) => {
  const { at, lease, pass } = leaseAt()
  lease.grant(at.monotonic, at.clock)
  lease.grant(at.monotonic - 1_000, at.clock - 1_000)
  pass(leaseMs - 1)
  t.ok(lease.holds())
})

t.test('a lease that is dropped is over', async (t) => {
  const { at, lease } = leaseAt()
  lease.grant(at.monotonic, at.clock)
  lease.drop()
  t.notOk(lease.holds())
})

t.test('after a sleep in which the monotonic clock stood still, the lease is over', async (t) => {
  const { at, lease } = leaseAt()
  lease.grant(at.monotonic, at.clock)
  at.clock += 999
  t.ok(lease.holds(), 'the clock may be corrected')
  at.clock += 60_000
  t.notOk(lease.holds())
  lease.grant(at.monotonic, at.clock)
  t.ok(lease.holds(), 'until a heartbeat is sent after it')
  at.clock -= 3_600_000
  t.notOk(lease.holds(), 'nor when it is set back')
})

t.test('a sleep between a heartbeat and its echo ends what it earns', async (t) => {
  const { at, lease } = leaseAt()
  const sent = { ...at }
  at.clock += 60_000
  lease.grant(sent.monotonic, sent.clock)
  t.notOk(lease.holds())
})

t.test('a request is held until a heartbeat comes back', async (t) => {
  takeTime(t)
  const { at, lease } = leaseAt()
  const held = [lease.wait(), lease.wait()]
  t.equal(await byNow(held[0]!), 'nothing yet')
  lease.grant(at.monotonic - leaseMs, at.clock - leaseMs)
  t.equal(await byNow(held[0]!), 'nothing yet', 'one that comes too late earns nothing')
  lease.grant(at.monotonic, at.clock)
  t.same(await Promise.all(held), [true, true])
  t.equal(await byNow(lease.wait()), true, 'nor is the next one held up')
})

t.test('a request is not held longer than it is worth, and then told that there is no lease', async (t) => {
  const { pass } = takeTime(t)
  const { lease } = leaseAt()
  const held = lease.wait()
  pass(holdMs - 1)
  t.equal(await byNow(held), 'nothing yet')
  pass(1)
  t.equal(await byNow(held), false)
})

t.test('no more requests are held than memory can bear; the others are told at once', async (t) => {
  const { pass } = takeTime(t)
  const { lease } = leaseAt()
  const held = Array.from({ length: 10_000 }, () => lease.wait())
  t.equal(await byNow(lease.wait()), false)
  t.equal(await byNow(held.at(-1)!), 'nothing yet')
  pass(holdMs)
  t.ok((await Promise.all(held)).every((one) => one === false))
  t.equal(await byNow(lease.wait()), 'nothing yet', 'there is room again')
  pass(holdMs)
})
