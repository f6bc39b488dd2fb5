// Replicas as real processes on one real PostgreSQL, each reaching it through a proxy of its own, and the ways to
// harm them: kill, freeze, stall, cut off. What is asked of them is run.ts; what must stay true is checker.ts.
import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Sabotage } from '../../src/verify/replicas.ts'
import { muteNotifications } from './mute.ts'
import {
  blackhole,
  type Connection,
  type Mode,
  type Proxy as NetworkProxy,
  type Predicate,
  pass,
  spotListeners,
  startProxy,
  type Tap,
} from './proxy.ts'
import type { Order, Report } from './replica.ts'
import '../helpers/plain-children.ts'

export type Replica = {
  readonly name: string
  /** Of the process that runs now; a new one has a new port. */
  readonly url: string
  readonly pid: number | undefined
  readonly proxy: NetworkProxy
  /** Its LISTEN session, its sessions that read facts, and all but the LISTEN session. */
  readonly isListener: Predicate
  readonly isReader: Predicate
  readonly isQuery: Predicate
  /** Takes only the notifications away. */
  mute(on: boolean): void
  /** Sees all that the replica sends to PostgreSQL from now on, or (second) what comes back; ends when called. */
  tap(onClientData: Tap, onServerData?: Tap): () => void
  /** Where new connections lead; those that live stay where they are. */
  aim(port: number): void
  /** Resolves when it listens. @throws Error with what it wrote, when it ends instead */
  start(more?: { env?: Record<string, string>; sabotage?: readonly Sabotage[] }): Promise<void>
  /** Resolves when it is gone. SIGTERM lets it finish; SIGKILL does not. @returns the exit code */
  kill(signal?: 'SIGKILL' | 'SIGTERM'): Promise<number | null>
  freeze(): void
  thaw(): void
  /** Its event loop does nothing for so long. */
  stall(ms: number): void
  adminToken(): Promise<string>
  log(): string
  close(): Promise<void>
}

export type ReplicaOptions = {
  readonly name: string
  readonly entry: string
  /** Of PostgreSQL itself. */
  readonly databaseUrl: string
  readonly env?: Record<string, string>
  readonly sabotage?: readonly Sabotage[]
}

const readyWithinMs = 30_000

/** A proxy and, once started, a process behind it. */
export async function createReplica(options: ReplicaOptions): Promise<Replica> {
  const { name } = options
  const listeners = spotListeners()
  const readers = spot(/facts by digest/)
  const mute = muteNotifications()
  const taps = new Set<{ up: Tap; down: Tap | undefined }>()
  const upstream = {
    host: '127.0.0.1',
    port: Number(new URL(options.databaseUrl).port),
    onClientData(connection: Connection, bytes: Buffer) {
      listeners.onClientData(connection, bytes)
      readers.onClientData(connection, bytes)
      for (const { up } of taps) up(connection, bytes)
    },
    onServerData(connection: Connection, bytes: Buffer) {
      for (const { down } of taps) down?.(connection, bytes)
    },
    changeServerData: mute.changeServerData,
  }
  const proxy = await startProxy(upstream)
  const address = new URL(proxy.through(options.databaseUrl))
  address.searchParams.set('sslmode', 'disable')

  let child: ChildProcess | undefined
  let url = ''
  let written = ''

  const replica: Replica = {
    name,
    proxy,
    get url() {
      return url
    },
    get pid() {
      return child?.pid
    },
    isListener: listeners.isListener,
    isReader: readers.isOne,
    isQuery: (connection) => !listeners.isListener(connection),
    mute(on) {
      mute.on = on
    },
    tap(up, down) {
      const one = { up, down }
      taps.add(one)
      return () => void taps.delete(one)
    },
    aim(port) {
      upstream.port = port
    },
    async start(more = {}) {
      if (child) throw new Error(`replica ${name} runs already`)
      const env = {
        PATH: process.env['PATH'],
        DATABASE_URL: address.href,
        LATCHKEY_PORT: '0',
        LATCHKEY_SECRET: 'a secret of the fault tests',
        LATCHKEY_DRAIN_SECONDS: '0',
        ...options.env,
        ...more.env,
      }
      const sabotage = [...(more.sabotage ?? options.sabotage ?? [])]
      const started = fork(options.entry, sabotage, { env, execArgv: [], silent: true })
      child = started
      written = ''
      for (const stream of [started.stdout!, started.stderr!])
        stream.setEncoding('utf8').on('data', (text) => {
          written = (written + text).slice(-100_000)
        })
      started.once('exit', () => {
        if (child === started) child = undefined
      })
      url = await ready(started, name, () => written)
    },
    async kill(signal = 'SIGKILL') {
      if (!child) return null
      const exit = once(child, 'exit') as Promise<[number | null]>
      child.kill(signal)
      // A frozen process hears nothing but SIGKILL.
      if (signal !== 'SIGKILL') child.kill('SIGCONT')
      return (await exit)[0]
    },
    freeze: () => void child?.kill('SIGSTOP'),
    thaw: () => void child?.kill('SIGCONT'),
    stall: (ms) => order(child!, { stallMs: ms }),
    async adminToken() {
      const answered = once(child!, 'message') as Promise<[Report]>
      order(child!, 'admin token')
      const [report] = await answered
      if ('admin' in report) return report.admin
      throw new Error('no admin token came')
    },
    log: () => written,
    async close() {
      await replica.kill()
      await proxy.stop()
    },
  }
  return replica
}

const order = (child: ChildProcess, what: Order) => void child.send(what)

