// Scenarios with a second server: a standby that must not be verified from, a failover to it while the former primary
// wakes again, and a pooler that loses notifications.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sabotage } from '../../src/verify/replicas.ts'
import { startPostgres, startStandby } from '../helpers/postgres-server.ts'
import { freePort } from '../helpers/process.ts'
import { type Cluster, onceOn, type Replica } from './cluster.ts'
import { type Harness, type Outcome, revokeFigures, type Scenario, Skipped } from './harness.ts'
import { remembered, watch } from './listening.ts'
import { startLoad } from './load.ts'
import { pass, reset } from './proxy.ts'
import type { Run, Token } from './run.ts'

export const syncFailover: Scenario = {
  id: 'F04',
  title: 'failover to a synchronous standby; the former primary wakes with clients attached',
  run: (harness, { rounds, sabotage }) => failovers(harness, 'F04', rounds, true, sabotage),
}

export const asyncFailover: Scenario = {
  id: 'F05',
  title: 'the same with an asynchronous standby: what is lost is counted, none is promised',
  run: (harness, { rounds }) => failovers(harness, 'F05', rounds, false),
}

async function failovers(
  harness: Harness,
  name: string,
  rounds: number,
  synchronous: boolean,
  sabotage: readonly Sabotage[] = [],
): Promise<Outcome> {
  const outcomes: Outcome[] = []
  for (let round = 0; round < rounds; round++)
    outcomes.push(await failover(harness, name, synchronous, sabotage))
  return outcomes.reduce(joined)
}

async function failover(
  harness: Harness,
  name: string,
  synchronous: boolean,
  sabotage: readonly Sabotage[],
): Promise<Outcome> {
  const primary = await startPostgres({ fsync: true, binDir: harness.server.binDir })
  harness.after(primary.remove)
  const standby = await startStandby(primary, { synchronous })
  harness.after(standby.remove)
  const cluster = await harness.cluster({ serverUrl: primary.url, sabotage })
  const [left, moved, alsoMoved] = cluster.replicas as [Replica, Replica, Replica]
  const run = harness.run(cluster, name, { lossy: !synchronous })
  const sql: Cluster['sql'] = (text, values) => {
    const url = new URL(cluster.adminUrl)
    url.port = String(standby.port)
    return onceOn(url.href, text, values)
  }

  // Changes that hang on the former primary keep its notifications back, and would hide a heartbeat that does not.
  const load = sabotage.length > 0 ? null : startLoad(run, { replicas: cluster.replicas })
  await sleep(1_500)
  const known = await remembered(run, moved, left, moved, alsoMoved)
  const unread = await Promise.all(Array.from({ length: 12 }, () => run.provisionNow(moved)))
  await primary.kill('SIGSTOP')
  // New connections of two replicas go to the new primary; the sessions they have stay where they are.
  for (const replica of [moved, alsoMoved]) replica.aim(standby.port)
  const began = performance.now()
  await standby.promote()
  const promoteMs = Math.round(performance.now() - began)
  await sleep(1_000)
  // A saboteur grants itself the lease on the former primary, and revokes nothing there: it is caught once it listens elsewhere.
  if (sabotage.length > 0) await untilListening(sql, 2)
  await primary.kill('SIGCONT')
  await untilActive(run, moved, known[0]!)
  const doomed = [...known.slice(1), ...unread.slice(0, 8)]
  await Promise.all(doomed.map((token) => run.revoke(moved, token)))
  // The former primary does not know these, and must not be believed that they do not exist.
  const made = await Promise.all(Array.from({ length: 8 }, () => run.provisionNow(moved)))
  await Promise.all(made.map((token) => run.revokeBySecret(moved, token)))
  doomed.push(...made)
  // On the former primary, and on whatever session still leads there.
  await Promise.all(cluster.replicas.map((replica) => watch(run, replica, doomed, 1_500)))
  const zombie = run.samples.filter(
    ({ replica, f, status, at }) =>
      replica === left.name && f !== 'introspect' && status === 200 && at > began + promoteMs,
  ).length
  await load?.stop()
  await primary.kill('SIGKILL')
  left.aim(standby.port)
  await left.proxy.mode(reset)
  await left.proxy.mode(pass)
  await cluster.healed()
  await Promise.all(cluster.replicas.map((replica) => watch(run, replica, doomed, 200)))
  const verdict = await run.verdict(sql)
  const lost = verdict.violations.filter(({ invariant }) => invariant === 'I3').length
  await cluster.close()
  const figures = { ...revokeFigures(run), promoteMs, acceptedByZombie: zombie, acknowledgedAndLost: lost }
  if (synchronous) return { verdict, figures, broken: [] }
  // The negative control: its losses are a figure, not a failure.
  return { verdict: { ...verdict, violations: [] }, figures, broken: [] }
}

