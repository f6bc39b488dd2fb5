// PostgreSQL through pg: the pool, its deadlines, and the refusal of servers on which an acknowledged change
// could be lost or a stale answer given.
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Db, Tables } from './tables.ts'

// bigint columns here are counts far below 2^53; numbers on both engines.
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

/** @throws Error saying what to change when the server must not be used */
export async function openPostgres(url: string): Promise<Db> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 10,
    connectionTimeoutMillis: 2_000,
    query_timeout: 5_000,
    statement_timeout: 5_000,
    idle_in_transaction_session_timeout: 10_000,
    application_name: 'latchkey',
    keepAlive: true,
  })
  // An idle connection that breaks is replaced; without a listener its error would end the process.
  pool.on('error', () => {})
  try {
    await refuseUnsafe(pool)
  } catch (error) {
    await pool.end()
    throw error
  }
  return new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
}

async function refuseUnsafe(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query(
    `select current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby,
            current_setting('synchronous_commit') as synchronous_commit`,
  )
  const { version, standby, synchronous_commit } = rows[0]
  if (version < 150_000) throw new Error(`DATABASE_URL is PostgreSQL ${version}; Latchkey needs 15 or newer.`)
  if (standby)
    throw new Error('DATABASE_URL is a standby. A check there could miss a revoke: use the primary.')
  if (synchronous_commit === 'off') {
    throw new Error(
      'DATABASE_URL has synchronous_commit=off: a crash would undo acknowledged revokes. Turn it on.',
    )
  }
}
