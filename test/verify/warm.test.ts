// What a replica warms its memory with is what a read of each secret would have said: every column, every kind of end.

import { sql } from 'kysely'
import pg from 'pg'
import t from 'tap'
import { openPostgres } from '../../src/db/postgres.ts'
import { serverIdentity } from '../../src/db/preparing-client.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { createLookup } from '../../src/verify/lookup.ts'
import { warmUp } from '../../src/verify/warm.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { provision, registerPosts, startLatchkey } from '../helpers/latchkey.ts'

t.test('warming up says of each secret what reading it would', async (t) => {
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
  const { rows } = await sql<{ server: string }>`select ${sql.raw(serverIdentity)} as server`.execute(
    store.db,
  )
  const { rows: secrets } = await sql<{ digest: Uint8Array; key_id: string }>`
    select digest, key_id from token_secret where not ended`.execute(store.db)
  const warmed = new Map<string, Facts>()
  const keyId = secrets[0]!.key_id
  const server = () => rows[0]!.server
  const remember = (digest: Int32Array, facts: Facts) =>
    void warmed.set(Buffer.from(digest.slice().buffer).toString('latin1'), facts)
  const loaded = await warmUp({
    db: store.db,
    server,
    keyId,
    capacity: 1_000,
    mark: () => 0,
    reserve: () => {},
    remember,
  })

  const read = await createLookup(store.read, server)(secrets.map(({ digest }) => Buffer.from(digest)))
  t.equal(loaded, secrets.length)
  const states = new Set([...warmed.values()].map(({ state }) => state))
  t.same([...states].sort(), ['active', 'disabled', 'revoked', 'subject_disabled'])
  const scopesOf = (subject: string) =>
    [...warmed.values()].find((facts) => facts.subject === subject)?.scopes
  t.same(['teamed', 'capped', 'nothing'].map(scopesOf), [['posts:read', 'posts:write'], ['posts:read'], []])
  t.strictSame(
    [...warmed].sort(([a], [b]) => (a < b ? -1 : 1)),
    [...read].sort(([a], [b]) => (a < b ? -1 : 1)),
  )
})

t.test('warming up loads each token once, however many pages they are cut into', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  await registerPosts(latchkey)
  await provision(latchkey, { subject: 'many' })
  const store = await openPostgres(url)
  t.teardown(store.close)
  const many = 45_000
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  await client.query('set session_replication_role = replica')
  // In no order, so that every block of the table has ids from everywhere.
  await client.query(
    `insert into token (id, type, name, subject, team, audience, scopes, ip_ranges, metadata, hint, created_at, created_by)
     select 'tok_' || lpad(translate(md5(i::text), 'abcdef', '012345'), 26, '0'), 'personal', 'one', 'many', null, '{}',
       '{posts:read}', '{}', '{}', '', now(), 'test' from generate_series(1, $1::int) i on conflict do nothing`,
    [many],
  )
  await client.query(
    `insert into token_secret (digest, key_id, token_id, version, created_at)
     select sha256(id::bytea), (select id from digest_key), id, 1, now() from token where name = 'one'`,
  )
  const { rows } = await sql<{ server: string; key_id: string }>`
    select ${sql.raw(serverIdentity)} as server, id as key_id from digest_key`.execute(store.db)
  const warmed = new Set<string>()
  let reserved = 0
  const loaded = await warmUp({
    db: store.db,
    server: () => rows[0]!.server,
    keyId: rows[0]!.key_id,
    capacity: 1_000_000,
    mark: () => 0,
    reserve: (tokens) => {
      reserved = tokens
    },
    remember: (_digest, { tokenId }) => void warmed.add(tokenId),
  })
  t.ok(loaded > many, `${loaded}`)
  t.equal(warmed.size, loaded)
  t.ok(reserved > many / 2 && reserved < many * 2, `${reserved} were expected`)
})
