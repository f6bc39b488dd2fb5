// Scenarios in which a read from the database is overtaken: by a revoke elsewhere, by requests that begin after it, by
// the end of the lease, by a stall of the event loop, by a freeze of the whole replica.
import { setTimeout as sleep } from 'node:timers/promises'
import { leaseMs } from '../../src/verify/lease.ts'
import { hold, type Replica } from './cluster.ts'
import { revokeFigures, type Scenario } from './harness.ts'
import { answering, heartbeatSent, remembered, watch } from './listening.ts'
import { dropDown } from './proxy.ts'
import type { Run, Token } from './run.ts'

export const overtakenRead: Scenario = {
  id: 'F27',
  title: 'a read is delayed across a revoke while new requests arrive; event loops stall',
  async run(harness, { rounds, sabotage }) {
    const { cluster, victim, other } = await harness.cast(sabotage)
    const run = harness.run(cluster, 'F27')
    let [joins, stalls] = [0, 0]
    for (let round = 0; round < rounds; round++) {
      await warmCredentials(run, other, victim)
      // What was read too early must not be remembered.
      const alone = await run.provisionNow(other)
      await readAcross(run, victim, alone, () => run.revoke(other, alone))
      await answering(run, victim, alone)
      // Nor may it be the answer to a request that began after the acknowledgement.
      const joined = await run.provisionNow(other)
      await readAcross(run, victim, joined, async () => {
        await run.revoke(other, joined)
        const later = Array.from({ length: 20 }, () => run.introspect(victim, joined))
        joins += later.length
        await sleep(50)
        return later
      })
      await answering(run, victim, joined)
      if (!sabotage?.length) stalls += await stallAcross(run, victim, other)
    }
    return { verdict: await run.verdict(), figures: { ...revokeFigures(run), joins, stalls }, broken: [] }
  },
}

export const lapsedRead: Scenario = {
  id: 'F10b',
  title: 'the lease ends while a read is under way: nothing may be answered from it',
  async run(harness, { rounds, sabotage }) {
    const { cluster, victim, other } = await harness.cast(sabotage)
    const run = harness.run(cluster, 'F10b')
    let [late, refused] = [0, 0]
    for (let tries = 0; late + refused < rounds && tries < 3 * rounds; tries++) {
      await warmCredentials(run, other, victim)
      const token = await run.provisionNow(other)
      await heartbeatSent(victim)
      const earned = performance.now()
      await sleep(150)
      const healListener = await hold(victim, victim.isListener)
      await sleep(earned + leaseMs - 600 - performance.now())
      const healQueries = await hold(victim, victim.isQuery, dropDown)
      const asked = performance.now()
      const { replied, answer } = readUnderWay(run, victim, token)
      await replied
      await run.revoke(other, token)
      // Later the read would have been given up, and nothing be shown.
      const inTime = performance.now() - asked < 780
      healQueries()
      const { active } = await answer
      if (active) late += 1
      else if (inTime) refused += 1
      healListener()
      await answering(run, victim, token)
    }
    // The request began before the revoke was acknowledged, so this breaks no promise to its caller; but a replica
    // that speaks without a lease relies on luck.
    const broken = late > 0 ? [`${late} answers were active, after the lease and the acknowledgement`] : []
    return {
      verdict: await run.verdict(),
      figures: { ...revokeFigures(run), refused, late },
      broken,
    }
  },
}

export const frozenReplica: Scenario = {
  id: 'F10',
  title: 'a replica is frozen, and thaws with requests queued',
  async run(harness, { rounds, sabotage }) {
    const { cluster, victim, other } = await harness.cast(sabotage)
    const run = harness.run(cluster, 'F10')
    for (let round = 0; round < rounds; round++) {
      for (const ms of [1_000, 5_000]) {
        const tokens = await remembered(run, other, victim)
        const unread = await run.provisionNow(other)
        victim.freeze()
        const thaw = sleep(ms).then(victim.thaw)
        const before = tokens.map((token) => run.introspect(victim, token))
        await Promise.all([...tokens, unread].map((token) => run.revoke(other, token)))
        const after = [...tokens, unread].flatMap((token) =>
          Array.from({ length: 10 }, () => run.introspect(victim, token)),
        )
        await Promise.all([thaw, ...before, ...after])
        await answering(run, victim, tokens[0]!)
      }
    }
    return { verdict: await run.verdict(), figures: revokeFigures(run), broken: [] }
  },
}

/** Its caller's credentials are verified, so that from now on a request needs only the token's facts. */
export async function warmCredentials(run: Run, maker: Replica, at: Replica): Promise<void> {
  await run.warm(at, await run.provisionNow(maker))
}

/** A request whose facts have been read, and whose reply the proxy holds. */
export function readUnderWay(run: Run, at: Replica, token: Token) {
  const replied = new Promise<void>((resolve) => {
    const asked = new WeakSet<object>()
    const end = at.tap(
      (connection, bytes) => {
        if (/facts by digest/.test(bytes.toString('latin1'))) asked.add(connection)
      },
      (connection) => {
        if (!asked.has(connection)) return
        end()
        resolve()
      },
    )
  })
  return { replied: Promise.race([replied, sleep(3_000)]), answer: run.introspect(at, token) }
}

/** Facts are read, then something happens, and only then the victim sees what was read. */
async function readAcross(
  run: Run,
  victim: Replica,
  token: Token,
  event: () => Promise<unknown>,
): Promise<void> {
  const heal = await hold(victim, victim.isQuery, dropDown)
  const { replied, answer } = readUnderWay(run, victim, token)
  await replied
  const pending = await event()
  heal()
  await Promise.all([answer, ...(Array.isArray(pending) ? pending : [])])
}

/** The victim stalls while it is told to forget; the others go on. */
async function stallAcross(run: Run, victim: Replica, other: Replica): Promise<number> {
  const lengths = [100, 700, leaseMs + 1_000]
  for (const ms of lengths) {
    const tokens = await remembered(run, other, victim)
    victim.stall(ms)
    const asking = watch(run, victim, tokens, ms)
    await Promise.all(tokens.map((token) => run.revoke(other, token)))
    await Promise.all(tokens.map((token) => run.introspect(victim, token)))
    await asking
  }
  return lengths.length
}
