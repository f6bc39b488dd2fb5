// What a replica warms its memory with is what a read of each secret would have said, of all tokens that are good; however many
// they are, and whatever the database believes to know of them.

import { type CompiledQuery, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { openPostgres } from '../../src/db/postgres.ts'
import { PreparingClient, serverIdentity } from '../../src/db/preparing-client.ts'
import type { Db, Tables } from '../../src/db/tables.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { createLookup } from '../../src/verify/lookup.ts'
import { warmUp } from '../../src/verify/warm.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

const everything = { capacity: 1_000_000, mark: () => 0, reserve: () => {}, remember: () => {} }

async function known(db: Db) {
  const { rows } = await sql<{ server: string; key: string }>`
    select ${sql.raw(serverIdentity)} as server, id as key from digest_key`.execute(db)
  return { server: () => rows[0]!.server, keyId: rows[0]!.key }
}

t.test('warming up says of each secret that is good what reading it would', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  const { call } = latchkey
  await registerPosts(latchkey)
  const of = (subject: string, more: Record<string, unknown> = {}) =>
    provision(latchkey, { subject, ...more })
  await of('plain')
  await of('teamed', { team: 'team_a', expireAt: null, scopes: ['posts:write'] })
  await of('bound', { ipRestriction: '203.0.113.0/24', audience: ['posts'], type: 'service' })
  await of('past')
  await of('paused').then(({ id }) => call('POST', `/api/v1/tokens/${id}/disable`))
  await of('revoked').then(({ id }) => call('DELETE', `/api/v1/tokens/${id}`))
  await of('grace').then(({ id }) => call('POST', `/api/v1/tokens/${id}/rotate`, { gracePeriod: '1h' }))
  await of('first').then(({ id }) =>
    call('POST', `/api/v1/tokens/${id}/rotate`, { previousEnds: 'first-use' }),
  )
  await of('over').then(({ id }) => call('POST', `/api/v1/tokens/${id}/rotate`, {}))
  for (const [subject, change] of Object.entries({
    off: { disabled: true },
    capped: { scopeCap: ['posts:read'] },
    nothing: { scopeCap: [] },
  })) {
    await of(subject, { scopes: ['posts:write'] })
    await call('PATCH', `/api/v1/subjects/${subject}`, change)
  }

  const store = await openPostgres(url)
  t.teardown(store.close)
  await sql`update token set expire_at = now() where subject = 'past'`.execute(store.db)
  const { server, keyId } = await known(store.db)
  const { rows: secrets } = await sql<{ digest: Buffer }>`select digest from token_secret`.execute(store.db)
  const warmed = new Map<string, Facts>()
  const remember = (digest: Int32Array, facts: Facts) =>
    void warmed.set(Buffer.from(digest.slice().buffer).toString('latin1'), facts)
  const loaded = await warmUp({ ...everything, db: store.db, server, keyId, remember })

  const read = await createLookup(store.read, server)(secrets.map(({ digest }) => digest))
  t.equal(read.size, secrets.length)
  const isGood = ({ state, expireAt }: Facts) => state === 'active' && (expireAt ?? Infinity) > Date.now()
  const good = [...read].filter(([, facts]) => isGood(facts))
  t.same(good.map(([, { subject }]) => subject).sort(), [
    'admin',
    'bound',
    'capped',
    'first',
    'first',
    'grace',
    'grace',
    'nothing',
    'over',
    'plain',
    'teamed',
  ])
  const scopesOf = (subject: string) =>
    [...warmed.values()].find((facts) => facts.subject === subject)?.scopes
  t.same(['teamed', 'capped', 'nothing'].map(scopesOf), [['posts:read', 'posts:write'], ['posts:read'], []])
  t.equal(loaded, good.length)
  t.strictSame(
    [...warmed].sort(([a], [b]) => (a < b ? -1 : 1)),
    good.sort(([a], [b]) => (a < b ? -1 : 1)),
  )
})

/** @returns a database with so many tokens that its statistics know of, and so many newer ones that they do not */
async function withMany(t: Test, { known = 0, newer = 0 }) {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  await registerPosts(latchkey)
  await provision(latchkey, { subject: 'many' })
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  for (const table of ['token', 'token_secret'])
    await client.query(`alter table ${table} set (autovacuum_enabled = off)`)
  await client.query('set session_replication_role = replica')
  // In no order, so that every block of the table has ids from everywhere.
  const add = async (prefix: string, many: number) => {
    await client.query(
      `insert into token (id, type, name, subject, team, audience, scopes, ip_ranges, metadata, hint, created_at, created_by)
       select 'tok_' || $1 || left(translate(md5(i::text), 'abcdef', '012345'), 25), 'personal', $1, 'many', null, '{}',
         '{posts:read}', '{}', '{}', '', now(), 'test' from generate_series(1, $2::int) i on conflict do nothing`,
      [prefix, many],
    )
    await client.query(
      `insert into token_secret (digest, key_id, token_id, version, created_at)
       select sha256(id::bytea), (select id from digest_key), id, 1, now() from token where name = $1`,
      [prefix],
    )
  }
  await add('0', known)
  await client.query('analyze')
  await add('1', newer)
  return url
}

t.test('warming up loads each token once, however many pages they are cut into', async (t) => {
  const many = 45_000
  const store = await openPostgres(await withMany(t, { known: many }))
  t.teardown(store.close)
  const warmed = new Set<string>()
  let reserved = 0
  const loaded = await warmUp({
    ...everything,
    ...(await known(store.db)),
    db: store.db,
    reserve: (tokens) => {
      reserved = tokens
    },
    remember: (_digest, { tokenId }) => void warmed.add(tokenId),
  })
  t.ok(loaded > many, `${loaded}`)
  t.equal(warmed.size, loaded)
  t.ok(reserved > many / 2 && reserved < many * 2, `${reserved} were expected`)

  let pages = 0
  const mark = () => pages++
  t.ok((await warmUp({ ...everything, ...(await known(store.db)), db: store.db, capacity: 1, mark })) > 0)
  t.equal(pages, 1, 'no more is asked for than there is room for')
})

t.test('a page of tokens that the statistics know nothing of is not compared each with each', async (t) => {
  const many = 30_000
  const connectionString = await withMany(t, { known: 20_000, newer: many })
  const pool = new pg.Pool({ Client: PreparingClient, connectionString, max: 1, pipeline: true })
  const asked: CompiledQuery[] = []
  const pages = () => asked.filter(({ sql }) => sql.includes('with page as'))
  const db = new Kysely<Tables>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => void asked.push(query),
  })
  t.teardown(() => db.destroy())
  let late = 0
  await warmUp({
    ...everything,
    ...(await known(db)),
    db,
    mark: () => pages().length,
    remember: (_digest, _facts, mark) => {
      if (mark >= pages().length) late += 1
    },
  })
  t.equal(late, 0, 'what changes while a page is read counts as a change since')

  const settings = asked.find(({ sql }) => sql.includes('set_config'))!
  const client = await pool.connect()
  await client.query('begin')
  await client.query(settings.sql)
  let explained = ''
  for (const { sql, parameters } of pages()) {
    const { rows } = await client.query(`explain (analyze, format json) ${sql}`, [...parameters])
    explained += JSON.stringify(rows)
  }
  client.release(true)
  t.match(explained, /"Actual Rows":\d{4}/, 'pages of thousands')
  const inVain = [...explained.matchAll(/"Rows Removed by Join Filter":(\d+)/g)].map(([, rows]) =>
    Number(rows),
  )
  t.same(
    inVain.filter((rows) => rows > many),
    [],
  )
})
