// Scenarios in which one replica cannot hear, or hears late, while the others live on and revoke: its LISTEN session
// cut, its notifications lost, its heartbeat's echo delayed. Each is the trap of a saboteur, too.
import { setTimeout as sleep } from 'node:timers/promises'
import { leaseMs } from '../../src/verify/lease.ts'
import { hold, type Replica } from './cluster.ts'
import { acknowledged, quantiles, revokeFigures, type Scenario } from './harness.ts'
import { blackhole, dropDown, dropUp, pass } from './proxy.ts'
import type { Run, Token } from './run.ts'

/** For a busy machine: another lease, or the deadline of a change, would still be seen. */
const slackMs = 1_000

export const deafness: Scenario = {
  id: 'F06',
  title: 'the LISTEN connection of one replica is a black hole; revokes go through another',
  async run(harness, { rounds, sabotage }) {
    const { cluster, victim, other } = await harness.cast(sabotage)
    const run = harness.run(cluster, 'F06')
    for (let round = 0; round < rounds; round++) {
      const tokens = await remembered(run, other, victim)
      const heal = await hold(victim, victim.isListener)
      await revokeUnderWatch(run, other, victim, tokens)
      heal()
      // Whatever it missed must be forgotten when it hears again.
      await answering(run, victim, tokens[0]!)
      await Promise.all(tokens.map((token) => run.introspect(victim, token)))
    }
    const { max } = quantiles(acknowledged(run))
    const broken =
      max > leaseMs + slackMs ? [`a revoke took ${max} ms, more than a lease and ${slackMs} ms`] : []
    return { verdict: await run.verdict(), figures: revokeFigures(run), broken }
  },
}

export const lateEcho: Scenario = {
  id: 'F06b',
  title: 'the echo of a heartbeat is late, and the last thing that one replica hears',
  async run(harness, { rounds, sabotage }) {
    const { cluster, victim, other } = await harness.cast(sabotage)
    const run = harness.run(cluster, 'F06b')
    for (let round = 0; round < rounds; round++) {
      const tokens = await remembered(run, other, victim)
      await heartbeatSent(victim)
      await sleep(100)
      await victim.proxy.mode(dropDown, victim.isListener)
      await heartbeatSent(victim)
      await sleep(600)
      // What was held goes out, and nothing after it.
      void victim.proxy.mode(pass, victim.isListener)
      await victim.proxy.mode(blackhole, victim.isListener)
      await revokeUnderWatch(run, other, victim, tokens)
      await victim.proxy.mode(pass, victim.isListener)
      await answering(run, victim, tokens[0]!)
    }
    return { verdict: await run.verdict(), figures: revokeFigures(run), broken: [] }
  },
}

export const lostChannel: Scenario = {
  id: 'F11',
  title: 'notifications are lost while socket and session live; then the session is terminated',
  async run(harness, { rounds, sabotage }) {
    const { cluster, victim, other } = await harness.cast(sabotage)
    const run = harness.run(cluster, 'F11')
    const detected: number[] = []
    for (let round = 0; round < rounds; round++) {
      const tokens = await remembered(run, other, victim)
      const began = performance.now()
      const restarted = listenSent(victim).then(() => detected.push(performance.now() - began))
      victim.mute(true)
      await revokeUnderWatch(run, other, victim, tokens)
      victim.mute(false)
      await Promise.race([restarted, sleep(leaseMs)])
      await answering(run, victim, tokens[0]!)

      const more = await remembered(run, other, victim)
      await cluster.sql(
        `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'latchkey listener'`,
      )
      await revokeUnderWatch(run, other, victim, more)
      await answering(run, victim, more[0]!)
    }
    const { max } = quantiles(detected)
    // A heartbeat leaves every 500 ms and has 1,000 ms; it is looked at every 500 ms.
    const broken =
      max > 2_000 + slackMs || detected.length < rounds ? [`a lost channel was noticed after ${max} ms`] : []
    return { verdict: await run.verdict(), figures: { ...revokeFigures(run), detectMaxMs: max }, broken }
  },
}

export const partitions: Scenario = {
  id: 'F08',
  title: 'one-way partitions of a replica, and flapping',
  async run(harness, { rounds, sabotage }) {
    const { cluster, victim, other } = await harness.cast(sabotage)
    const run = harness.run(cluster, 'F08')
    const everything = () => true
    let flaps = 0
    for (let round = 0; round < rounds; round++) {
      for (const which of [victim.isListener, everything]) {
        for (const how of [dropUp, dropDown]) {
          const tokens = await remembered(run, other, victim)
          const heal = await hold(victim, which, how)
          flaps += 1
          await revokeUnderWatch(run, other, victim, tokens)
          heal()
          await answering(run, victim, tokens[0]!)
        }
      }
      const tokens = await remembered(run, other, victim, 6)
      for (const token of tokens) {
        const heal = await hold(victim, victim.isListener, [blackhole, dropUp, dropDown][flaps % 3])
        flaps += 1
        const asking = watch(run, victim, tokens, 400)
        await Promise.all([run.revoke(other, token), sleep(100 + Math.random() * 800).then(heal)])
        await asking
      }
      await answering(run, victim, tokens[0]!)
    }
    return { verdict: await run.verdict(), figures: { ...revokeFigures(run), flaps }, broken: [] }
  },
}

/** Tokens that a replica has in memory, and its credentials of ours too. */
export async function remembered(
  run: Run,
  maker: Replica,
  ...and: [Replica, ...Replica[]] | [Replica, number]
): Promise<Token[]> {
  const count = typeof and[1] === 'number' ? and[1] : 3
  const tokens = await Promise.all(Array.from({ length: count }, () => run.provisionNow(maker)))
  for (const replica of and) {
    if (typeof replica === 'number') continue
    for (const token of tokens) await run.warm(replica, token)
  }
  return tokens
}

/** Asks one replica without a pause worth the name, from before the revoke until a lease after it was acknowledged. */
export async function revokeUnderWatch(run: Run, other: Replica, victim: Replica, tokens: readonly Token[]) {
  let going = true
  const asking = tokens.map(async (token) => {
    while (going) {
      await run.introspect(victim, token)
      await sleep(20)
    }
  })
  await Promise.all(tokens.map((token) => run.revoke(other, token)))
  await sleep(700)
  going = false
  await Promise.all(asking)
}

export async function watch(
  run: Run,
  at: Replica,
  tokens: readonly Token[],
  forMs: number,
  pauseMs = 20,
): Promise<void> {
  const until = performance.now() + forMs
  await Promise.all(
    tokens.map(async (token) => {
      while (performance.now() < until) {
        await run.introspect(at, token)
        await sleep(pauseMs)
      }
    }),
  )
}

/** Until it says yes or no again. */
export async function answering(run: Run, at: Replica, token: Token, withinMs = 10_000): Promise<number> {
  const began = performance.now()
  while ((await run.introspect(at, token)).status !== 200) {
    if (performance.now() - began > withinMs)
      throw new Error(`${at.name} does not recover. Its log:\n${at.log()}`)
    await sleep(50)
  }
  return performance.now() - began
}

export const heartbeatSent = (of: Replica) => sent(of, /h rep_/)
const listenSent = (of: Replica) => sent(of, /listen latchkey/)

export function sent(of: Replica, pattern: RegExp): Promise<void> {
  return new Promise((resolve) => {
    const end = of.tap((_connection, bytes) => {
      if (!pattern.test(bytes.toString('latin1'))) return
      end()
      resolve()
    })
  })
}