async function untilListening(sql: Cluster['sql'], sessions: number): Promise<void> {
  const deadline = performance.now() + 15_000
  const listening = `select pid from pg_stat_activity where application_name = 'latchkey listener'`
  while ((await sql(listening)).length < sessions) {
    if (performance.now() > deadline) throw new Error('Nobody listens on the new primary')
    await sleep(50)
  }
}

async function untilActive(run: Run, at: Replica, token: Token): Promise<void> {
  const deadline = performance.now() + 15_000
  while (!(await run.introspect(at, token)).active) {
    if (performance.now() > deadline) throw new Error(`${at.name} does not come back. Its log:\n${at.log()}`)
    await sleep(50)
  }
}

function joined(a: Outcome, b: Outcome): Outcome {
  const judged = { ...a.verdict.judged }
  for (const key of Object.keys(judged) as (keyof typeof judged)[]) judged[key] += b.verdict.judged[key]
  const sum = (key: 'tried' | 'acknowledged' | 'indeterminate' | 'failed') => a.verdict[key] + b.verdict[key]
  const figures: Record<string, number | string> = { ...b.figures }
  for (const key of ['revokes', 'acceptedByZombie', 'acknowledgedAndLost'])
    figures[key] = Number(a.figures[key]) + Number(b.figures[key])
  return {
    verdict: {
      tried: sum('tried'),
      acknowledged: sum('acknowledged'),
      indeterminate: sum('indeterminate'),
      failed: sum('failed'),
      violations: [...a.verdict.violations, ...b.verdict.violations],
      judged,
      bound95: judged.I1 <= 3 ? 1 : 3 / judged.I1,
    },
    figures,
    broken: [...a.broken, ...b.broken],
  }
}

export const refusedStandby: Scenario = {
  id: 'F16',
  title: 'a standby is refused at start-up',
  async run(harness) {
    const cluster = await harness.cluster()
    const run = harness.run(cluster, 'F16')
    const standby = await startStandby(harness.server, { synchronous: false })
    try {
      const replica = await cluster.add()
      replica.aim(standby.port)
      await run.provisionNow(cluster.replicas[0]!)
      const why = await refusal(replica)
      const broken = /standby/.test(why) ? [] : [`a standby was not refused: ${why}`]
      return { verdict: await run.verdict(), figures: { refused: broken.length === 0 ? 1 : 0 }, broken }
    } finally {
      await standby.remove()
      await cluster
        .sql('select pg_drop_replication_slot(slot_name) from pg_replication_slots where not active')
        .catch(() => {})
    }
  },
}

export const refusedPooler: Scenario = {
  id: 'F11b',
  title: 'PgBouncer in transaction mode is refused at start-up',
  async run(harness) {
    const pooler = await startPooler(harness.server.port)
    harness.after(pooler.stop)
    const cluster = await harness.cluster()
    const run = harness.run(cluster, 'F11b')
    await run.provisionNow(cluster.replicas[0]!)
    let refused = 0
    const broken: string[] = []
    for (let tries = 0; tries < 2; tries++) {
      const replica = await cluster.add()
      replica.aim(pooler.port)
      const why = await refusal(replica)
      if (/lends one session to many/.test(why)) refused += 1
      else broken.push(`a pooled LISTEN was not refused: ${why}`)
    }
    await pooler.stop()
    return { verdict: await run.verdict(), figures: { refused }, broken }
  },
}

/** Why it does not start. */
async function refusal(replica: Replica): Promise<string> {
  try {
    await replica.start()
    await replica.kill('SIGTERM')
    return 'it started'
  } catch (error) {
    return (error as Error).message
  }
}

async function startPooler(upstream: number): Promise<{ port: number; stop(): Promise<void> }> {
  const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find(works)
  if (program === undefined)
    throw new Skipped('pgbouncer is not installed (Debian: apt-get install pgbouncer)')
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'latchkey-pooler-'))
  await chmod(folder, 0o755)
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(
    file,
    `[databases]
* = host=127.0.0.1 port=${upstream} user=latchkey
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
ignore_startup_parameters = extra_float_digits,statement_timeout,idle_in_transaction_session_timeout
`,
  )
  // It does not run as root.
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child: ChildProcess = spawn(program, [...asNobody, file], { stdio: 'ignore' })
  const over = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await sleep(500)
  if (child.exitCode !== null) throw new Skipped(`pgbouncer does not run here (exit ${child.exitCode})`)
  return {
    port,
    async stop() {
      child.kill('SIGKILL')
      await over
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function works(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
