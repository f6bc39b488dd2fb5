// The replicas of one Latchkey, over NOTIFY on their one PostgreSQL: heartbeats that earn the lease, announcements of
// what is to be forgotten, confirmations that it was, and the barrier that an acknowledgement waits for. It rests
// on one fact: messages arrive in commit order, so whoever receives a heartbeat has received every announcement
// that was committed before it. The rules and their measurements: docs/operate/revocation.md.
import { sql } from 'kysely'
import { type Invalidation, invalidationKinds } from '../db/change.ts'
import type { Listener, ListenerEvents } from '../db/listen.ts'
import { channel } from '../db/postgres.ts'
import type { Trx } from '../db/tables.ts'
import { createDatabaseClock } from './database-clock.ts'
import { holdMs, leaseMs } from './lease.ts'
import type { WatchedLease } from './lease-watch.ts'
import { askWhichServer, confirmation, type HeartbeatRow, heartbeatText, notify } from './notifying.ts'

/** What a change has announced and its acknowledgement may wait for. */
export type Announced = { readonly id: string } | 'silent'

export type Replicas = {
  /** Starts; resolves when the first lease is held, rejects when it does not come: nothing can be promised then. */
  ready(): Promise<void>
  /**
   * First in a transaction that changes anything. After a failover its connection may still lead to the former
   * primary, where nothing of what has happened since is known, and where the others would not hear of it.
   */
  admit(trx: Trx): Promise<void>
  /** Within the transaction that makes the change. `silent`: NOTIFY has failed, so be counted instead. */
  announce(trx: Trx, what: readonly Invalidation[], silent: boolean): Promise<Announced>
  /** The transaction was rolled back. */
  withdraw(announced: Announced): void
  /** After the commit: resolves when no replica can answer from before it any more; at most one lease later. */
  settled(announced: Announced): Promise<void>
  /**
   * Resolves to whether a heartbeat sent from now on earns the lease. That a token is *not* there must be known so:
   * until its lease runs out, a former primary may be read that does not know what was made on the new one. Nor is it known
   * while another replica makes tokens under a key that this one does not have.
   */
  confirm(): Promise<boolean>
  /** Which server process earns the lease; null: not known. What another one says does not count. */
  server(): string | null
  /** The database's clock, carried on by the monotonic one. Epoch milliseconds. */
  now(): number
  stop(): Promise<void>
}

/** Nothing was done yet: the change may be tried again on another connection. */
export class FormerServer extends Error {
  readonly code = 'ECONNRESET'
  constructor() {
    super('The connection led to another server than the one that earns the lease')
  }
}

export type ReplicaDependencies = {
  readonly listen: (events: ListenerEvents) => Listener
  readonly self: string
  /** Of the key ring's newest key. */
  readonly keyId: string
  readonly lease: WatchedLease
  readonly monotonic: () => number
  /** Before this is answered, the replica must have forgotten. */
  readonly onForget: (what: readonly Invalidation[]) => void
  readonly onForgetAll: () => void
  readonly onTrouble: (what: string, error: Error | null) => void
  /** Test switches that each take one guard away (see test/faults). */
  readonly sabotage: ReadonlySet<Sabotage>
}

export type Sabotage =
  | 'no-barrier'
  | 'no-lease'
  | 'no-fence'
  | 'no-flush-on-reconnect'
  | 'select-heartbeat'
  | 'light-heartbeat'
  | 'lease-from-receipt'
  | 'shared-flights'
  | 'no-recheck'

const heartbeatMs = 500
/** A heartbeat that has not come back by then will not: the session is dead, whatever its socket says. */
const echoMs = 1_000
const firstLeaseMs = 5_000
/** Those who ask for a heartbeat share one. */
const hurryMs = 20
/** Timers may fire a little early. */
const timerSlackMs = 5
/** NOTIFY's payload ends at 8000 bytes. */
const longestPayload = 7_000

const isKnown = ({ kind }: Invalidation) => invalidationKinds.has(kind)

type Heartbeat = {
  readonly number: number
  readonly sentAt: number
  readonly clockAtSent: number
  echoed: boolean
  read: boolean
}
type Barrier = { needed: Set<string> | null; resolve: () => void; done: Promise<void> }

