// Fills memory with live tokens after a start, so that the first hour is not made of misses. Nothing waits for it; what
// changes on the way is fenced like any read. Tokens come in pages, those alike together, column by column: a row object for each
// would cost more than all the rest.
import { sql } from 'kysely'
import { serverIdentity } from '../db/preparing-client.ts'
import type { Db } from '../db/tables.ts'
import type { Facts, TokenType } from '../policy/facts.ts'
import { effectiveScopes, endsVersionColumn, stateColumn } from './lookup.ts'

/** Tokens of a page that have all but themselves in common; at least one row, with nothing but `server`. */
type Alike = {
  server: string
  type: TokenType
  audience: string[]
  ranges: string[]
  scopes: string[]
  state: Facts['state']
  /** null: there is no live token in this page. */
  digests: Uint8Array | null
  ids: string
  subjects: string
  teams: string
  created: Uint8Array
  expire: Uint8Array
  /** null: none of them has any. */
  ends: Uint8Array | null
  endings: string | null
}

const pageSize = 20_000
const inFlight = 2
/** Taken in at once, which checks wait for: a millisecond or two. */
const atOnce = 500
/** Sorts after every token id. */
const beforeAll = 'tok_~'
const separator = '\u001f'

// A page of live tokens. Text columns are joined by a control character that no value may contain, times are as binary as
// they lie there. Both tables are read by their index between the same two ids, so they are merged as they come, and nothing
// is kept aside; of subjects, only those matter that take something away, and these have an index of their own. A cap of
// `*`, which is no scope, is none.
const pageBetween = ({ from, before }: Bounds, keyId: string) => sql<Alike>`
  with page as (
    select s.digest, s.ends_at, t.id, t.type, t.subject, t.team, t.audience, t.ip_ranges, t.scopes,
      coalesce(o.scope_cap, '{*}') as cap, t.created_at, t.expire_at, ${sql.raw(stateColumn)}, ${sql.raw(endsVersionColumn)}
    from token t
    join token_secret s on s.token_id = t.id and s.key_id = ${keyId} and not s.ended
      and s.token_id >= ${from} and s.token_id < ${before}
    left join (select id, disabled_at, scope_cap from subject where disabled_at is not null or scope_cap is not null) o
      on o.id = t.subject
    where t.id >= ${from} and t.id < ${before}
  ), alike as (
    select type, audience, ip_ranges as ranges, ${sql.raw(effectiveScopes('page.scopes', "nullif(page.cap, '{*}')"))} as scopes, state,
      string_agg(digest, ''::bytea) as digests, string_agg(id, '\u001f') as ids, string_agg(subject, '\u001f') as subjects,
      string_agg(coalesce('=' || team, ''), '\u001f') as teams,
      ${times('created_at')} as created, ${times('expire_at')} as expire,
      case when count(ends_at) > 0 then ${times('ends_at')} end as ends,
      case when count(ends_version) > 0 then string_agg(coalesce(ends_version::text, ''), ' ') end as endings
    from page group by type, audience, ip_ranges, page.scopes, cap, state
  )
  select ${sql.raw(serverIdentity)} as server, alike.* from (select) here left join alike on true`

/** Where the page before this id begins; no row: there are not so many. */
const edgeBefore = (before: string) => sql<{ id: string }>`
  select id from token where id < ${before} order by id desc offset ${pageSize - 1} limit 1`

/** As of the last vacuum or analyze; -1: there was none. */
const roughCount = sql<{
  tokens: number
}>`select greatest(reltuples, 0)::int as tokens from pg_class where oid = 'token'::regclass`

/** The planner cannot know how few kinds of tokens there are, and would sort them all, on disk. */
const hashed = sql`select set_config('work_mem', '64MB', true), set_config('enable_sort', 'off', true)`

/** Microseconds since 2000, 64 bits each; the smallest stands for null. */
function times(column: string) {
  return sql.raw(`string_agg(coalesce(timestamptz_send(${column}), '\\x8000000000000000'::bytea), ''::bytea)`)
}

