// PostgreSQL through pg: the pool, its deadlines, and the refusal of servers on which an acknowledged change
// could be lost or a stale answer given.
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { listen } from './listen.ts'
import type { PreparedRead, Store } from './open.ts'
import { commitsWait, PreparingClient } from './preparing-client.ts'
import type { Tables } from './tables.ts'
import { unreachable } from './unreachable.ts'

/** Of NOTIFY; one database is one Latchkey. */
export const channel = 'latchkey'

// bigint columns here are counts far below 2^53; numbers on both engines.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

// Deadlines are the client's: a frozen server enforces none (measured, reliability §0).
const connectMs = 1_000
/** Lists and new tokens may wait for a connection; a check or a revoke has its own. */
const patientMs = 3_000
const checkMs = 800
const changeMs = 5_000
/** Until a reserved connection that could not be opened is tried again. */
const reopenMs = 1_000
/** Firewalls and proxies forget connections that are idle for some minutes, and tell neither end. */
const longestUnusedMs = 20_000
/** After a failover, what still leads to the former primary does not stay for long. */
const mostAgeSeconds = 60

/** @throws Error saying what to change when the server must not be used */
export async function openPostgres(url: string): Promise<Store> {
  const general = pool(url, 8, changeMs, patientMs, mostAgeSeconds)
  const changes = pool(url, 3, changeMs)
  const checks = pool(url, 2, checkMs)
  for (const one of [changes, checks]) onEachConnection(one, planOnce)
  for (const one of [general, changes]) onEachConnection(one, commitsWait)
  // These are told nothing at their beginning: that would hide how commits are set for us, and would itself be lent a session.
  const first = pool(url, 2, changeMs, patientMs)
  const pools = [general, changes, checks]
  const close = async () => void (await Promise.all(pools.map((one) => one.end())))
  let failover: Store['failover']
  try {
    await refuseUnsafe(first)
    await refusePooler(first)
    failover = await failoverOf(first)
    await first.end()
    await Promise.all([changes, checks].map(keepFull))
  } catch (error) {
    await Promise.all([close(), first.ending || first.end()])
    throw error instanceof Unfit ? error : unreachable(error)
  }
  return {
    engine: 'postgres',
    failover,
    db: new Kysely<Tables>({ dialect: new PostgresDialect({ pool: general }) }),
    changes: new Kysely<Tables>({ dialect: new PostgresDialect({ pool: changes }) }),
    read: preparedRead(checks),
    listen: (events) => listen(url, channel, events),
    close,
  }
}

/**
 * For statements that find rows by their key, which one plan serves. By itself the server goes on planning those with a
 * list of digests each time, as it takes any list to be longer than one. The plan must not be one of the first minute, when
 * tables are so small that reading them whole looks cheapest. Before PostgreSQL 18, what cannot be had without that is reckoned so
 * dear that it would be compiled (`jit`), for longer than it runs.
 */
const planOnce = 'set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set jit = off'

function onEachConnection(pool: pg.Pool, text: string): void {
  pool.on('connect', (client) => {
    client.query(text).catch(() => {})
  })
}

function preparedRead(pool: pg.Pool): PreparedRead {
  return async <R extends object>(
    name: string,
    text: string,
    values: unknown[],
    isSound: (rows: readonly R[]) => boolean = () => true,
  ) => {
    const client = await pool.connect()
    try {
      const { rows } = await client.query<R>({ name, text, values })
      if (!isSound(rows)) throw Object.assign(new Error('Another server answered'), { code: 'ECONNRESET' })
      client.release()
      return rows
    } catch (error) {
      client.release(error as Error)
      throw error
    }
  }
}

/**
 * Has all connections of a pool open, and again when some have ended: a revoke and a check find one even when the server
 * has none to give any more, so none is ended for its age. Rejects when they cannot be opened now.
 */
