// Scenarios in which PostgreSQL itself is in trouble: killed, stopped, frozen, locked, full, out of reach for queries,
// or unable to notify. What was acknowledged stays so, and nobody waits longer than was said.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { leaseMs } from '../../src/verify/lease.ts'
import { type Cluster, hold, type Replica } from './cluster.ts'
import { type Harness, quantiles, revokeFigures, type Scenario, times } from './harness.ts'
import { answering, remembered, revokeUnderWatch, watch } from './listening.ts'
import { startLoad } from './load.ts'
import { blackhole } from './proxy.ts'
import type { Run, Sample, Token } from './run.ts'

/** 1.5 s is promised; a busy machine is given something on top. */
const longestCheckMs = 1_500 + 1_000

export const killedServer: Scenario = {
  id: 'F02',
  title: 'postmaster and backends are killed under load',
  run: (harness, { rounds }) =>
    underLoad(harness, 'F02', rounds, async () => {
      await harness.server.kill('SIGKILL')
      await harness.server.start()
    }),
}

export const stoppedServer: Scenario = {
  id: 'F03',
  title: 'PostgreSQL is stopped, at once and fast, and started again; storms of pg_terminate_backend',
  run: (harness, { rounds }) =>
    underLoad(harness, 'F03', rounds * 3, async (round, cluster) => {
      if (round % 3 === 2) return terminateAll(cluster)
      await harness.server.stop(round % 3 === 0 ? 'immediate' : 'fast')
      await harness.server.start()
    }),
}

async function terminateAll(cluster: Cluster): Promise<void> {
  for (let wave = 0; wave < 5; wave++) {
    await cluster.sql(
      `select pg_terminate_backend(pid) from pg_stat_activity where usename = 'latchkey' and datname = current_database()`,
    )
    await sleep(100)
  }
}

async function underLoad(
  harness: Harness,
  name: string,
  rounds: number,
  trouble: (round: number, cluster: Cluster) => Promise<void>,
) {
  const cluster = await harness.cluster()
  const run = harness.run(cluster, name)
  const load = startLoad(run, { replicas: cluster.replicas })
  const [outages, recoveries]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round++) {
    await sleep(800)
    const began = performance.now()
    await trouble(round, cluster)
    outages.push(performance.now() - began)
    recoveries.push(await untilChanged(run, cluster.replicas[0]!))
  }
  await sleep(500)
  await load.stop()
  await cluster.healed()
  const figures = {
    ...revokeFigures(run),
    outageMaxMs: quantiles(outages).max,
    recoveryP99Ms: quantiles(recoveries).p99,
    checksUnavailable: times(run, ({ f, status }) => f === 'introspect' && status !== 200).length,
    wrongSide: times(
      run,
      ({ f, status }) => f === 'introspect' && status !== 200 && status !== 503 && status !== 0,
    ).length,
  }
  const broken = figures.wrongSide > 0 ? ['a check was answered neither 200 nor 503'] : []
  return { verdict: await run.verdict(), figures, broken }
}

/** How long until a change is acknowledged again. */
async function untilChanged(run: Run, at: Replica): Promise<number> {
  const began = performance.now()
  await run.provisionNow(at)
  return performance.now() - began
}

export const deafQueries: Scenario = {
  id: 'F07',
  title: 'the query connections of one replica are a black hole, its LISTEN connection is not',
  async run(harness, { rounds }) {
    const { cluster, victim, other } = await harness.cast()
    const run = harness.run(cluster, 'F07')
    const hits: Sample[] = []
    const misses: Sample[] = []
    let grownKib = 0
    for (let round = 0; round < rounds; round++) {
      const known = await remembered(run, other, victim)
      const unread = await Promise.all(Array.from({ length: 40 }, () => run.provisionNow(other)))
      const before = residentKib(victim)
      const heal = await hold(victim, victim.isQuery, blackhole)
      const from = run.samples.length
      const until = performance.now() + 3_000
      await Promise.all([
        watch(run, victim, known, 3_000),
        ...unread.map(async (token) => {
          while (performance.now() < until) await run.introspect(victim, token)
        }),
        sleep(1_000).then(() => run.revoke(other, known[0]!)),
      ])
      const isKnown = new Set(known.map(({ name }) => name))
      for (const sample of run.samples.slice(from)) {
        if (sample.f !== 'introspect') continue
        if (isKnown.has(sample.token)) hits.push(sample)
        else misses.push(sample)
      }
      grownKib = Math.max(grownKib, residentKib(victim) - before)
      heal()
      await answering(run, victim, unread[0]!)
    }
    const [hit, miss] = [quantiles(hits.map(({ ms }) => ms)), quantiles(misses.map(({ ms }) => ms))]
    // A revoked one is a miss: it was forgotten.
    const hitsFailed = hits.filter(({ status }) => status !== 200).length
    const figures = {
      ...revokeFigures(run),
      hits: hit.n,
      hitP99Ms: hit.p99,
      hitsFailed,
      misses: miss.n,
      missMaxMs: miss.max,
      grownKib,
    }
    const broken = [
      ...(miss.max > longestCheckMs ? [`a miss waited ${miss.max} ms`] : []),
      ...(hit.n - hitsFailed < hit.n / 3
        ? [`only ${hit.n - hitsFailed} of ${hit.n} hits were answered`]
        : []),
      ...(grownKib > 64 * 1024 ? [`memory grew by ${grownKib} KiB`] : []),
    ]
    return { verdict: await run.verdict(), figures, broken }
  },
}

