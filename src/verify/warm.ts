// Fills memory with live tokens after a start, so that the first hour is not made of misses. Nothing waits for it; what
// changes on the way is fenced like any read. Tokens come in pages, those alike together, column by column: a row object for each
// would cost more than all the rest.
import { sql } from 'kysely'
import { serverIdentity } from '../db/preparing-client.ts'
import type { Db } from '../db/tables.ts'
import { transactOn } from '../db/transact.ts'
import type { Facts, TokenType } from '../policy/facts.ts'
import { effectiveScopes, endsVersionColumn } from './lookup.ts'

/** Tokens of a page that have all but themselves in common; at least one row, with nothing but `server`. */
type Alike = {
  server: string
  type: TokenType
  /** null: none, and so of ranges. */
  audience: string[] | null
  ranges: string[] | null
  scopes: string[]
  /** Base64; null: there is no such token in this page. */
  digests: string | null
  ids: string
  subjects: string
  teams: string
  /** Base64, as the others that are times. */
  created: string
  expire: string
  /** null: these have no end of their own, and end no other. */
  ends: string | null
  endings: string | null
}

const pageSize = 20_000
const inFlight = 2
/** Taken in at once, which checks wait for: a millisecond or two. */
const atOnce = 500
/** Sorts after every token id. */
const beforeAll = 'tok_~'
const separator = '\u001f'

// A page of tokens that are good: the others are asked for rarely, and a miss each. Text columns are joined by a control
// character that no value may contain; digests, and times as they lie there, are bytes in base64, which both sides make
// sense of several times faster than of hexadecimal. Both tables are read by their index between the same two ids; of
// subjects, only those matter that take something away, and these have an index of their own. To tell what is alike costs
// most, and an empty list more than null.
const pageBetween = ({ from, before }: Bounds, keyId: string) => sql<Alike>`
  with page as (
    select s.digest, t.id, t.type, t.subject, t.team, t.scopes, o.scope_cap as cap, t.created_at, t.expire_at, s.ends_at,
      ${sql.raw(endsVersionColumn)}, case when s.ends_at is not null or t.first_use_ends is not null then true end as is_ending,
      ${nullIfEmpty('t.audience')} as audience, ${nullIfEmpty('t.ip_ranges')} as ranges
    from token t
    join token_secret s on s.token_id = t.id and s.key_id = ${keyId} and not s.ended
      and s.token_id >= ${from} and s.token_id < ${before}
    left join (select id, disabled_at, scope_cap from subject where disabled_at is not null or scope_cap is not null) o
      on o.id = t.subject
    where t.id >= ${from} and t.id < ${before} and t.revoked_at is null and t.disabled_at is null
      and o.disabled_at is null and (t.expire_at is null or t.expire_at > now())
  ), alike as (
    select type, audience, ranges, ${sql.raw(effectiveScopes('page.scopes', 'page.cap'))} as scopes,
      ${inBase64('digest')} as digests, string_agg(id, '\u001f') as ids, string_agg(subject, '\u001f') as subjects,
      string_agg(coalesce('=' || team, ''), '\u001f') as teams,
      ${inBase64(bytesOf('created_at'))} as created, ${inBase64(bytesOf('expire_at'))} as expire,
      ${inBase64(bytesOf('ends_at'), 'filter (where is_ending)')} as ends,
      string_agg(coalesce(ends_version::text, ''), ' ') filter (where is_ending) as endings
    from page group by type, audience, ranges, page.scopes, cap, is_ending
  )
  select ${sql.raw(serverIdentity)} as server, alike.* from (select) here left join alike on true`

/** Enough that pages between ids that are drawn from them are about as long as they should be. */
const sampledBlocks = 1_000

const blocksOfTokens = sql<{
  blocks: number
}>`select (pg_relation_size('token') / current_setting('block_size')::int)::int as blocks`

/** The last id of some blocks of the table, in order, and how many tokens lie in each. @param part of all blocks, up to 1 */
const sample = (part: number) => sql<{ id: string; tokens: number }>`
  select max(id) as id, count(*)::int as tokens from token tablesample system (${part * 100})
  group by (ctid::text::point)[0] order by id desc`