async function keepFull(pool: pg.Pool): Promise<void> {
  pool.options.min = pool.options.max
  const open = async () => {
    const client = await pool.connect()
    // Not before all have been asked for, or the pool hands this one out again instead of opening another. Nor later: of
    // two that each wait for the rest while they hold some, neither ends, and a revoke waits with them.
    setImmediate(() => client.release())
  }
  const fill = () => Promise.all(Array.from({ length: pool.options.max }, open))
  await fill()
  let isDue = false
  const refill = (afterMs: number) => {
    if (isDue) return
    isDue = true
    setTimeout(() => {
      isDue = false
      if (!pool.ending) fill().catch(() => refill(reopenMs))
    }, afterMs).unref()
  }
  pool.on('remove', () => refill(0))
  const using = setInterval(() => {
    if (pool.ending) return clearInterval(using)
    // Asked for together, so that each is another. One that leads nowhere any more fails, and is replaced before a revoke needs it.
    for (let idle = pool.idleCount; idle > 0; idle--) pool.query('select 1').catch(() => {})
  }, longestUnusedMs).unref()
}

/** @param maxLifetimeSeconds 0: no end, for connections that are looked at before they are believed */
function pool(
  url: string,
  max: number,
  deadlineMs: number,
  waitMs = connectMs,
  maxLifetimeSeconds = 0,
): pg.Pool {
  const one = new pg.Pool({
    Client: PreparingClient,
    connectionString: url,
    max,
    connectionTimeoutMillis: waitMs,
    query_timeout: deadlineMs,
    statement_timeout: deadlineMs,
    idle_in_transaction_session_timeout: 10_000,
    maxLifetimeSeconds,
    application_name: 'latchkey',
    keepAlive: true,
    // See transact.ts.
    pipeline: true,
  })
  // An idle connection that breaks is replaced; without a listener its error would end the process.
  one.on('error', () => {})
  // The pool listens only to idle ones; of one that is in use, the query fails, and that is enough.
  one.on('connect', (client) => client.on('error', () => {}))
  return one
}

/** With an asynchronous standby, or commits that do not wait for it (`local`), a failover may lose what was acknowledged. */
async function failoverOf(pool: pg.Pool): Promise<Store['failover']> {
  const { rows } = await pool.query(
    `select current_setting('synchronous_standby_names') as names, current_setting('synchronous_commit') as commits`,
  )
  return rows[0].names === '' || rows[0].commits === 'local' ? 'best effort' : 'safe'
}

/** It was reached, and must not be used. */
class Unfit extends Error {}

/** A pooler in transaction mode lends a session to others in between, so what is listened for there may go astray. */
async function refusePooler(pool: pg.Pool): Promise<void> {
  const [one, other] = await Promise.all([pool.connect(), pool.connect()])
  const sessionOf = async (client: pg.PoolClient) =>
    (await client.query('select pg_backend_pid() as pid')).rows[0].pid
  try {
    const before = await sessionOf(one)
    // A pooler that lends them in turn would come round to this one again, once another is held.
    const next = await sessionOf(one)
    // Held by a transaction, a session cannot be lent to somebody else.
    await other.query('begin')
    const held = await sessionOf(other)
    if (before === next && before !== held && before === (await sessionOf(one))) return
    throw new Unfit(
      'DATABASE_URL leads through a pooler that lends one session to many. Revokes could be missed: lead it to PostgreSQL itself.',
    )
  } finally {
    await other.query('rollback')
    one.release()
    other.release()
  }
}

async function refuseUnsafe(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query(
    `select current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby,
            current_setting('synchronous_commit') as synchronous_commit`,
  )
  const { version, standby, synchronous_commit } = rows[0]
  if (version < 150_000) throw new Unfit(`DATABASE_URL is PostgreSQL ${version}; Latchkey needs 15 or newer.`)
  if (standby)
    throw new Unfit('DATABASE_URL is a standby. A check there could miss a revoke: use the primary.')
  if (synchronous_commit === 'off') {
    throw new Unfit(
      'DATABASE_URL has synchronous_commit=off: a crash would undo acknowledged revokes. Turn it on.',
    )
  }
}