export const frozenServer: Scenario = {
  id: 'F09',
  title: 'PostgreSQL is frozen for 1 and 3 s (10 in a long run)',
  async run(harness, { rounds }) {
    const cluster = await harness.cluster()
    const run = harness.run(cluster, 'F09')
    const [victim, other] = cluster.replicas as [Replica, Replica]
    const lengths = rounds > 1 ? [1_000, 3_000, 10_000] : [1_000, 3_000]
    let [checks, late]: [number[], number] = [[], 0]
    for (let round = 0; round < rounds; round++) {
      for (const ms of lengths) {
        const known = await remembered(run, other, victim, other)
        const unread = await Promise.all(Array.from({ length: 10 }, () => run.provisionNow(other)))
        const from = run.samples.length
        await harness.server.kill('SIGSTOP')
        const frozenAt = performance.now()
        const thaw = sleep(ms).then(() => harness.server.kill('SIGCONT'))
        const revoke = run.revoke(other, known[0]!)
        await Promise.all([
          watch(run, victim, [...known, ...unread.slice(0, 5)], ms),
          watch(run, other, [...known, ...unread.slice(5)], ms),
          thaw,
          revoke,
        ])
        const asked = run.samples.slice(from).filter(({ f }) => f === 'introspect')
        checks = checks.concat(asked.map(({ ms }) => ms))
        // No heartbeat can have been sent and come back since, so what was asked after the last lease is not answered;
        // when it was asked counts, for this process may be late to see an answer.
        late += asked.filter(
          ({ status, at, ms: took }) =>
            status === 200 && at - took > frozenAt + leaseMs && at < frozenAt + ms,
        ).length
        await cluster.healed()
        await Promise.all(known.map((token) => run.introspect(victim, token)))
      }
    }
    const { n, p99, max } = quantiles(checks)
    const figures = {
      ...revokeFigures(run),
      checks: n,
      checkP99Ms: p99,
      checkMaxMs: max,
      answeredWithoutLease: late,
    }
    const broken = [
      ...(max > longestCheckMs ? [`a check waited ${max} ms`] : []),
      ...(late > 0 ? [`${late} checks were answered after every lease was over`] : []),
    ]
    return { verdict: await run.verdict(), figures, broken }
  },
}

export const silentServer: Scenario = {
  id: 'F12',
  title: 'announcements fail, then all of NOTIFY: revokes are counted instead, and wait a lease',
  async run(harness, { rounds }) {
    const { cluster, victim, other } = await harness.cast()
    const run = harness.run(cluster, 'F12')
    const quickest: number[] = []
    for (let round = 0; round < rounds; round++) {
      await failAnnouncements(cluster, async () => {
        const tokens = await remembered(run, other, victim)
        const before = run.samples.length
        await revokeUnderWatch(run, other, victim, tokens)
        const took = run.samples.slice(before).filter(({ f, status }) => f === 'revoke' && status === 200)
        quickest.push(...took.map(({ ms }) => ms))
      })
      const tokens = await remembered(run, other, victim, other)
      await cluster.sql('revoke execute on function pg_catalog.pg_notify(text, text) from public')
      try {
        await revokeUnderWatch(run, other, victim, tokens)
      } finally {
        await cluster.sql('grant execute on function pg_catalog.pg_notify(text, text) to public')
      }
      await answering(run, victim, tokens[0]!)
    }
    const least = quantiles(quickest).n === 0 ? 0 : Math.round(Math.min(...quickest))
    const broken = least < leaseMs ? [`a revoke that nobody heard of was acknowledged after ${least} ms`] : []
    return {
      verdict: await run.verdict(),
      figures: { ...revokeFigures(run), silentRevokeMinMs: least },
      broken,
    }
  },
}

