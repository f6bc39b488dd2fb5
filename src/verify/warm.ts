// Fills memory with live tokens after a start, so that the first hour is not made of misses. Nothing waits for it; what
// changes on the way is fenced like any read. Tokens come in pages, column by column: a row object for each would
// cost more than all the rest.
import { sql } from 'kysely'
import type { Db } from '../db/tables.ts'
import type { Facts, TokenType } from '../policy/facts.ts'
import { effectiveScopes, stateColumn } from './lookup.ts'
import { serverIdentity } from './replicas.ts'

type Page = {
  server: string
  count: number
  last: string | null
  digests: Uint8Array
  ids: string
  subjects: string
  created: string
  expire: string
  ends: string
  kinds: string
  /** The distinct combinations of what tokens share; `kinds` points into it. */
  shared: Shared[] | null
}
type Shared = {
  type: TokenType
  team: string | null
  audience: string[]
  ranges: string[]
  scopes: string[]
  state: Facts['state']
}

const pageSize = 10_000
/** Sorts after every token id. */
const beforeAll = 'tok_~'
const separator = '\u001f'

// A page of live tokens, the newest first. Text columns are joined by a control character that no value may contain;
// what tokens share is sent once per page, and tokens that share it stand together.
const pageBefore = (before: string, keyId: string, limit: number) => sql<Page>`
  with page as materialized (
    select s.digest, s.ends_at, t.id, t.type, t.subject, t.team, t.audience, t.ip_ranges, t.scopes, o.scope_cap,
      t.created_at, t.expire_at, ${sql.raw(stateColumn)}
    from (select * from token where id < ${before} order by id desc limit ${limit}) t
    join token_secret s on s.token_id = t.id and s.key_id = ${keyId}
    join subject o on o.id = t.subject
  ), kinds as materialized (
    select page.*, dense_rank() over (order by type, team, audience, ip_ranges, scopes, scope_cap, state) - 1 as kind
    from page
  )
  select ${sql.raw(serverIdentity)} as server, count(*)::int as count,
    (select min(id) from (select id from token where id < ${before} order by id desc limit ${limit}) t) as last,
    coalesce(string_agg(digest, ''::bytea order by kind), '') as digests,
    coalesce(string_agg(id, '\u001f' order by kind), '') as ids,
    coalesce(string_agg(subject, '\u001f' order by kind), '') as subjects,
    coalesce(string_agg(${epochMs('created_at')}, ' ' order by kind), '') as created,
    coalesce(string_agg(coalesce(${epochMs('expire_at')}, ''), ' ' order by kind), '') as expire,
    coalesce(string_agg(coalesce(${epochMs('ends_at')}, ''), ' ' order by kind), '') as ends,
    coalesce(string_agg(kind::text, ' ' order by kind), '') as kinds,
    (select json_agg(json_build_object('type', type, 'team', team, 'audience', audience, 'ranges', ip_ranges,
       'state', state, 'scopes', ${sql.raw(effectiveScopes('one.scopes', 'one.scope_cap'))}) order by kind)
     from (select distinct on (kind) * from kinds) one) as shared
  from kinds`

const epochMs = (column: string) => sql.raw(`(extract(epoch from ${column}) * 1000)::int8::text`)

export type WarmUpDependencies = {
  /** Not the connections of checks: a page may take longer than a check may wait. */
  readonly db: Db
  /** The one whose answers count. */
  readonly server: () => string | null
  readonly keyId: string
  readonly capacity: number
  readonly mark: () => number
  readonly remember: (digest: Int32Array, facts: Facts, mark: number) => void
}

/** @returns how many were loaded */
export async function warmUp({
  db,
  server,
  keyId,
  capacity,
  mark,
  remember,
}: WarmUpDependencies): Promise<number> {
  let before = beforeAll
  let loaded = 0
  while (loaded < capacity) {
    const begun = mark()
    const { rows } = await pageBefore(before, keyId, pageSize).execute(db)
    const page = rows[0]!
    if (page.last === null || page.server !== server()) return loaded
    rememberPage(page, (digest, facts) => remember(digest, facts, begun))
    loaded += page.count
    before = page.last
  }
  return loaded
}

function rememberPage(page: Page, remember: (digest: Int32Array, facts: Facts) => void): void {
  const bytes = Buffer.from(page.digests)
  const words = new Int32Array(8)
  const [ids, subjects] = [page.ids, page.subjects].map((column) => column.split(separator))
  const [created, expire, ends, kinds] = [page.created, page.expire, page.ends, page.kinds].map((column) =>
    column.split(' '),
  )
  for (let row = 0; row < page.count; row++) {
    for (let word = 0; word < 8; word++) words[word] = bytes.readInt32LE(row * 32 + word * 4)
    const shared = page.shared![Number(kinds![row])]!
    remember(words, {
      tokenId: ids![row]!,
      subject: subjects![row]!,
      type: shared.type,
      team: shared.team,
      audience: shared.audience,
      scopes: shared.scopes,
      ranges: shared.ranges,
      state: shared.state,
      createdAt: Number(created![row]),
      expireAt: timeOf(expire![row]!),
      endsAt: timeOf(ends![row]!),
    })
  }
}

const timeOf = (text: string) => (text === '' ? null : Number(text))
