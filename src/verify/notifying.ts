// The statements in which replicas speak to one another, and what PostgreSQL waits for before their messages go out. What
// is said by them, and what follows from it, is replicas.ts's.
import { CompiledQuery, sql } from 'kysely'
import { channel } from '../db/postgres.ts'
import { serverIdentity, whichServer } from '../db/preparing-client.ts'
import { type Given, statement } from '../db/statement.ts'
import type { Sabotage } from './replicas.ts'

export const askWhichServer = CompiledQuery.raw(whichServer) as CompiledQuery<{ server: string }>
/**
 * A transaction that only notifies writes nothing before its commit record, and PostgreSQL then waits neither for the
 * disk nor for a synchronous standby: a former primary would go on granting leases, and whoever revokes again what was revoked
 * before would be answered on the word of a commit that never reached the standby. A message in the log makes it wait.
 */
const logged = `pg_logical_emit_message(true, 'latchkey', '')`
export const notify = statement(
  (_db, given: Given<{ text: string }>) =>
    sql`select ${sql.raw(logged)}, pg_notify(${sql.val(channel)}, ${given.text})`,
)
/** @property now the database's clock, epoch milliseconds @property key the newest of digest_key */
export type HeartbeatRow = { silent: number; now: number; server: string; key: string }
/** The count is read after the heartbeat was sent, so it misses no change that was committed before. */
const readAlong = `(select count from silent_changes) as silent, extract(epoch from clock_timestamp())::float8 * 1000 as now, ${serverIdentity} as server, (select max(id) from digest_key) as key`
const notifyHeartbeat = `select ${logged}, pg_notify($1, $2), ${readAlong}`
const lightHeartbeat = `select pg_notify($1, $2), ${readAlong}`
const selectHeartbeat = `select $1::text, $2::text, ${readAlong}`
/** Nobody relies on a confirmation after a crash, so it need not wait for the disk. */
export const confirmation = `select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`

export function heartbeatText(sabotage: ReadonlySet<Sabotage>): string {
  if (sabotage.has('select-heartbeat')) return selectHeartbeat
  return sabotage.has('light-heartbeat') ? lightHeartbeat : notifyHeartbeat
}
