// A statement that the server has prepared goes on working when an upgrade of another replica gives its table another
// column: a list at once, a change by being tried again.
import { sql } from 'kysely'
import t from 'tap'
import { openPostgres } from '../../src/db/postgres.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

t.test('an upgrade of another replica breaks neither lists nor changes', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  const { call } = latchkey
  await registerPosts(latchkey)
  const store = await openPostgres(url)
  t.teardown(store.close)
  const tokens = await Promise.all(Array.from({ length: 12 }, () => provision(latchkey, {})))
  const useAll = async (part: readonly { id: string }[]) => {
    for (const { id } of part) {
      t.equal((await call('GET', `/api/v1/tokens/${id}`)).status, 200)
      t.equal((await call('GET', '/api/v1/tokens?limit=2')).status, 200)
      t.equal((await call('DELETE', `/api/v1/tokens/${id}`)).status, 200)
      t.equal((await call('POST', '/api/v1/tokens', { name: 'ci', subject: 'user_42' })).status, 200)
    }
  }
  await useAll(tokens.slice(0, 8))
  for (const table of ['token', 'subject', 'scope', 'service', 'audit_event'])
    await sql`alter table ${sql.table(table)} add column of_tomorrow text`.execute(store.db)
  await useAll(tokens.slice(8))
})
