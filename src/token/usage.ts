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

/** Counts beside the remembered facts, which costs a check next to nothing. */
export type Counts = {
  countUse(slot: number, at: number): void
  areNew(slot: number, circumstances: number): boolean
  takeUses(most: number, now: number): { tokenId: string; count: number; at: number }[]
}

export type Usage = {
  /** @param at epoch milliseconds @param slot where `counts` has the token; -1: it has not */
  note(verdict: Verdict, question: Question, at: number, agent: string | undefined, slot: number): void
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

export function createUsage(db: Db, counts: Counts, now: () => number): Usage {
  const uses = new Map<string, Use>()
  const circumstancesOf = createCircumstances()
  let refusals = new Map<string, Refusal>()

  /** @returns how many tokens' uses were written */
  async function write(): Promise<number> {
    for (const { tokenId, count, at } of counts.takeUses(chunk, now())) addUses(uses, tokenId, at, count)
    const part = firstOf(uses, chunk)
    const refused = refusals
    refusals = new Map()
    try {
      if (part.length > 0) await writeUses(db, part)
    } catch (error) {
      // What came since is newer, and goes on being counted from here.
      for (const [id, use] of part) {
        const newer = uses.get(id)
        if (newer) newer.count += use.count
        else uses.set(id, use)
      }
      throw error
    }
    if (refused.size > 0) await writeRefusals(db, refused, new Date(now()))
    return part.length
  }

  return {
    note(verdict, question, at, agent, slot) {
      if (verdict.active) {
        if (slot >= 0) {
          counts.countUse(slot, at)
          const circumstances = circumstancesOf(question, agent)
          if (circumstances === 0 || !counts.areNew(slot, circumstances)) return
        }
        const use = addUses(uses, verdict.facts.tokenId, at, slot >= 0 ? 0 : 1)
        if (use) noteCircumstances(use, question, agent)
      } else if (verdict.facts !== null) noteRefusal(refusals, verdict.facts, verdict.code)
    },
    async flush() {
      await write()
    },
    async flushAll() {
      while ((await write()) > 0);
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

function addUses(uses: Map<string, Use>, id: string, at: number, count: number): Use | undefined {
  let use = uses.get(id)
  if (!use) {
    if (uses.size >= mostKept) return undefined
    use = { at, address: null, agent: undefined, scopes: null, count: 0 }
    uses.set(id, use)
  }
  use.at = Math.max(at, use.at)
  use.count += count
  return use
}

function noteCircumstances(use: Use, { clientIp, requiredScopes }: Question, agent: string | undefined) {
  use.address = clientIp ?? use.address
  use.agent = agent ?? use.agent
  for (const scope of requiredScopes) {
    use.scopes ??= new Set()
    use.scopes.add(scope)
  }
}

const mostNumbered = 1_000

/**
 * From where, by what and for which scopes a token is used, as one number: most uses are like the one before, and then
 * there is nothing to put down. 0: nothing is known. Two that share a number by chance lose one line of evidence.
 */
function createCircumstances() {
  const agents = new Map<string, number>()
  const lists = new Map<string, number>()
  return ({ clientIp, requiredScopes }: Question, agent: string | undefined): number => {
    if (clientIp === null && agent === undefined && requiredScopes.length === 0) return 0
    let hash = agent === undefined ? 0 : numberOf(agents, agent)
    hash = Math.imul(hash ^ 0x9e3779b9, 0x85ebca6b)
    hash ^=
      requiredScopes.length === 0
        ? 0
        : numberOf(lists, requiredScopes.length === 1 ? requiredScopes[0]! : requiredScopes.join(' '))
    for (const word of clientIp ?? []) hash = Math.imul(hash ^ (hash >>> 15) ^ word, 0xc2b2ae35)
    return hash | 1
  }
}

function numberOf(known: Map<string, number>, text: string): number {
  let number = known.get(text)
  if (number === undefined) {
    if (known.size >= mostNumbered) known.clear()
    number = Math.floor(Math.random() * 0x7fffffff)
    known.set(text, number)
  }
  return number
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

/** One statement, and one JSON text: as arrays of columns the same takes the driver five times as long. */
async function writeUses(db: Db, part: readonly [string, Use][]): Promise<void> {
  await sql`
    insert into token_usage (token_id, last_used_at, last_used_ip, last_user_agent, exercised_scopes, use_count)
    select u.id, to_timestamp(u.at / 1000.0), u.ip, u.agent, u.scopes, u.uses
    from json_to_recordset(${JSON.stringify(part.map(rowOf))}::json)
      as u (id text, at bigint, ip text, agent text, scopes text[], uses bigint)
    where exists (select 1 from token t where t.id = u.id)
    on conflict (token_id) do update set
      last_used_at = greatest(token_usage.last_used_at, excluded.last_used_at),
      last_used_ip = coalesce(excluded.last_used_ip, token_usage.last_used_ip),
      last_user_agent = coalesce(excluded.last_user_agent, token_usage.last_user_agent),
      exercised_scopes = case when excluded.exercised_scopes <@ token_usage.exercised_scopes
        then token_usage.exercised_scopes
        else array(
          select distinct scope from unnest(token_usage.exercised_scopes || excluded.exercised_scopes) scope order by scope)
        end,
      use_count = token_usage.use_count + excluded.use_count`.execute(db)
}

const nothing: readonly string[] = []

function rowOf([id, { at, address, agent, scopes, count }]: readonly [string, Use]) {
  return {
    id,
    at,
    ip: address && formatRange({ base: address, prefix: address.length * 32 }),
    agent: agent?.slice(0, 200) ?? null,
    scopes: scopes === null ? nothing : [...scopes],
    uses: count,
  }
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
