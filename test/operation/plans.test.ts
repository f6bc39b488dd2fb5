// Statements that the server has prepared: what checks and changes ask for is planned once, whatever it is given; and goes on
// working when an upgrade of another replica gives its table another column: a list at once, a change by being tried again.
import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import t from 'tap'
import { openPostgres } from '../../src/db/postgres.ts'
import type { Db } from '../../src/db/tables.ts'
import { transactOn } from '../../src/db/transact.ts'
import { createLookup, factsWithin } from '../../src/verify/lookup.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

type Plans = { custom: number; once: number }

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
  const plans = `select coalesce(sum(custom_plans), 0)::int as custom, coalesce(sum(generic_plans), 0)::int as once
                 from pg_prepared_statements where name <> 'plans'`
  // Which of its connections a pool lends is its own affair. Asked for together, it lends each of them.
  const ofPool = async (connections: number, ask: () => Promise<readonly Plans[]>) => {
    const each = (await Promise.all(Array.from({ length: connections }, ask))).flat()
    const sum = (kind: keyof Plans) => each.reduce((total, plans) => total + plans[kind], 0)
    return { custom: sum('custom'), once: sum('once') }
  }
  const askOn = (db: Db) => async () => (await sql.raw<Plans>(plans).execute(db)).rows
  t.match(await ofPool(2, () => store.read<Plans>('plans', plans, [])), { custom: 0, once: times })
  t.match(await ofPool(3, askOn(store.changes)), { custom: 0, once: times })
  const ofAdditions = await ofPool(8, askOn(store.db))
  t.ok(ofAdditions.once > 0, 'what makes tokens is planned anew until the server knows better')
  await sql`analyze`.execute(store.db)
  // Known on both, whichever explains it.
  await Promise.all([lookup([randomBytes(32)]), lookup([randomBytes(32)])])
  const explained = await store.read<object>('explained', `explain execute "facts by digest" ('{}')`, [])
  t.notMatch(JSON.stringify(explained), /Seq Scan/, 'tables that are small now may grow under it')
})
