// Statements that the server has prepared: what checks and changes ask for is planned once, whatever it is given; and goes on
// working when an upgrade of another replica gives its table another column: a list at once, a change by being tried again.
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { openPostgres } from '../../src/db/postgres.ts'
import { transactOn } from '../../src/db/transact.ts'
import { createLookup, factsWithin } from '../../src/verify/lookup.ts'
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

t.test('what a check and a change ask for is not planned anew each time', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  const store = await openPostgres(url)
  t.teardown(store.close)
  const lookup = createLookup(store.read, () => null)
  const [inChange, inAddition] = [transactOn(store.changes), transactOn(store.db)]
  const times = 12
  for (let i = 0; i < times; i++) {
    await lookup([randomBytes(32)])
    for (const transact of [inChange, inAddition])
      await transact((trx) => factsWithin(trx, [randomBytes(32)]))
  }
  // One after the other, so all on the same connection of each pool.
  const plans = `select sum(custom_plans)::int as custom, sum(generic_plans)::int as once from pg_prepared_statements where name <> 'plans'`
  const ofChecks = await store.read<{ custom: number; once: number }>('plans', plans, [])
  const { rows: ofChanges } = await sql.raw(plans).execute(store.changes)
  const { rows: ofAdditions } = await sql.raw<{ once: number }>(plans).execute(store.db)
  for (const rows of [ofChecks, ofChanges]) t.match(rows, [{ custom: 0, once: times }])
  t.ok(ofAdditions[0]!.once > 0, 'what makes tokens is planned anew until the server knows better')
  await sql`analyze`.execute(store.db)
  const explained = await store.read<object>('explained', `explain execute "facts by digest" ('{}')`, [])
  t.notMatch(JSON.stringify(explained), /Seq Scan/, 'tables that are small now may grow under it')
})
