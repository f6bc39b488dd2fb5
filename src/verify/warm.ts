// Fills memory with live tokens after a start, so that the first hour is not made of misses. Nothing waits for it; what
// changes on the way is fenced like any read. Tokens come in pages, those alike together, column by column: a row object for each
// would cost more than all the rest.
import { sql } from 'kysely'
import type { Db } from '../db/tables.ts'
import type { Facts, TokenType } from '../policy/facts.ts'
import { effectiveScopes, endsVersionColumn, stateColumn } from './lookup.ts'
import { serverIdentity } from './replicas.ts'

/** Tokens of a page that have all but themselves in common; at least one row, with nothing but `server` and `last`. */
type Alike = {
  server: string
  /** Where the next page begins; null: there is none. */
  last: string | null
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
  created: string
  expire: string
  ends: string
  endings: string
}

/** Taken in at once, which checks wait for: some milliseconds. */
const pageSize = 10_000
/** Sorts after every token id. */
const beforeAll = 'tok_~'
const separator = '\u001f'

// A page of live tokens, the newest first. Text columns are joined by a control character that no value may contain. The
// bounds on token_secret let it be read by its index instead of whole; of subjects, only those matter that take something
// away, and these have an index of their own. A cap of `*`, which is no scope, is none.
const pageBefore = (before: string, keyId: string, limit: number) => sql<Alike>`
  with chosen as materialized (
    select id, type, subject, team, audience, ip_ranges, scopes, created_at, expire_at, disabled_at, revoked_at,
      secret_version, first_use_ends
    from token where id < ${before} order by id desc limit ${limit}
  ), bounds as materialized (
    select min(id) as first, max(id) as last from chosen
  ), page as (
    select s.digest, s.ends_at, t.id, t.type, t.subject, t.team, t.audience, t.ip_ranges, t.scopes,
      coalesce(o.scope_cap, '{*}') as cap, t.created_at, t.expire_at, ${sql.raw(stateColumn)}, ${sql.raw(endsVersionColumn)}
    from chosen t
    join token_secret s on s.token_id = t.id and s.key_id = ${keyId} and not s.ended
      and s.token_id between (select first from bounds) and (select last from bounds)
    left join (select id, disabled_at, scope_cap from subject where disabled_at is not null or scope_cap is not null) o
      on o.id = t.subject
  ), alike as (
    select type, audience, ip_ranges as ranges, ${sql.raw(effectiveScopes('page.scopes', "nullif(page.cap, '{*}')"))} as scopes, state,
      string_agg(digest, ''::bytea) as digests, string_agg(id, '\u001f') as ids, string_agg(subject, '\u001f') as subjects,
      string_agg(coalesce('=' || team, ''), '\u001f') as teams,
      string_agg(${epochMs('created_at')}, ' ') as created,
      string_agg(coalesce(${epochMs('expire_at')}, ''), ' ') as expire,
      string_agg(coalesce(${epochMs('ends_at')}, ''), ' ') as ends,
      string_agg(coalesce(ends_version::text, ''), ' ') as endings
    from page group by type, audience, ip_ranges, page.scopes, cap, state
  )
  select ${sql.raw(serverIdentity)} as server, bounds.first as last, alike.* from bounds left join alike on true`

/** The planner cannot know how few kinds of tokens there are, and would sort them all, on disk. */
const hashed = sql`select set_config('work_mem', '64MB', true), set_config('enable_sort', 'off', true)`

const epochMs = (column: string) => sql.raw(`(date_part('epoch', ${column}) * 1000)::int8::text`)

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
  const fetch = async (before: string): Promise<Page> => {
    const begun = mark()
    const rows = await db.transaction().execute(async (trx) => {
      await hashed.execute(trx)
      return (await pageBefore(before, keyId, pageSize).execute(trx)).rows
    })
    return { begun, rows }
  }
  let loaded = 0
  let next: Promise<Page> | null = fetch(beforeAll)
  while (next) {
    const { begun, rows }: Page = await next
    const { last, server: answering }: Alike = rows[0]!
    if (last === null || answering !== server()) return loaded
    // The database works on the next page while this one is taken in.
    next = loaded + pageSize < capacity ? fetch(last) : null
    next?.catch(() => {})
    for (const alike of rows) {
      loaded += rememberAlike(alike, (digest, facts) => remember(digest, facts, begun))
    }
  }
  return loaded
}

type Page = { readonly begun: number; readonly rows: readonly Alike[] }

/** @returns how many */
function rememberAlike(alike: Alike, remember: (digest: Int32Array, facts: Facts) => void): number {
  if (alike.digests === null) return 0
  const bytes = Buffer.from(alike.digests)
  const words = new Int32Array(8)
  const [ids, subjects, teams] = [alike.ids, alike.subjects, alike.teams].map((text) => text.split(separator))
  const [created, expire, ends, endings] = [alike.created, alike.expire, alike.ends, alike.endings].map(
    (text) => text.split(' '),
  )
  const { type, audience, scopes, ranges, state } = alike
  for (let row = 0; row < ids!.length; row++) {
    for (let word = 0; word < 8; word++) words[word] = bytes.readInt32LE(row * 32 + word * 4)
    remember(words, {
      tokenId: ids![row]!,
      type,
      subject: subjects![row]!,
      team: teams![row] === '' ? null : teams![row]!.slice(1),
      audience,
      scopes,
      ranges,
      createdAt: Number(created![row]),
      expireAt: numberOf(expire![row]!),
      endsAt: numberOf(ends![row]!),
      endsVersion: numberOf(endings![row]!),
      state,
    })
  }
  return ids!.length
}

const numberOf = (text: string) => (text === '' ? null : Number(text))