/** A pg_notify that comes first on the search path, and lets heartbeats and confirmations pass. */
async function failAnnouncements(cluster: Cluster, work: () => Promise<void>): Promise<void> {
  const [{ name } = { name: '' }] = await cluster.sql<{ name: string }>('select current_database() as name')
  await cluster.sql(`
    create schema if not exists fault;
    grant usage on schema fault to latchkey;
    create or replace function fault.pg_notify(channel text, payload text) returns void language plpgsql as $$
    begin
      if payload like 'i %' then raise exception 'no announcement today'; end if;
      perform pg_catalog.pg_notify(channel, payload);
    end $$;
    alter role latchkey in database ${name} set search_path = fault, pg_catalog, public`)
  await terminateAll(cluster)
  await cluster.healed()
  try {
    await work()
  } finally {
    await cluster.sql(`alter role latchkey in database ${name} reset search_path`)
    await terminateAll(cluster)
    await cluster.healed()
  }
}

export const crowdedServer: Scenario = {
  id: 'F13',
  title: 'a locked table, a pool that is exhausted, no connection to be had: revokes keep theirs',
  async run(harness, { rounds }) {
    const { cluster, victim, other } = await harness.cast()
    const run = harness.run(cluster, 'F13')
    const broken: string[] = []
    const checks: number[] = []
    let tried = 0
    const revokesNow = async (tokens: readonly Token[], when: string, at: Replica) => {
      const answers = await Promise.all(tokens.map((token) => run.revoke(at, token)))
      tried += tokens.length
      const failed = answers.filter(({ status }) => status !== 200)
      if (failed.length > 0)
        broken.push(`${failed.length} of ${answers.length} revokes answered ${failed[0]!.status} ${when}`)
    }
    for (let round = 0; round < rounds; round++) {
      const tokens = await remembered(run, other, victim, 9)
      const unread = await Promise.all([1, 2, 3].map(() => run.provisionNow(other)))
      const from = run.samples.length
      await locked(cluster, 'token', async () => {
        await Promise.all([watch(run, victim, [...tokens.slice(0, 3), ...unread], 3_000)])
      })
      checks.push(
        ...run.samples
          .slice(from)
          .filter(({ f }) => f === 'introspect')
          .map(({ ms }) => ms),
      )

      await locked(cluster, 'service', async () => {
        const slow = Array.from({ length: 30 }, () => run.call(victim, 'GET', '/api/v1/services'))
        await sleep(200)
        await revokesNow(tokens.slice(0, 3), 'while slow queries held the pool', victim)
        await Promise.all(slow)
      })

      await crowded(cluster, async () => {
        await revokesNow(tokens.slice(3, 6), 'while no connection was to be had', victim)
        await watch(run, victim, unread, 500)
      })
      await cluster.healed()
      await revokesNow(tokens.slice(6), 'afterwards', victim)
    }
    const { p99, max } = quantiles(checks)
    if (max > longestCheckMs) broken.push(`a check waited ${max} ms for a locked table`)
    const figures = { ...revokeFigures(run), revokesTried: tried, checkP99Ms: p99, checkMaxMs: max }
    return { verdict: await run.verdict(), figures, broken }
  },
}

async function locked(cluster: Cluster, table: string, work: () => Promise<void>): Promise<void> {
  const client = await session(cluster.adminUrl)
  try {
    await client.query(`begin; lock table ${table} in access exclusive mode`)
    await work()
  } finally {
    await client.query('rollback').catch(() => {})
    await client.end()
  }
}

/** Every connection that an ordinary role may have is taken; what replicas keep open they keep. */
async function crowded(cluster: Cluster, work: () => Promise<void>): Promise<void> {
  const url = new URL(cluster.adminUrl)
  url.username = 'latchkey'
  const clients: pg.Client[] = []
  try {
    for (;;) {
      try {
        clients.push(await session(url.href))
      } catch (error) {
        if ((error as { code?: string }).code !== '53300') throw error
        break
      }
    }
    await work()
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})))
  }
}

export async function session(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {})
  await client.connect()
  return client
}

function residentKib(replica: Replica): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${replica.pid}/status`, 'utf8'))?.[1] ?? 0)
}
