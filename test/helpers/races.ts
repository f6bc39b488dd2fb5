// For tests of what happens at once: requests that are held in the middle, and asked again when it is too much.
import { sql } from 'kysely'
import type { Db } from '../../src/db/tables.ts'

/** Sixty-four at once may be more than a busy machine takes on in time: it says so, has done nothing, and is asked again. */
export async function persist<T extends { status: number }>(ask: () => Promise<T>): Promise<T> {
  for (;;) {
    const answer = await ask()
    if (answer.status !== 503) return answer
  }
}

/** Keeps every insert into the table waiting. Refusals that are written at that time wait, too: flush them before. */
export async function hold(db: Db, table: 'token_secret' | 'audit_event' | 'replay') {
  const trx = await db.startTransaction().execute()
  await sql`lock table ${sql.table(table)} in exclusive mode`.execute(trx)
  return { release: () => trx.rollback().execute() }
}

/** Until so many of our sessions wait for a lock. */
export async function waiting(db: Db, sessions: number): Promise<void> {
  for (;;) {
    const { rows } = await sql<{ n: number }>`
      select count(*)::int as n from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`.execute(db)
    if (rows[0]!.n >= sessions) return
  }
}
