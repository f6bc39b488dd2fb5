// Evidence of use is complete: however checks, flushes, evictions and circumstances mix, what is written in the end is
// what a list of all uses would give: the last time, address and agent, every scope asked for, and how often.
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { sql } from 'kysely'
import t from 'tap'
import { openPostgres } from '../../src/db/postgres.ts'
import type { Facts } from '../../src/policy/facts.ts'
import { unknownToken } from '../../src/policy/judge.ts'
import { formatRange, parseAddress } from '../../src/policy/network.ts'
import { createUsage } from '../../src/token/usage.ts'
import { createFactStore } from '../../src/verify/memory/store.ts'
import { freshPostgresUrl } from '../helpers/databases.ts'
import { startLatchkey } from '../helpers/latchkey.ts'
import { freshPglite } from '../helpers/pglite-image.ts'
import { playedDatabase } from '../helpers/played-database.ts'
import { turn } from '../helpers/time.ts'

const now = 1_800_000_000_000
const tokenIds = Array.from({ length: 4 }, (_, i) => `tok_01k${'0'.repeat(22)}${i}`)
const keys = tokenIds.map((_, i) => Int32Array.from({ length: 8 }, (_, word) => (i + 1) * 977 + word))
const factsOf = (tokenId: string): Facts => ({
  tokenId,
  type: 'personal',
  subject: 'ci',
  team: null,
  audience: [],
  scopes: [],
  ranges: [],
  createdAt: now,
  expireAt: null,
  endsAt: null,
  endsVersion: null,
  state: 'active',
})

const circumstances = fc.record({
  clientIp: fc.constantFrom(null, '203.0.113.7', '203.0.113.8', '2001:db8::1'),
  agent: fc.constantFrom(undefined, 'curl/8', 'ci', 'x'.repeat(300)),
  scopes: fc.constantFrom([], ['a:read'], ['a:read', 'b:write'], ['b:write', 'a:read']),
})
type Circumstances = { clientIp: string | null; agent: string | undefined; scopes: readonly string[] }
const token = fc.nat(tokenIds.length - 1)
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('use' as const),
      token,
      circumstances,
      isRemembered: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('flush' as const, 'forget' as const), token }) },
)

t.test('what is written of uses is what a list of them would say', async (t) => {
  const { db, close } = await freshPglite()
  t.teardown(close)
  await sql`insert into subject (id, created_at) values ('ci', now())`.execute(db)
  for (const id of tokenIds)
    await sql`insert into token (id, type, name, subject, audience, scopes, ip_ranges, metadata, hint, created_at, created_by)
      values (${id}, 'personal', 'ci', 'ci', '{}', '{}', '{}', '{}', '', now(), 'test')`.execute(db)

  /** @param kinds how many kinds of circumstances are known by number at most */
  const check = async (kinds: number, steps: readonly Step[]) => {
    await sql`delete from token_usage`.execute(db)
    // Of those that are remembered, all but one are evicted, with uses that were not taken yet.
    const memory = createFactStore({ capacity: 1 })
    let at = now
    const usage = createUsage(db, memory, () => at, kinds)
    const expected = new Map<string, Written>()
    for (const one of steps) {
      at += 1
      const tokenId = tokenIds[one.token]!
      const facts = factsOf(tokenId)
      if (one.do === 'flush') await usage.flush()
      if (one.do === 'forget') memory.delete(keys[one.token]!)
      if (one.do === 'use') {
        const { clientIp, agent, scopes } = one.circumstances
        if (one.isRemembered && memory.find(keys[one.token]!) < 0) memory.set(keys[one.token]!, facts)
        const question = {
          asker: { kind: 'unregistered' as const },
          clientIp: clientIp === null ? null : parseAddress(clientIp)!,
          requiredScopes: scopes,
          team: null,
        }
        usage.note({ active: true, facts }, question, at, agent, memory.find(keys[one.token]!))
        expected.set(tokenId, after(expected.get(tokenId), at, { clientIp, agent, scopes }))
      }
    }
    await usage.flushAll()
    const { rows } = await sql<Written & { id: string }>`
      select token_id as id, (extract(epoch from last_used_at) * 1000)::float8 as at, last_used_ip as ip,
        last_user_agent as agent, exercised_scopes as scopes, use_count::int as count
      from token_usage order by token_id`.execute(db)
    const wanted = [...expected].sort(([a], [b]) => (a < b ? -1 : 1)).map(([id, its]) => ({ id, ...its }))
    if (JSON.stringify(rows.map(inOrder)) !== JSON.stringify(wanted.map(inOrder)))
      throw new Error(`${JSON.stringify(rows)}\nexpected\n${JSON.stringify(wanted)}`)
  }
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(0, 2, 100), fc.array(step, { maxLength: 40, size: 'max' }), check),
    {
      numRuns: 300,
    },
  )
})