/**
 * The planner cannot know how few kinds of tokens there are, and would sort them all, on disk. Nor does it know of tokens
 * that are newer than its statistics: it takes a page of them for one row, and would compare each with each. Of
 * what is left, some costs so much on paper that it would be compiled (`jit`), for longer than it runs.
 */
const hashed = sql`select set_config('work_mem', '64MB', true), set_config('enable_sort', 'off', true),
  set_config('enable_nestloop', 'off', true), set_config('jit', 'off', true)`

/** Of a time: microseconds since 2000, 64 bits; the smallest stands for null. */
function bytesOf(column: string): string {
  return `coalesce(timestamptz_send(${column}), '\\x8000000000000000'::bytea)`
}

function nullIfEmpty(list: string) {
  return sql.raw(`case when cardinality(${list}) > 0 then ${list} end`)
}

function inBase64(bytes: string, filter = '') {
  return sql.raw(`encode(string_agg(${bytes}, ''::bytea) ${filter}, 'base64')`)
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
  const transact = transactOn(db)
  const fetch = async (bounds: Bounds): Promise<Page> => {
    const begun = mark()
    const [, { rows }] = await transact((trx) =>
      Promise.all([hashed.execute(trx), pageBetween(bounds, keyId).execute(trx)]),
    )
    return { begun, rows }
  }
  const { count, pages } = await divided(db)
  reserve(count)
  const coming: Promise<Page>[] = []
  let loaded = 0
  const askForMore = (beingTakenIn: 0 | 1) => {
    const fits = () => loaded + (coming.length + beingTakenIn) * pageSize < capacity
    while (pages.length > 0 && coming.length < inFlight && fits()) {
      const page = fetch(pages.shift()!)
      page.catch(() => {})
      coming.push(page)
    }
  }
  askForMore(0)
  for (let next = coming.shift(); next !== undefined; next = coming.shift()) {
    const { begun, rows } = await next
    // The database works on pages while one is taken in.
    askForMore(1)
    if (rows[0]!.server !== server()) return loaded
    for (const alike of rows)
      loaded += await rememberAlike(alike, (digest, facts) => remember(digest, facts, begun))
    askForMore(0)
  }
  return loaded
}

/** About how many tokens there are; and all of them in pages of about the same size, the newest first. */
async function divided(db: Db): Promise<{ count: number; pages: Bounds[] }> {
  const { blocks } = (await blocksOfTokens.execute(db)).rows[0]!
  const part = Math.min(1, sampledBlocks / Math.max(1, blocks))
  const pages: Bounds[] = []
  let before = beforeAll
  let tokens = 0
  let inPage = 0
  for (const block of (await sample(part).execute(db)).rows) {
    if (inPage >= pageSize * part) {
      pages.push({ from: block.id, before })
      before = block.id
      inPage = 0
    }
    tokens += block.tokens
    inPage += block.tokens
  }
  pages.push({ from: '', before })
  return { count: Math.round(tokens / part), pages }
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
  const ends = alike.ends === null ? null : bufferOf(alike.ends)
  const words = new Int32Array(8)
  const [ids, subjects, teams] = [alike.ids, alike.subjects, alike.teams].map((text) => text.split(separator))
  const endings = alike.endings?.split(' ')
  const { type, audience, scopes, ranges } = alike
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
      audience: audience ?? none,
      scopes,
      ranges: ranges ?? none,
      createdAt: timeAt(created, row)!,
      expireAt: timeAt(expire, row),
      endsAt: ends && timeAt(ends, row),
      endsVersion: ending === '' ? null : Number(ending),
      state: 'active',
    })
  }
  return ids!.length
}

const none: readonly string[] = []
const bufferOf = (base64: string) => Buffer.from(base64, 'base64')

const year2000 = Date.UTC(2000, 0)
const noTime = -(2 ** 31)

/** @returns epoch milliseconds */
function timeAt(times: Buffer, row: number): number | null {
  const high = times.readInt32BE(row * 8)
  if (high === noTime) return null
  return year2000 + Math.floor((high * 2 ** 32 + times.readUInt32BE(row * 8 + 4)) / 1000)
}