async function ready(child: ChildProcess, name: string, written: () => string): Promise<string> {
  const late = setTimeout(() => child.kill('SIGKILL'), readyWithinMs)
  const reported = once(child, 'message') as Promise<[Report]>
  const ended = once(child, 'exit').then(async ([code, signal]) => {
    await sleep(20) // for what it wrote last
    throw new Error(`replica ${name} ended with ${code ?? signal}. It wrote:\n${written()}`)
  })
  ended.catch(() => {})
  reported.catch(() => {})
  try {
    const [report] = await Promise.race([reported, ended])
    if ('url' in report) return report.url
    throw new Error(`replica ${name} reported something else first`)
  } finally {
    clearTimeout(late)
  }
}

/** Which connections ever carried this in what the client sent. A query split between two chunks is missed. */
function spot(pattern: RegExp): { onClientData: Tap; isOne: Predicate } {
  const found = new WeakSet<Connection>()
  return {
    onClientData(connection, chunk) {
      if (!found.has(connection) && pattern.test(chunk.toString('latin1'))) found.add(connection)
    },
    isOne: (connection) => found.has(connection),
  }
}

/** Holds what is picked until the returned function is called. */
export async function hold(replica: Replica, which: Predicate, how: Mode = blackhole): Promise<() => void> {
  await replica.proxy.mode(how, which)
  return () => void replica.proxy.mode(pass, which)
}

/** The replies to reads of facts, on the connections there are now: a later connection is not held. */
export async function holdReads(replica: Replica): Promise<() => void> {
  const now = new Set(replica.proxy.connections().filter(replica.isReader))
  return hold(replica, (connection) => now.has(connection), { kind: 'drop', direction: 'down' })
}

export type Cluster = {
  readonly replicas: readonly Replica[]
  /** Of PostgreSQL itself, as its superuser; for the test alone. */
  readonly adminUrl: string
  /** A token that may do everything, and a service's credentials. */
  readonly admin: string
  readonly basic: string
  /** Another replica on the same database; closed with the cluster. Not yet started. */
  add(options?: Partial<ReplicaOptions>): Promise<Replica>
  /** Runs SQL as the superuser on a session of its own. */
  sql<R extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<R[]>
  /** All replicas answer again, or an Error after some seconds. */
  healed(): Promise<void>
  close(): Promise<void>
}

export type ClusterOptions = {
  readonly entry: string
  readonly serverUrl: string
  readonly size?: number
  readonly sabotage?: readonly Sabotage[]
  readonly env?: Record<string, string>
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { adminUrl, databaseUrl } = await freshDatabase(options.serverUrl)
  const replicas: Replica[] = []
  const all: Replica[] = []
  const sql: Cluster['sql'] = (text, values) => onceOn(adminUrl, text, values)

  async function add(more: Partial<ReplicaOptions> = {}): Promise<Replica> {
    const replica = await createReplica({
      name: String.fromCharCode(97 + all.length),
      entry: options.entry,
      databaseUrl,
      ...(options.env && { env: options.env }),
      ...(options.sabotage && { sabotage: options.sabotage }),
      ...more,
    })
    all.push(replica)
    return replica
  }

  async function close(): Promise<void> {
    await Promise.all(all.map((replica) => replica.close()))
  }

  try {
    for (let count = 0; count < (options.size ?? 3); count++) replicas.push(await add())
    await Promise.all(replicas.map((replica) => replica.start()))
    const admin = await replicas[0]!.adminToken()
    const basic = await registerService(replicas[0]!.url, admin)
    return { replicas, adminUrl, admin, basic, add, sql, close, healed: () => healed(replicas) }
  } catch (error) {
    await close()
    throw error
  }
}

/** Everybody answers readiness; after a fault that takes some heartbeats. */
async function healed(replicas: readonly Replica[]): Promise<void> {
  const deadline = performance.now() + 15_000
  for (const replica of replicas) {
    for (;;) {
      const status = await fetch(`${replica.url}/readyz`, { signal: AbortSignal.timeout(2_000) }).then(
        (response) => response.status,
        () => 0,
      )
      if (status === 200) break
      if (replica.pid === undefined)
        throw new Error(`replica ${replica.name} has ended. Its log:\n${replica.log()}`)
      if (performance.now() > deadline)
        throw new Error(`replica ${replica.name} does not heal (${status}). Its log:\n${replica.log()}`)
      await sleep(50)
    }
  }
}

/** Replicas come as an ordinary role: to a superuser PostgreSQL refuses nothing. */
async function freshDatabase(serverUrl: string): Promise<{ adminUrl: string; databaseUrl: string }> {
  const name = `faults_${randomBytes(6).toString('hex')}`
  await onceOn(
    serverUrl,
    `do $$ begin create role latchkey login; exception when duplicate_object then null; end $$`,
  )
  await onceOn(serverUrl, `create database ${name} owner latchkey`)
  const adminUrl = new URL(serverUrl)
  adminUrl.pathname = `/${name}`
  const databaseUrl = new URL(adminUrl)
  databaseUrl.username = 'latchkey'
  databaseUrl.password = ''
  return { adminUrl: adminUrl.href, databaseUrl: databaseUrl.href }
}

export async function onceOn<R extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<R[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 })
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query<R>(text, values)).rows
  } finally {
    await client.end().catch(() => {})
  }
}

export const scopes = ['faults:read', 'faults:write'] as const

async function registerService(url: string, admin: string): Promise<string> {
  const call = async (method: string, path: string, body: unknown) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${admin}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    if (response.status !== 200)
      throw new Error(`${path} answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as { clientId: string; clientSecret: string }
  }
  const { clientId, clientSecret } = await call('POST', '/api/v1/services', { id: 'faults', name: 'Faults' })
  await call('PUT', '/api/v1/services/faults/scopes', {
    groups: [{ id: 'all', title: 'All' }],
    scopes: scopes.map((name) => ({ name, title: name, group: 'all', risk: 'low' })),
  })
  return `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`
}