type Step =
  | { do: 'use'; token: number; circumstances: Circumstances; isRemembered: boolean }
  | { do: 'flush' | 'forget'; token: number }
type Written = { at: number; ip: string | null; agent: string | null; scopes: string[]; count: number }

const inOrder = ({ at, ip, agent, scopes, count }: Written) => [at, ip, agent, [...scopes].sort(), count]

function after(before: Written | undefined, at: number, { clientIp, agent, scopes }: Circumstances): Written {
  const address = clientIp === null ? null : parseAddress(clientIp)!
  return {
    at,
    ip: address ? formatRange({ base: address, prefix: address.length * 32 }) : (before?.ip ?? null),
    agent: agent?.slice(0, 200) ?? before?.agent ?? null,
    scopes: [...new Set([...(before?.scopes ?? []), ...scopes])].sort(),
    count: (before?.count ?? 0) + 1,
  }
}

t.test(
  'a later use stays the last one, whichever replica writes first; what is gone harms nobody',
  async (t) => {
    const { db, close } = await freshPglite()
    t.teardown(close)
    const [id] = tokenIds
    await sql`insert into subject (id, created_at) values ('ci', now())`.execute(db)
    await sql`insert into token (id, type, name, subject, audience, scopes, ip_ranges, metadata, hint, created_at, created_by)
    values (${id}, 'personal', 'ci', 'ci', '{}', '{}', '{}', '{}', '', now(), 'test')`.execute(db)
    const question = { asker: { kind: 'holder' as const }, clientIp: null, requiredScopes: [], team: null }
    for (const at of [now, now - 5_000]) {
      const usage = createUsage(db, createFactStore({ capacity: 1 }), () => now)
      for (const used of [tokenIds[1]!, id!])
        usage.note({ active: true, facts: factsOf(used) }, question, at, undefined, -1)
      await usage.flush()
    }
    const { rows } = await sql`
    select token_id as id, (extract(epoch from last_used_at) * 1000)::float8 as at, use_count::int as count
    from token_usage`.execute(db)
    t.same(rows, [{ id, at: now, count: 2 }])
  },
)

t.test('what cannot be written is kept, refusals too', async (t) => {
  const { db, close } = await freshPglite()
  t.teardown(close)
  await sql`insert into subject (id, created_at) values ('ci', now())`.execute(db)
  const [id] = tokenIds
  await sql`insert into token (id, type, name, subject, audience, scopes, ip_ranges, metadata, hint, created_at, created_by)
    values (${id}, 'personal', 'ci', 'ci', '{}', '{}', '{}', '{}', '', now(), 'test')`.execute(db)
  const usage = createUsage(db, createFactStore({ capacity: 1 }), () => now)
  const facts = factsOf(id!)
  const question = {
    asker: { kind: 'unregistered' as const },
    clientIp: null,
    requiredScopes: ['a:read'],
    team: null,
  }
  const refused = { active: false as const, code: 'expired' as const, facts, missingScopes: [] }
  const noteBoth = () => {
    usage.note({ active: true, facts }, question, now, undefined, -1)
    usage.note(refused, question, now, undefined, -1)
  }
  for (const table of ['token_usage', 'audit_event']) {
    noteBoth()
    await sql`alter table ${sql.table(table)} rename to away`.execute(db)
    await t.rejects(usage.flush())
    await sql`alter table away rename to ${sql.table(table)}`.execute(db)
  }
  await usage.flush()
  const { rows: uses } = await sql<{ n: number }>`select use_count::int as n from token_usage`.execute(db)
  const { rows: events } = await sql<{ n: number }>`
    select sum((detail->>'count')::int)::int as n from audit_event where action = 'token.refused'`.execute(db)
  t.same([uses, events], [[{ n: 2 }], [{ n: 2 }]])
})

type Row = { id: string; agent: string | null }

/** Usage over a database that only counts: whose uses were written, statement by statement, and how many refusals. */
function counting(capacity = 1) {
  const memory = createFactStore({ capacity })
  const database = { rows: [] as Row[], written: [] as string[][], refusals: 0, meanwhile: async () => {} }
  const db = playedDatabase(async ({ sql, parameters }) => {
    if (sql.includes('into token_usage')) {
      const rows = JSON.parse(parameters[0] as string) as Row[]
      database.rows.push(...rows)
      database.written.push(rows.map(({ id }) => id))
    }
    if (sql.includes('"audit_event"')) database.refusals += 1
    await database.meanwhile()
    return []
  })
  const usage = createUsage(db, memory, () => now, 1_000_000)
  const question = { asker: { kind: 'holder' as const }, clientIp: null, requiredScopes: [], team: null }
  const use = (id: string) => usage.note({ active: true, facts: factsOf(id) }, question, now, undefined, -1)
  const refuse = (id: string) =>
    usage.note(
      { active: false, code: 'expired', facts: factsOf(id), missingScopes: [] },
      question,
      now,
      undefined,
      -1,
    )
  return { memory, database, usage, use, refuse }
}

