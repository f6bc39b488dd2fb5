// Evidence of use, gathered in memory and written in batches off the request path: when, from where and how often a
// token was used, and what was refused. A crash loses at most one interval. Checking itself never writes.
import { sql } from 'kysely'
import { latchkeyItself } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import type { Db } from '../db/tables.ts'
import type { Question, RefusalCode, Verdict } from '../policy/judge.ts'
import { type Address, formatRange } from '../policy/network.ts'

type Use = {
  at: number
  address: Address | null
  agent: string | undefined
  /** What was asked of it; null: nothing so far. */
  scopes: Set<string> | null
  count: number
}
type Refusal = { tokenId: string; subject: string; code: RefusalCode; count: number }

export type Usage = {
  /** Cheap: a map entry, nothing more. @param at epoch milliseconds */
  note(verdict: Verdict, question: Question, at: number, agent: string | undefined): void
  /** Writes the oldest of what was gathered, as much as one statement takes. What fails is kept for the next time. */
  flush(): Promise<void>
  /** Writes all of it, at the end. */
  flushAll(): Promise<void>
}

/**
 * Writing the use of one token costs what answering for a few costs, so a busy replica writes no faster than this for
 * each flush: more tokens than these wait longer, and what waits goes on being counted.
 */
const chunk = 5_000
const mostKept = 250_000
const mostRefusals = 10_000

export function createUsage(db: Db, now: () => number): Usage {
  const uses = new Map<string, Use>()
  let refusals = new Map<string, Refusal>()

  async function flush(): Promise<void> {
    const part = firstOf(uses, chunk)
    const refused = refusals
    refusals = new Map()
    try {
      if (part.length > 0) await writeUses(db, part)
    } catch (error) {
      // What came since is newer; of the rest, that it was used is worth keeping.
      for (const [id, use] of part) if (!uses.has(id)) uses.set(id, use)
      throw error
    }
    if (refused.size > 0) await writeRefusals(db, refused, new Date(now()))
  }

  return {
    note(verdict, question, at, agent) {
      if (verdict.active) noteUse(uses, verdict.facts.tokenId, question, at, agent)
      else if (verdict.facts !== null) noteRefusal(refusals, verdict.facts, verdict.code)
    },
    flush,
    async flushAll() {
      do await flush()
      while (uses.size > 0)
    },
  }
}

/** Takes the oldest out. Sorted by id, so that replicas that write together lock rows in one order. */
function firstOf(uses: Map<string, Use>, most: number): [string, Use][] {
  const part: [string, Use][] = []
  for (const entry of uses) {
    if (part.length === most) break
    part.push(entry)
  }
  for (const [id] of part) uses.delete(id)
  return part.sort(([a], [b]) => (a < b ? -1 : 1))
}

function noteUse(
  uses: Map<string, Use>,
  id: string,
  { clientIp, requiredScopes }: Question,
  at: number,
  agent: string | undefined,
) {
  let use = uses.get(id)
  if (!use) {
    if (uses.size >= mostKept) return
    use = { at, address: null, agent: undefined, scopes: null, count: 0 }
    uses.set(id, use)
  }
  use.at = at
  use.address = clientIp ?? use.address
  use.agent = agent ?? use.agent
  use.count += 1
  for (const scope of requiredScopes) {
    use.scopes ??= new Set()
    use.scopes.add(scope)
  }
}

function noteRefusal(
  refusals: Map<string, Refusal>,
  { tokenId, subject }: { tokenId: string; subject: string },
  code: RefusalCode,
) {
  const key = `${tokenId} ${code}`
  const refusal = refusals.get(key)
  if (refusal) refusal.count += 1
  else if (refusals.size < mostRefusals) refusals.set(key, { tokenId, subject, code, count: 1 })
}

/** One statement. Lists of scopes travel as text, for unnest would flatten an array of arrays. */
async function writeUses(db: Db, part: readonly [string, Use][]): Promise<void> {
  const column = <T>(of: (use: Use) => T) => part.map(([, use]) => of(use))
  const address = ({ address: from }: Use) => from && formatRange({ base: from, prefix: from.length * 32 })
  await sql`
    insert into token_usage (token_id, last_used_at, last_used_ip, last_user_agent, exercised_scopes, use_count)
    select u.token_id, u.at, u.ip, u.agent, string_to_array(u.scopes, ' '), u.uses
    from unnest(
      ${part.map(([id]) => id)}::text[], ${column(({ at }) => new Date(at).toISOString())}::timestamptz[],
      ${column(address)}::text[], ${column(({ agent }) => agent?.slice(0, 200) ?? null)}::text[],
      ${column(({ scopes }) => [...(scopes ?? [])].join(' '))}::text[],
      ${column(({ count }) => count)}::bigint[]) as u (token_id, at, ip, agent, scopes, uses)
    where exists (select 1 from token t where t.id = u.token_id)
    on conflict (token_id) do update set
      last_used_at = greatest(token_usage.last_used_at, excluded.last_used_at),
      last_used_ip = coalesce(excluded.last_used_ip, token_usage.last_used_ip),
      last_user_agent = coalesce(excluded.last_user_agent, token_usage.last_user_agent),
      exercised_scopes = array(
        select distinct scope from unnest(token_usage.exercised_scopes || excluded.exercised_scopes) scope order by scope),
      use_count = token_usage.use_count + excluded.use_count`.execute(db)
}

async function writeRefusals(db: Db, refusals: ReadonlyMap<string, Refusal>, now: Date): Promise<void> {
  await db.transaction().execute(async (trx) => {
    for (const { tokenId, subject, code, count } of refusals.values()) {
      await record(
        trx,
        { action: 'token.refused', tokenId, subject, detail: { code, count } },
        latchkeyItself,
        now,
      )
    }
  })
}
