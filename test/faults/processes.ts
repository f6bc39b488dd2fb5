// Scenarios in which replicas themselves are in trouble: killed, restarted, flooded, told the wrong time, stopped with
// requests in flight, or gone without a word.
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { mintSecret } from '../../src/token/format.ts'
import { leaseMs } from '../../src/verify/lease.ts'
import { type Cluster, hold, type Replica } from './cluster.ts'
import { quantiles, revokeFigures, type Scenario, Skipped, times } from './harness.ts'
import { answering, remembered, watch } from './listening.ts'
import { startLoad } from './load.ts'
import { dropDown } from './proxy.ts'
import { readUnderWay, warmCredentials } from './reading.ts'
import type { Run, Token } from './run.ts'

export const killedReplicas: Scenario = {
  id: 'F01',
  title: 'replicas are killed at random under load',
  async run(harness, { rounds }) {
    const cluster = await harness.cluster()
    const run = harness.run(cluster, 'F01')
    const load = startLoad(run, { replicas: cluster.replicas })
    let kills = 0
    for (let round = 0; round < rounds * 2; round++) {
      await sleep(300 + Math.random() * 700)
      const unlucky = cluster.replicas[Math.floor(Math.random() * cluster.replicas.length)]!
      await unlucky.kill()
      kills += 1
      await unlucky.start()
    }
    await sleep(300)
    await load.stop()
    await cluster.healed()
    return { verdict: await run.verdict(), figures: { ...revokeFigures(run), kills }, broken: [] }
  },
}

const library = [
  '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1',
  '/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1',
].find(existsSync)