t.test('that uses cannot be written is told once for each outage', async (t) => {
  const { url, drop } = await freshPostgresUrl()
  t.teardown(drop)
  const store = await openPostgres(url)
  t.teardown(store.close)
  const real = setInterval
  // The one that writes uses runs when the test says so, and at no other time.
  const repeated = t.capture(globalThis, 'setInterval', (call: () => void, ms: number) =>
    real(ms === 2_000 ? () => {} : call, ms),
  )
  const latchkey = await startLatchkey(t, 'postgres', { DATABASE_URL: url })
  const flushing = repeated().flatMap(({ args: [call, ms] }) =>
    ms === 2_000 ? [call as () => Promise<void>] : [],
  )
  t.equal(flushing.length, 1)
  const told = () => latchkey.log().split('usage could not be written').length - 1
  for (const outage of [1, 2]) {
    t.equal((await latchkey.call('GET', '/api/v1/tokens/self')).status, 200, 'a use')
    await sql`alter table token_usage rename to away`.execute(store.db)
    for (let tries = 0; tries < 3; tries++) await flushing[0]!()
    t.equal(told(), outage)
    await sql`alter table away rename to token_usage`.execute(store.db)
    await flushing[0]!()
    t.equal(told(), outage)
  }
})

t.test('of uses and refusals that cannot be written, no more are kept than memory can bear', async (t) => {
  const { database, usage, use, refuse } = counting()
  for (let n = 0; n <= 250_000; n++) use(`tok_${n}`)
  use('tok_7')
  for (let n = 0; n <= 10_000; n++) refuse(`tok_${n}`)
  refuse('tok_7')
  await usage.flushAll()
  t.equal(database.written.flat().length, 250_000)
  t.equal(database.refusals, 10_000)
})

t.test('a flush writes a part, in small statements, and never beside another', async (t) => {
  const { database, usage, use } = counting()
  let writing = 0
  let most = 0
  database.meanwhile = async () => {
    writing += 1
    most = Math.max(most, writing)
    await turn()
    writing -= 1
  }
  for (let n = 0; n < 6_000; n++) use(`tok_${n}`)
  await Promise.all([usage.flush(), usage.flush()])
  t.equal(most, 1)
  t.equal(database.written.flat().length, 5_000)
  t.ok(database.written.every((ids) => ids.length === 250))
  await usage.flush()
  t.equal(new Set(database.written.flat()).size, 6_000)
})

t.test('replicas that write the same tokens lock them in one order', async (t) => {
  const { database, usage, use } = counting()
  for (const n of [3, 1, 2]) use(`tok_${n}`)
  await usage.flushAll()
  t.same(database.written, [['tok_1', 'tok_2', 'tok_3']])
})

t.test('no use is put down to what another was used by, not even where their hashes are equal', async (t) => {
  // Of so many, about five pairs have the same 31 bits of hash.
  const many = 150_000
  const agentOf = (n: number) => createHash('sha256').update(`${n}`).digest('base64')
  const { memory, database, usage } = counting(many)
  const question = { asker: { kind: 'holder' as const }, clientIp: null, requiredScopes: [], team: null }
  for (let n = 0; n < many; n++) {
    const facts = factsOf(`tok_${String(n).padStart(26, '0')}`)
    const key = Int32Array.from({ length: 8 }, (_, word) => Math.imul(n + word, 0x9e3779b1))
    memory.set(key, facts)
    usage.note({ active: true, facts }, question, now, agentOf(n), memory.find(key))
  }
  await usage.flushAll()
  const told = database.rows.filter(({ agent }) => agent !== null)
  t.equal(new Set(told.map(({ id }) => id)).size, many)
  t.equal(
    told.find(({ id, agent }) => agent !== agentOf(Number(id.slice(4)))),
    undefined,
  )
})

t.test('what is unknown was refused to nobody', async (t) => {
  const { database, usage } = counting()
  const question = { asker: { kind: 'holder' as const }, clientIp: null, requiredScopes: [], team: null }
  usage.note(unknownToken, question, now, undefined, -1)
  await usage.flushAll()
  t.same([database.written, database.refusals], [[], 0])
})
