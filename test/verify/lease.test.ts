// For how long a replica may believe its memory: never longer than the lease, and not at all after its machine has slept.
import t from 'tap'
import { createLease, leaseMs } from '../../src/verify/lease.ts'

t.test('the lease counts from when the heartbeat was sent', async (t) => {
  const at = { monotonic: 10_000, clock: 1_800_000_000_000 }
  const lease = createLease(
    () => at.monotonic,
    () => at.clock,
  )
  t.notOk(lease.holds(), 'none was granted')
  lease.grant(10_000 - 500, at.clock - 500)
  t.ok(lease.holds())
  at.monotonic += leaseMs - 501
  at.clock += leaseMs - 501
  t.ok(lease.holds())
  at.monotonic += 1
  t.notOk(lease.holds())
})

t.test('after a sleep in which the monotonic clock stood still, the lease is over', async (t) => {
  const at = { monotonic: 10_000, clock: 1_800_000_000_000 }
  const lease = createLease(
    () => at.monotonic,
    () => at.clock,
  )
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