export type WarmUpDependencies = {
  /** Not the connections of checks: a page may take longer than a check may wait. */
  readonly db: Db
  /** The one whose answers count. */
  readonly server: () => string | null
  readonly keyId: string
  readonly capacity: number
  readonly mark: () => number
  /** About so many tokens are going to be remembered. */
  readonly reserve: (tokens: number) => void
  readonly remember: (digest: Int32Array, facts: Facts, mark: number) => void
}

/** @returns how many were loaded */
export async function warmUp({
  db,
  server,
  keyId,
  capacity,
  mark,
  reserve,
  remember,
}: WarmUpDependencies): Promise<number> {
  const fetch = async (bounds: Bounds): Promise<Page> => {
    const begun = mark()
    const rows = await db.transaction().execute(async (trx) => {
      await hashed.execute(trx)
      return (await pageBetween(bounds, keyId).execute(trx)).rows
    })
    return { begun, rows }
  }
  const { rows: counted } = await roughCount.execute(db)
  reserve(counted[0]!.tokens)
  // The database works on the next pages while one is taken in.
  const coming: Promise<Page>[] = []
  let before: string | null = beforeAll
  let loaded = 0
  for (;;) {
    while (before !== null && coming.length < inFlight && loaded + coming.length * pageSize < capacity) {
      const [edge]: { id: string }[] = (await edgeBefore(before).execute(db)).rows
      const page = fetch({ from: edge?.id ?? '', before })
      page.catch(() => {})
      coming.push(page)
      before = edge?.id ?? null
    }
    const next = coming.shift()
    if (next === undefined) return loaded
    const { begun, rows } = await next
    if (rows[0]!.server !== server()) return loaded
    for (const alike of rows)
      loaded += await rememberAlike(alike, (digest, facts) => remember(digest, facts, begun))
  }
}

/** Token ids. */
type Bounds = { readonly from: string; readonly before: string }
type Page = { readonly begun: number; readonly rows: readonly Alike[] }

const letOthersRun = () => new Promise((resolve) => setImmediate(resolve))

/** @returns how many */
async function rememberAlike(
  alike: Alike,
  remember: (digest: Int32Array, facts: Facts) => void,
): Promise<number> {
  if (alike.digests === null) return 0
  const digests = bufferOf(alike.digests)
  const [created, expire] = [bufferOf(alike.created), bufferOf(alike.expire)]
  const ends = alike.ends && bufferOf(alike.ends)
  const words = new Int32Array(8)
  const [ids, subjects, teams] = [alike.ids, alike.subjects, alike.teams].map((text) => text.split(separator))
  const endings = alike.endings?.split(' ')
  const { type, audience, scopes, ranges, state } = alike
  for (let row = 0; row < ids!.length; row++) {
    if (row % atOnce === atOnce - 1) await letOthersRun()
    for (let word = 0; word < 8; word++) words[word] = digests.readInt32LE(row * 32 + word * 4)
    const team = teams![row]!
    const ending = endings?.[row] ?? ''
    remember(words, {
      tokenId: ids![row]!,
      type,
      subject: subjects![row]!,
      team: team === '' ? null : team.slice(1),
      audience,
      scopes,
      ranges,
      createdAt: timeAt(created, row)!,
      expireAt: timeAt(expire, row),
      endsAt: ends && timeAt(ends, row),
      endsVersion: ending === '' ? null : Number(ending),
      state,
    })
  }
  return ids!.length
}

const bufferOf = ({ buffer, byteOffset, byteLength }: Uint8Array) =>
  Buffer.from(buffer, byteOffset, byteLength)

const year2000 = Date.UTC(2000, 0)
const noTime = -(2 ** 31)

/** @returns epoch milliseconds */
function timeAt(times: Buffer, row: number): number | null {
  const high = times.readInt32BE(row * 8)
  if (high === noTime) return null
  return year2000 + Math.floor((high * 2 ** 32 + times.readUInt32BE(row * 8 + 4)) / 1000)
}