export function createReplicas(dependencies: ReplicaDependencies): Replicas {
  const { self, keyId, lease, monotonic, onForget, onForgetAll, onTrouble, sabotage } = dependencies
  /** When a heartbeat of each other replica was last heard: its lease is over one lease later at the latest. */
  const heard = new Map<string, number>()
  const barriers = new Map<string, Barrier>()
  const confirmations: string[] = []
  const clock = createDatabaseClock(monotonic)
  let listeningSince = Number.POSITIVE_INFINITY
  let heartbeat: Heartbeat | null = null
  let number = 0
  let silentCount: number | null = null
  let server: string | null = null
  let hasNewestKey = true
  let announcements = 0
  const asking = new Set<{ readonly since: number; readonly settle: (earned: boolean) => void }>()
  let hurry: NodeJS.Timeout | null = null

  const listener = dependencies.listen({ onUp, onDown, onMessage })
  const beating = setInterval(beat, heartbeatMs)

  function onUp(): void {
    // Announcements may have passed while nobody listened.
    if (!sabotage.has('no-flush-on-reconnect')) onForgetAll()
    listeningSince = monotonic()
    heartbeat = null
    beat()
  }

  function onDown(error: Error | null): void {
    listeningSince = Number.POSITIVE_INFINITY
    heartbeat = null
    onTrouble('The listening session ended; it is being opened again', error)
  }

  function beat(): void {
    lease.look()
    if (listeningSince === Number.POSITIVE_INFINITY) return
    if (heartbeat !== null && monotonic() - heartbeat.sentAt > echoMs) listener.restart()
    if (heartbeat !== null) return
    number += 1
    const sent: Heartbeat = {
      number,
      sentAt: monotonic(),
      clockAtSent: Date.now(),
      echoed: false,
      read: false,
    }
    heartbeat = sent
    const text = heartbeatText(sabotage)
    listener
      .query<HeartbeatRow>(text, [channel, `h ${self} ${number}`])
      .then(([row]) => onRead(sent, row!))
      .catch((error: Error) => {
        if (heartbeat !== sent) return
        onTrouble('A heartbeat failed', error)
        listener.restart()
      })
  }

  function beatSoon(): void {
    hurry ??= setTimeout(() => {
      hurry = null
      beat()
    }, hurryMs)
  }

  function onRead(sent: Heartbeat, row: HeartbeatRow): void {
    // Some change could not be announced: what it was about is not known, so everything goes.
    if (silentCount !== null && row.silent !== silentCount) onForgetAll()
    silentCount = row.silent
    server = row.server
    if (hasNewestKey && row.key !== keyId)
      onTrouble('Others have a newer LATCHKEY_SECRET: what is not found here is answered 503', null)
    hasNewestKey = row.key === keyId
    clock.read(row.now, sent.sentAt)
    sent.read = true
    if (sabotage.has('select-heartbeat')) sent.echoed = true
    complete(sent)
  }

  function complete(sent: Heartbeat): void {
    if (heartbeat !== sent || !sent.read || !sent.echoed) return
    heartbeat = null
    lease.grant(sabotage.has('lease-from-receipt') ? monotonic() : sent.sentAt, sent.clockAtSent)
    for (const one of asking) if (one.since <= sent.sentAt) one.settle(hasNewestKey)
    if (asking.size > 0) beatSoon()
  }

  function onMessage(payload: string): void {
    const [kind, from, ...rest] = payload.split(' ')
    if (from === undefined) return
    if (kind === 'h') onHeartbeat(from, Number(rest[0]))
    else if (kind === 'i') onAnnouncement(from, rest[0]!, payload.slice(payload.indexOf('[')))
    else if (kind === 'c') for (const id of rest) onConfirmation(from, id)
    else if (kind === 'b') onGoodbye(from)
  }

  function onHeartbeat(from: string, count: number): void {
    if (from !== self) {
      heard.set(from, monotonic())
      return
    }
    if (heartbeat === null || heartbeat.number !== count) return
    heartbeat.echoed = true
    complete(heartbeat)
  }

  /** What a later version says and this one does not understand, or anybody else does, is about everything. */
  function onAnnouncement(from: string, id: string, what: string): void {
    try {
      const listed: Invalidation[] = JSON.parse(what)
      if (listed.length > 0 && listed.every(isKnown)) onForget(listed)
      else onForgetAll()
    } catch {
      onForgetAll()
    }
    if (from === self) onOwnAnnouncement(id)
    // Several confirmations that fall due together go in one message: each is a commit that waits its turn.
    else if (confirmations.push(id) === 1) setImmediate(confirm)
  }

  function confirm(): void {
    const ids = confirmations.splice(0, 100)
    if (confirmations.length > 0) setImmediate(confirm)
    // Losing one only makes the other side wait for our lease to run out.
    listener.query(confirmation, [channel, `c ${self} ${ids.join(' ')}`]).catch(() => {})
  }

  /** Our own message has come round: every heartbeat committed before it has been heard by now. */
  function onOwnAnnouncement(id: string): void {
    const barrier = barriers.get(id)
    if (!barrier) return
    const at = monotonic()
    // Too new to have heard everybody: the full lease it is.
    if (at - listeningSince < leaseMs) return
    const alive = [...heard].filter(([, last]) => at - last < leaseMs)
    for (const [replica, last] of heard) if (at - last > 10 * leaseMs) heard.delete(replica)
    barrier.needed = new Set(alive.map(([replica]) => replica))
    if (alive.length === 0) barrier.resolve()
    // Whoever does not confirm is waited for until its own lease is over, however long the others' last.
    for (const [replica, last] of alive)
      setTimeout(() => onConfirmation(replica, id), last + leaseMs - at + timerSlackMs).unref()
  }

  function onConfirmation(from: string, id: string): void {
    const needed = barriers.get(id)?.needed
    if (needed?.delete(from) && needed.size === 0) barriers.get(id)!.resolve()
  }

  function onGoodbye(from: string): void {
    heard.delete(from)
    for (const id of barriers.keys()) onConfirmation(from, id)
  }

  return {
    async ready() {
      const deadline = monotonic() + firstLeaseMs
      while (!lease.holds() && monotonic() < deadline) await lease.wait()
      if (lease.holds()) return
      throw new Error(
        'No heartbeat came back on the listening session. DATABASE_URL must lead to the primary itself, not through a pooler in transaction mode, and its user must be allowed to LISTEN and NOTIFY.',
      )
    },
    async admit(trx) {
      const { rows } = await trx.executeQuery(askWhichServer)
      if (server === null || rows[0]?.server === server) return
      // The connection is of no use any more; the pool opens another.
      await sql`select pg_terminate_backend(pg_backend_pid())`.execute(trx).catch(() => {})
      throw new FormerServer()
    },
    async announce(trx, what, silent) {
      if (silent) {
        await sql`update silent_changes set count = count + 1`.execute(trx)
        return 'silent'
      }
      announcements += 1
      const id = `${self}-${announcements}`
      let resolve = () => {}
      const done = new Promise<void>((settle) => {
        resolve = settle
      })
      barriers.set(id, { needed: null, resolve, done })
      const listed = JSON.stringify(what)
      const text = `i ${self} ${id} ${listed.length > longestPayload ? '[]' : listed}`
      try {
        await notify(trx, { text })
      } catch (error) {
        barriers.delete(id)
        throw error
      }
      return { id }
    },
    withdraw(announced) {
      if (announced !== 'silent') barriers.delete(announced.id)
    },
    async settled(announced) {
      if (sabotage.has('no-barrier')) return
      // Whoever is not heard of by then answers nothing any more: no lease outlives the commit by more than itself.
      const everyLeaseIsOver = sleep(leaseMs + timerSlackMs)
      const barrier = announced === 'silent' ? undefined : barriers.get(announced.id)
      await Promise.race([everyLeaseIsOver.promise, ...(barrier ? [barrier.done] : [])])
      everyLeaseIsOver.cancel()
      if (announced !== 'silent') barriers.delete(announced.id)
    },
    confirm() {
      return new Promise((resolve) => {
        const one = {
          since: monotonic(),
          settle(earned: boolean) {
            clearTimeout(timer)
            asking.delete(one)
            resolve(earned)
          },
        }
        const timer = setTimeout(() => one.settle(false), holdMs)
        asking.add(one)
        beatSoon()
      })
    },
    server: () => server,
    now: clock.now,
    async stop() {
      clearInterval(beating)
      if (hurry) clearTimeout(hurry)
      lease.drop()
      await listener.query(confirmation, [channel, `b ${self}`]).catch(() => {})
      await listener.stop()
    },
  }
}

function sleep(ms: number): { promise: Promise<void>; cancel: () => void } {
  let timer: NodeJS.Timeout | undefined
  const promise = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  return { promise, cancel: () => clearTimeout(timer) }
}
