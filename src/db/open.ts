// Opens the store that the configuration names: PostgreSQL with DATABASE_URL, else the embedded one.
import { sql } from 'kysely'
import { openEmbedded } from './embedded.ts'
import { openPostgres } from './postgres.ts'
import type { Db } from './tables.ts'

export type Store = {
  readonly engine: 'postgres' | 'embedded'
  readonly db: Db
  close(): Promise<void>
}

export async function openStore(config: { databaseUrl: string | null; dataDir: string }): Promise<Store> {
  if (config.databaseUrl === null) return { engine: 'embedded', ...(await openEmbedded(config.dataDir)) }
  const db = await openPostgres(config.databaseUrl)
  return { engine: 'postgres', db, close: () => db.destroy() }
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
