// Opens the store that the configuration names: PostgreSQL with DATABASE_URL, else the embedded one.
import { sql } from 'kysely'
import type { Listener, ListenerEvents } from './listen.ts'
import { openPostgres } from './postgres.ts'
import type { Db } from './tables.ts'

/**
 * A read that is made often: `name` identifies its text, so that it is parsed and planned once. Rows that are not
 * `sound` are not returned: it rejects, and the connection they came over is not used again.
 */
export type PreparedRead = <R extends object>(
  name: string,
  text: string,
  values: unknown[],
  isSound?: (rows: readonly R[]) => boolean,
) => Promise<R[]>

export type Store = {
  readonly engine: 'postgres' | 'embedded'
  /** Whether a failover keeps what was acknowledged (a synchronous standby), or may lose some; null: there is none. */
  readonly failover: 'safe' | 'best effort' | null
  readonly db: Db
  /** The same, on connections that are kept free for changes. */
  readonly changes: Db
  readonly read: PreparedRead
  /** Opens a session that hears what other processes announce; null: there are none. */
  readonly listen: ((events: ListenerEvents) => Listener) | null
  close(): Promise<void>
}

export async function openStore(config: { databaseUrl: string | null; dataDir: string }): Promise<Store> {
  if (config.databaseUrl !== null) return openPostgres(config.databaseUrl)
  // It brings a whole PostgreSQL along, which nobody else needs.
  const { openEmbedded } = await import('./embedded.ts')
  return openEmbedded(config.dataDir)
}

/** Whether the store answers at all; for readiness. */
export async function answers(db: Db): Promise<boolean> {
  try {
    await sql`select 1`.execute(db)
    return true
  } catch {
    return false
  }
}
