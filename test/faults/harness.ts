// What scenarios stand on: one real PostgreSQL with fsync on, a healthy cluster that they share, clusters of their own
// when a guard is taken away, and the shape of what they tell.
import { setTimeout as sleep } from 'node:timers/promises'
import type { Sabotage } from '../../src/verify/replicas.ts'
import { sharedServer } from '../helpers/databases.ts'
import { type PostgresServer, startPostgres } from '../helpers/postgres-server.ts'
import { buildReplica } from './build.ts'
import type { Verdict } from './checker.ts'
import { type Cluster, type ClusterOptions, type Replica, startCluster } from './cluster.ts'
import { createRun, type Run, type Sample } from './run.ts'

export type Options = {
  /** How often the fault is injected. */
  readonly rounds: number
  readonly sabotage?: readonly Sabotage[]
}

export type Figures = Readonly<Record<string, number | string>>
export type Outcome = {
  readonly verdict: Verdict
  readonly figures: Figures
  /** Conditions of the scenario's own that did not hold, in words. */
  readonly broken: readonly string[]
}
export type Scenario = {
  readonly id: string
  readonly title: string
  run(harness: Harness, options: Options): Promise<Outcome>
}

export type Cast = {
  readonly cluster: Cluster
  /** Is harmed. */
  readonly victim: Replica
  /** Makes the changes meanwhile. */
  readonly other: Replica
}

export type Harness = {
  readonly server: PostgresServer
  readonly entry: string
  /** Three replicas; shared and left healed by every scenario, unless guards are taken away or more is asked for. */
  cluster(options?: Partial<ClusterOptions>): Promise<Cluster>
  /** Two of the shared cluster; with sabotage, one of them is an extra process that lacks the guard. */
  cast(sabotage?: readonly Sabotage[]): Promise<Cast>
  run(cluster: Cluster, name: string, options?: { lossy?: boolean }): Run
  /** To be undone when the harness closes, last first. */
  after(undo: () => Promise<unknown>): void
  close(): Promise<void>
}

export async function startHarness(): Promise<Harness> {
  const undoing: (() => Promise<unknown>)[] = []
  const build = await buildReplica()
  undoing.push(build.remove)
  const binDir = sharedServer()?.binDir
  const server = await startPostgres({
    fsync: true,
    ...(binDir !== undefined && { binDir }),
  })
  undoing.push(server.remove)
  let shared: Promise<Cluster> | undefined
  let extra: Replica | undefined
  let runs = 0

  async function cluster(options: Partial<ClusterOptions> = {}): Promise<Cluster> {
    const started = await startCluster({ entry: build.entry, serverUrl: server.url, ...options })
    undoing.push(started.close)
    return started
  }

  async function healthy(): Promise<Cluster> {
    shared ??= cluster()
    const { replicas, healed } = await shared
    // One that an earlier scenario was the end of has had its say there.
    for (const replica of replicas) if (replica.pid === undefined) await replica.start()
    await healed()
    return shared
  }

  /** One process for all saboteurs, started anew for each. */
  async function sabotaged(sabotage: readonly Sabotage[]): Promise<Replica> {
    extra ??= await (await healthy()).add()
    await extra.kill('SIGTERM')
    await extra.start({ sabotage })
    return extra
  }

  return {
    server,
    entry: build.entry,
    cluster: (options = {}) => (Object.keys(options).length > 0 ? cluster(options) : healthy()),
    async cast(sabotage = []) {
      const on = await healthy()
      const [first, second] = on.replicas
      if (sabotage.length === 0) return { cluster: on, victim: first!, other: second! }
      const culprit = await sabotaged(sabotage)
      // The barrier is the duty of whoever acknowledges; every other guard is the victim's own.
      return sabotage.includes('no-barrier')
        ? { cluster: on, victim: first!, other: culprit }
        : { cluster: on, victim: culprit, other: second! }
    },
    run(on, name, options) {
      const run = createRun(on, { ...options, prefix: `${name}-${process.pid}-${runs++}` })
      undoing.push(async () => run.end())
      return run
    },
    after: (undo) => void undoing.push(undo),
    async close() {
      for (const undo of undoing.reverse()) await inTime(undo).catch((error) => console.error(error))
    },
  }
}

/** What does not come to its end is named, so that a run that hangs says where. */
async function inTime(undo: () => Promise<unknown>): Promise<void> {
  const late = new AbortController()
  const tooLate = sleep(30_000, undefined, { signal: late.signal, ref: false }).then(() => {
    throw new Error(`not undone after 30 s: ${undo}; open: ${process.getActiveResourcesInfo()}`)
  })
  tooLate.catch(() => {})
  try {
    await Promise.race([undo(), tooLate])
  } finally {
    late.abort()
  }
}

/** What a scenario needs is not there; the message says what, and how to get it. */
export class Skipped extends Error {}

export type Quantiles = { n: number; p50: number; p99: number; max: number }

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (q: number) =>
    Math.round((sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? 0) * 10) / 10
  return { n: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) }
}

/** Milliseconds of the samples that are picked. */
export const times = (run: Run, which: (sample: Sample) => boolean): number[] =>
  run.samples.filter(which).map(({ ms }) => ms)

export const acknowledged = (run: Run) => times(run, ({ f, status }) => f === 'revoke' && status === 200)

export function revokeFigures(run: Run): Figures {
  const { n, p50, p99, max } = quantiles(acknowledged(run))
  return { revokes: n, revokeP50Ms: p50, revokeP99Ms: p99, revokeMaxMs: max }
}
