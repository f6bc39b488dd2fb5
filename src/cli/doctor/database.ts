// Checks of PostgreSQL: all that start-up refuses it for, by start-up's own code, and what start-up would do to it.
// Nothing is written.
import { sql } from 'kysely'
import type { Config } from '../../config.ts'
import { schemaState } from '../../db/migrate.ts'
import { openStore, type Store } from '../../db/open.ts'
import type { Db } from '../../db/tables.ts'
import { checkSecrets } from '../../token/key-ring.ts'
import { attempt, type Check, fail, ok, reasonOf, warn } from './check.ts'

export async function checkDatabase(config: Config): Promise<Check[]> {
  let store: Store
  try {
    store = await openStore(config)
  } catch (error) {
    return [fail('database', reasonOf(error))]
  }
  try {
    const { db, failover } = store
    return [
      ok('database', 'A primary that can be used: version, commits and sessions are as they must be.'),
      await attempt('schema', () => checkSchema(db)),
      await attempt('secret', () => checkSecret(db, config)),
      checkFailover(failover),
      await attempt('clock', () => checkClock(db)),
    ]
  } finally {
    await store.close()
  }
}

async function checkSchema(db: Db): Promise<Check> {
  const { pending, unknown } = await schemaState(db)
  if (unknown.length > 0)
    return fail(
      'schema',
      `A newer version of Latchkey has migrated it (${unknown.join(', ')}).`,
      'Run that version, or a newer one.',
    )
  if (pending.length === 0) return ok('schema', 'All migrations are applied.')
  return warn('schema', `Not applied yet: ${pending.join(', ')}.`, 'Start-up does it, or: latchkey migrate')
}

const secretFindings = {
  opens: 'LATCHKEY_SECRET opens this database.',
  first: 'No key yet: the first start derives it from LATCHKEY_SECRET.',
  replaces: 'LATCHKEY_SECRET is new; the next start replaces the former one by it.',
} as const

async function checkSecret(db: Db, { secret, secretPrevious }: Config): Promise<Check> {
  const { rows } = await sql<{ made: boolean }>`select to_regclass('digest_key') is not null as made`.execute(
    db,
  )
  if (!rows[0]?.made) return ok('secret', secretFindings.first)
  const found = await checkSecrets(db, { current: secret!, previous: secretPrevious })
  return ok('secret', secretFindings[found])
}

function checkFailover(failover: Store['failover']): Check {
  if (failover === 'safe') return ok('failover', 'Safe: commits wait for a synchronous standby.')
  return warn(
    'failover',
    'Best effort: no standby is synchronous, so a failover may lose acknowledged revokes.',
    'If there is a standby: name it in synchronous_standby_names (docs/operate/revocation.md).',
  )
}

const mostMs = 1_000

/** Between the two readings of ours, the database read its own. */
async function checkClock(db: Db): Promise<Check> {
  const before = Date.now()
  const { rows } = await sql<{
    now: number
  }>`select extract(epoch from clock_timestamp())::float8 * 1000 as now`.execute(db)
  const differenceMs = Math.round(rows[0]!.now - (before + Date.now()) / 2)
  const message = `The database is ${Math.abs(differenceMs)} ms ${differenceMs < 0 ? 'behind' : 'ahead of'} this machine.`
  if (Math.abs(differenceMs) <= mostMs) return ok('clock', message)
  return warn('clock', message, 'Expiry goes by the database’s clock: have both set by NTP.')
}