export const jumpingClock: Scenario = {
  id: 'F15',
  title: 'the clock of a replica jumps by an hour, forth and back',
  async run(harness, { rounds }) {
    if (library === undefined)
      throw new Skipped('libfaketime is not installed (Debian: apt-get install faketime)')
    const { cluster, other } = await harness.cast()
    const run = harness.run(cluster, 'F15')
    const folder = await mkdtemp(join(tmpdir(), 'latchkey-clock-'))
    const clock = join(folder, 'offset')
    await writeFile(clock, '+0\n')
    const victim = await cluster.add({
      env: {
        LD_PRELOAD: library,
        FAKETIME_TIMESTAMP_FILE: clock,
        FAKETIME_NO_CACHE: '1',
        FAKETIME_DONT_FAKE_MONOTONIC: '1',
      },
    })
    let jumps = 0
    const broken: string[] = []
    try {
      await victim.start()
      for (let round = 0; round < rounds; round++) {
        for (const offset of ['+3600', '-3600']) {
          const tokens = await remembered(run, other, victim)
          const short = await run.provisionNow(victim, { lifetimeSeconds: 2 })
          await writeFile(clock, `${offset}\n`)
          await sleep(1_100) // Node keeps the Date header for a second
          const seen = (Date.parse(await dateOf(victim)) - Date.now()) / 1000
          if (Math.abs(seen - Number(offset)) > 5)
            broken.push(`a jump to ${offset} s was seen as ${Math.round(seen)} s`)
          jumps += 1
          const made = await run.provisionNow(victim, { lifetimeSeconds: 2 })
          await watch(run, victim, [...tokens, short, made], 600)
          await run.revoke(other, tokens[0]!)
          await run.revoke(victim, tokens[1]!)
          await watch(run, victim, [...tokens, short, made], 2_800)
          await watch(run, other, [...tokens, short, made], 100)
        }
      }
    } finally {
      await victim.kill('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    }
    const unavailable = times(run, ({ f, status }) => f === 'introspect' && status !== 200).length
    if (unavailable > 0) broken.push(`${unavailable} checks were refused: a jump cost the lease`)
    return { verdict: await run.verdict(), figures: { ...revokeFigures(run), jumps, unavailable }, broken }
  },
}

const dateOf = async (replica: Replica) => (await fetch(`${replica.url}/livez`)).headers.get('date')!

export const coldHerd: Scenario = {
  id: 'F17',
  title: 'all replicas restart, and everybody asks for the same tokens at once',
  async run(harness, { rounds }) {
    const cluster = await harness.cluster()
    const run = harness.run(cluster, 'F17')
    const maker = cluster.replicas[0]!
    const tokens: Token[] = []
    for (let count = 0; count < 20; count++)
      tokens.push(...(await Promise.all(Array.from({ length: 10 }, () => run.provisionNow(maker)))))
    let [warmReads, mostPerToken] = [0, 0]
    for (let round = 0; round < rounds; round++) {
      await Promise.all(cluster.replicas.map((replica) => replica.kill('SIGTERM')))
      await Promise.all(cluster.replicas.map((replica) => replica.start()))
      // What was there before is warmed up; these can only be read.
      const fresh = await Promise.all(Array.from({ length: 50 }, () => run.provisionNow(maker)))
      for (const replica of cluster.replicas) {
        await answering(run, replica, tokens[0]!) // the caller's credentials, which cost more than any token
        warmReads = Math.max(warmReads, await readsOf(run, replica, tokens))
        mostPerToken = Math.max(mostPerToken, await readsOf(run, replica, fresh))
      }
    }
    const { p99, max } = quantiles(times(run, ({ f }) => f === 'introspect'))
    const refused = times(run, ({ f, status }) => f === 'introspect' && status !== 200).length
    const figures = {
      tokens: tokens.length,
      refused,
      readsPerToken: Math.round(mostPerToken * 1000) / 1000,
      readsPerWarmedToken: Math.round(warmReads * 1000) / 1000,
      checkP99Ms: p99,
      checkMaxMs: max,
    }
    const broken = [
      ...(mostPerToken > 1.05 ? [`${mostPerToken} reads for each distinct token`] : []),
      ...(refused > 0 ? [`${refused} checks were refused`] : []),
    ]
    return { verdict: await run.verdict(), figures, broken }
  },
}

/** Everybody at once, four times over. @returns digests that were looked for, per token */
async function readsOf(run: Run, at: Replica, tokens: readonly Token[]): Promise<number> {
  const counted = countDigests(at)
  await Promise.all([...tokens, ...tokens, ...tokens, ...tokens].map((token) => run.introspect(at, token)))
  return counted() / tokens.length
}

/** How many digests a replica asks the database for, until called; arrays are sent as text, in one message each. */
function countDigests(replica: Replica): () => number {
  let count = 0
  const end = replica.tap((_connection, bytes) => {
    const text = bytes.toString('latin1')
    if (text.includes('facts by digest')) count += text.split('\\\\x').length - 1
  })
  return () => {
    end()
    return count
  }
}

export const flood: Scenario = {
  id: 'F18',
  title: 'a flood of invalid tokens: malformed, mistyped, and well-formed but unknown',
  async run(harness, { rounds }) {
    const { cluster, victim, other } = await harness.cast()
    const run = harness.run(cluster, 'F18')
    const good = await remembered(run, other, victim)
    const secret = (kind: number, count: number): string => {
      if (kind === 0) return `nothing of ours ${count}`
      const minted = mintSecret('lk', 'personal')
      return kind === 1 ? minted.slice(0, -1) + (minted.endsWith('a') ? 'b' : 'a') : minted
    }
    const reads = [0, 0, 0]
    const offered = [0, 0, 0]
    const calm = await latencyOf(run, () => watch(run, victim, good, 1_000 * rounds, 5))
    let worst = 0
    for (const kind of [0, 1, 2]) {
      const counted = countDigests(victim)
      const p99 = await latencyOf(run, async () => {
        const until = performance.now() + 1_000 * rounds
        const flooding = Array.from({ length: 16 }, async () => {
          while (performance.now() < until) {
            const bad = { name: `${kind}`, subject: '', id: '', secret: secret(kind, offered[kind]!++) }
            const { active, status } = await run.ask(victim, bad)
            if (active) throw new Error('an invalid token was active')
            if (status !== 200 && status !== 503) throw new Error(`an invalid token was answered ${status}`)
          }
        })
        await Promise.all([watch(run, victim, good, 1_000 * rounds, 5), ...flooding])
      })
      worst = Math.max(worst, p99)
      reads[kind] = counted()
    }
    const figures = {
      malformed: offered[0]!,
      mistyped: offered[1]!,
      unknown: offered[2]!,
      readsMalformed: reads[0]!,
      readsMistyped: reads[1]!,
      readsUnknown: reads[2]!,
      calmP99Ms: calm,
      floodP99Ms: worst,
    }
    const broken =
      reads[0]! + reads[1]! > 0 ? ['malformed or mistyped tokens were looked for in the database'] : []
    return { verdict: await run.verdict(), figures, broken }
  },
}

async function latencyOf(run: Run, work: () => Promise<void>): Promise<number> {
  const from = run.samples.length
  await work()
  return quantiles(run.samples.slice(from).map(({ ms }) => ms)).p99
}

export const graceful: Scenario = {
  id: 'F20',
  title: 'SIGTERM with requests in flight and connections kept alive',
  async run(harness, { rounds }) {
    const { cluster, other } = await harness.cast()
    const run = harness.run(cluster, 'F20')
    const leaving = await cluster.add({ env: { LATCHKEY_DRAIN_SECONDS: '2' } })
    let [dropped, inFlight, slowestExit] = [0, 0, 0]
    const broken: string[] = []
    for (let round = 0; round < rounds; round++) {
      await leaving.start()
      await warmCredentials(run, other, leaving)
      const known = await remembered(run, other, leaving)
      const unread = await Promise.all(Array.from({ length: 10 }, () => run.provisionNow(other)))
      const doomed = await run.provisionNow(other)
      let going = true
      const from = run.samples.length
      const busy = known.map(async (token) => {
        while (going) {
          await run.introspect(leaving, token)
          await sleep(10)
        }
      })
      const heal = await hold(leaving, leaving.isQuery, dropDown)
      const answers = unread.map((token) => readUnderWay(run, leaving, token).answer)
      await sleep(50)
      const began = performance.now()
      const exit = leaving.kill('SIGTERM')
      const revoke = sleep(30).then(() => run.revoke(leaving, doomed))
      const isUnready = async () => {
        // One that is asked before the signal was heard waits for the store, which is held.
        const asked = run.call(leaving, 'GET', '/readyz').then(({ status }) => status)
        return (await Promise.race([asked, sleep(100, 0)])) === 503
      }
      let unready = false
      while (!unready && performance.now() - began < 1_500) unready = await isUnready()
      if (!unready) broken.push('/readyz did not say 503 while stopping')
      heal()
      // A balancer has seen it by now, and sends no more; half of the drain time is left.
      going = false
      inFlight += unread.length + 1
      await Promise.all([...answers, revoke])
      const code = await exit
      slowestExit = Math.max(slowestExit, performance.now() - began)
      await Promise.all(busy)
      if (code !== 0) broken.push(`it ended with ${code}. Its log:\n${leaving.log()}`)
      const lost = run.history
        .entries()
        .slice(-(run.samples.length - from))
        .filter(({ error }) => error !== undefined && !/^503/.test(error))
      dropped += lost.length
      broken.push(...lost.map(({ f, error }) => `${f} was dropped: ${error}`))
    }
    const figures = { ...revokeFigures(run), inFlight, dropped, exitMaxMs: Math.round(slowestExit) }
    return { verdict: await run.verdict(), figures, broken }
  },
}

export const crashLoop: Scenario = {
  id: 'F29',
  title: 'all replicas crash together again and again; they had started together on an empty database',
  async run(harness, { rounds }) {
    const cluster = await harness.cluster()
    const run = harness.run(cluster, 'F29')
    let most = 0
    const counting = setInterval(async () => {
      const [row] = await cluster
        .sql<{ count: number }>(
          `select count(*)::int as count from pg_stat_activity where usename = 'latchkey'`,
        )
        .catch(() => [])
      most = Math.max(most, row?.count ?? 0)
    }, 100)
    try {
      for (let round = 0; round < rounds * 2; round++) {
        const token = await run.provisionNow(cluster.replicas[0]!)
        await Promise.all(cluster.replicas.map((replica) => replica.kill()))
        await Promise.all(cluster.replicas.map((replica) => replica.start()))
        await run.revoke(cluster.replicas[1]!, token)
        for (const replica of cluster.replicas) await run.introspect(replica, token)
      }
    } finally {
      clearInterval(counting)
    }
    const [migrated] = await cluster.sql<{ names: number; runs: number }>(
      'select count(distinct name)::int as names, count(*)::int as runs from kysely_migration',
    )
    const broken = [
      ...(migrated!.names === migrated!.runs ? [] : ['a migration ran twice']),
      // Fourteen each, and those of the dead that the server has not noticed yet.
      ...(most > cluster.replicas.length * 2 * 14 ? [`${most} connections`] : []),
    ]
    const figures = {
      ...revokeFigures(run),
      crashes: rounds * 6,
      connectionsMax: most,
      migrations: migrated!.runs,
    }
    return { verdict: await run.verdict(), figures, broken }
  },
}

export const ghosts: Scenario = {
  id: 'F30',
  title:
    'replicas die without a word, and fifty ghosts are heard once: revokes wait for leases, not for the dead',
  async run(harness, { rounds }) {
    const { cluster, other } = await harness.cast()
    const run = harness.run(cluster, 'F30')
    const ghost = await cluster.add()
    const early: number[] = []
    const before = run.samples.length
    for (let round = 0; round < rounds; round++) {
      await ghost.start()
      const tokens = await remembered(run, other, ghost, 2)
      await ghost.kill()
      await haunt(cluster)
      const from = run.samples.length
      await Promise.all(tokens.map((token) => run.revoke(other, token)))
      early.push(...run.samples.slice(from).map(({ ms }) => ms))
      await sleep(leaseMs)
      for (let count = 0; count < 20; count++) await run.revoke(other, await run.provisionNow(other))
    }
    const late = quantiles(
      run.samples
        .slice(before)
        .filter(({ f, ms }) => f === 'revoke' && !early.includes(ms))
        .map(({ ms }) => ms),
    )
    const first = quantiles(early)
    const figures = {
      ghosts: 51,
      firstMaxMs: first.max,
      afterALeaseP50Ms: late.p50,
      afterALeaseP99Ms: late.p99,
    }
    const broken = [
      ...(first.max > leaseMs + 1_500 ? [`a revoke waited ${first.max} ms for a ghost`] : []),
      ...(late.p50 > 500 ? [`a lease later a revoke still takes ${late.p50} ms`] : []),
    ]
    await answering(run, other, await run.provisionNow(other))
    return { verdict: await run.verdict(), figures, broken }
  },
}

/** What dead replicas would have sent just before. */
async function haunt(cluster: Cluster): Promise<void> {
  await cluster.sql(`select pg_notify('latchkey', 'h rep_ghost' || n || ' 1') from generate_series(1, 50) n`)
}
