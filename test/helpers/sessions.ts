// A fresh database, and who else has sessions on it: to count them, and to end them as an operator would.
import pg from 'pg'
import type { Test } from 'tap'
import { freshPostgresUrl } from './databases.ts'

/** @param application whose sessions, by the name that they give */
export async function watchedDatabase(t: Test, application: string) {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  const sessions = async () => {
    const { rows } = await client.query<{ pid: number }>(
      'select pid from pg_stat_activity where datname = current_database() and application_name = $1',
      [application],
    )
    return rows.map(({ pid }) => pid)
  }
  const end = (pids: readonly number[]) =>
    client.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [pids])
  return { url, client, sessions, end }
}
