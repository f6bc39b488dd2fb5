// What an operator reads after an outage: when checks began to be refused, when that ended, and for how long it was.
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { createLease, leaseMs } from '../../src/verify/lease.ts'
import { watchLease } from '../../src/verify/lease-watch.ts'
import { pass, reset, startProxy } from '../faults/proxy.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { startLatchkey } from '../helpers/latchkey.ts'
import { freePort } from '../helpers/process.ts'

t.test('that the lease is lost, and that it is back, is told once each', async (t) => {
  const at = { monotonic: 10_000, clock: 1_800_000_000_000 }
  const told: (number | 'lost')[] = []
  const monotonic = () => at.monotonic
  const lease = watchLease(
    createLease(monotonic, () => at.clock),
    monotonic,
    { lost: () => told.push('lost'), back: (ms) => told.push(ms) },
  )
  const pass = (ms: number) => {
    at.monotonic += ms
    at.clock += ms
  }
  const grant = (ago = 0) => lease.grant(at.monotonic - ago, at.clock - ago)
  lease.look()
  grant()
  t.same(told, [], 'of a start')
  for (let beats = 0; beats < 20; beats++) {
    pass(500)
    grant(20)
    lease.look()
  }
  t.same(told, [], 'while it is renewed')

  pass(leaseMs + 300)
  for (let looks = 0; looks < 3; looks++) lease.look()
  t.same(told, ['lost'])
  grant(leaseMs)
  t.same(told, ['lost'], 'what comes too late does not bring it back')
  pass(7_000)
  grant()
  grant()
  t.same(told, ['lost', 7_320], 'from when it ran out, not from when that was seen')

  told.length = 0
  pass(leaseMs + 40)
  grant()
  t.same(told, ['lost', 40], 'also when nobody looked in between')

  told.length = 0
  at.clock += 60_000
  lease.look()
  grant()
  t.same(told, ['lost', 0], 'when the machine has slept, by the clock that stood still')

  told.length = 0
  lease.drop()
  lease.look()
  t.same(told, [], 'a stop is no loss')
})

t.test(
  'an outage of PostgreSQL leaves two lines in the log of a replica, and shows in its metrics',
  async (t) => {
    const { url, drop } = await freshPostgresUrl()
    t.teardown(drop)
    const server = new URL(url)
    const proxy = await startProxy({ host: server.hostname, port: Number(server.port) })
    t.teardown(() => proxy.stop())
    const management = String(await freePort())
    const env = { DATABASE_URL: proxy.through(url), LATCHKEY_MANAGEMENT_PORT: management }
    const latchkey = await startLatchkey(t, 'postgres', env)
    const held = async () => {
      const text = await (await fetch(`http://127.0.0.1:${management}/metrics`)).text()
      return /^latchkey_lease_held (.+)$/m.exec(text)?.[1]
    }
    const lines = () =>
      latchkey
        .log()
        .split('\n')
        .filter((line) => line.includes('"msg":"lease '))
        .map((line) => JSON.parse(line))
    const until = async (condition: () => boolean) => {
      for (const deadline = performance.now() + 20_000; !condition(); await sleep(20))
        if (performance.now() > deadline) throw new Error(latchkey.log())
    }
    t.equal(await held(), '1')
    await proxy.mode(reset)
    await until(() => lines().length === 1)
    t.equal(await held(), '0')
    const outMs = 1_200
    await sleep(outMs)
    await proxy.mode(pass)
    await until(() => lines().length === 2)
    await sleep(600) // a heartbeat more
    const [lost, back, ...more] = lines()
    t.match(lost, { level: 40, msg: /^lease lost: / })
    t.match(back, { level: 30, msg: /^lease back: /, replica: lost.replica })
    t.match(lost.replica, /^rep_/)
    t.ok(back.lostForMs >= outMs, `${back.lostForMs} ms`)
    t.same(more, [])
    t.equal(await held(), '1')
  },
)
