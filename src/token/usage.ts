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
  addressAt: number
  agent: string | undefined
  agentAt: number
  /** What was asked of it; null: nothing so far. */
  scopes: Set<string> | null
  count: number
}
/** From where, by what and for which scopes a token is used. */
type Circumstances = Pick<Question, 'clientIp' | 'requiredScopes'> & { readonly agent: string | undefined }
type Refusal = { tokenId: string; subject: string; code: RefusalCode; count: number }

/** Counts beside the remembered facts, which costs a check next to nothing. */
export type Counts = {
  countUse(slot: number, at: number, circumstances: number): number
  takeUses(most: number, now: number): { tokenId: string; count: number; at: number; circumstances: number }[]
}

export type Usage = {
  /** @param at epoch milliseconds @param slot where `counts` has the token; -1: it has not */
  note(verdict: Verdict, question: Question, at: number, agent: string | undefined, slot: number): void
  /** Writes the oldest of what was gathered, up to a bound. What fails is kept for the next time. One at a time: asked meanwhile, it is the same. */
  flush(): Promise<void>
  /** Writes all of it, at the end. */
  flushAll(): Promise<void>
}

/** In one statement: checks wait while it is put together, a millisecond. */
const chunk = 250
/**
 * Writing the use of one token costs what answering for a few costs, so a busy replica writes no more than this in
 * each flush: other tokens wait longer, and what waits goes on being counted.
 */
const mostChunks = 20
const mostKept = 250_000
const mostRefusals = 10_000

/** @param mostNumbered kinds of circumstances that are known by number at once; more of them cost more each */
export function createUsage(db: Db, counts: Counts, now: () => number, mostNumbered = 20_000): Usage {
  const uses = new Map<string, Use>()
  const known = createCircumstances(mostNumbered)
  let refusals = new Map<string, Refusal>()
  let flushing: Promise<void> | null = null

  /** @returns how many tokens' uses were written */
  async function write(): Promise<number> {
    for (const { tokenId, count, at, circumstances } of counts.takeUses(chunk, now())) {
      noteCircumstances(addUses(uses, tokenId, at, count), known.release(circumstances), at)
    }
    const part = firstOf(uses, chunk)
    try {
      if (part.length > 0) await writeUses(db, part)
    } catch (error) {
      // What came since is newer, and goes on being counted from here.
      for (const [id, use] of part) {
        const newer = uses.get(id)
        if (newer) addTo(newer, use)
        else uses.set(id, use)
      }
      throw error
    }
    await tellRefusals()
    return part.length
  }

  async function writeSome(): Promise<void> {
    for (let left = mostChunks; left > 0 && (await write()) === chunk; left--);
  }

  async function tellRefusals(): Promise<void> {
    if (refusals.size === 0) return
    const refused = refusals
    refusals = new Map()
    try {
      await writeRefusals(db, refused, new Date(now()))
    } catch (error) {
      for (const refusal of refused.values()) addRefusal(refusals, refusal)
      throw error
    }
  }

  return {
    note(verdict, question, at, agent, slot) {
      if (!verdict.active) {
        const { facts, code } = verdict
        if (facts !== null)
          addRefusal(refusals, { tokenId: facts.tokenId, subject: facts.subject, code, count: 1 })
        return
      }
      const { tokenId } = verdict.facts
      const these = circumstancesOf(question, agent)
      if (slot < 0) {
        noteCircumstances(addUses(uses, tokenId, at, 1), these && kept(these), at)
        return
      }
      const number = these === null ? none : known.numberOf(these)
      const before = counts.countUse(slot, at, number)
      if (number === none || (number === before && number !== unnumbered)) return
      known.hold(number)
      // What was put down before these must be written before them.
      const others = known.release(before)
      if (others === null && number !== unnumbered) return
      const use = addUses(uses, tokenId, at, 0)
      noteCircumstances(use, others, at)
      if (number === unnumbered) noteCircumstances(use, kept(these!), at)
    },
    flush() {
      flushing ??= writeSome().finally(() => {
        flushing = null
      })
      return flushing
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
    use = { at, address: null, addressAt: 0, agent: undefined, agentAt: 0, scopes: null, count: 0 }
    uses.set(id, use)
  }
  use.at = Math.max(at, use.at)
  use.count += count
  return use
}

function addTo(use: Use, other: Use): void {
  use.count += other.count
  noteCircumstances(use, { clientIp: other.address, agent: undefined, requiredScopes: [] }, other.addressAt)
  noteCircumstances(
    use,
    { clientIp: null, agent: other.agent, requiredScopes: [...(other.scopes ?? [])] },
    other.agentAt,
  )
}

/** @param at not before these; what outlived its record may come after what was put down since */
function noteCircumstances(use: Use | undefined, these: Circumstances | null, at: number) {
  if (!use || !these) return
  if (these.clientIp !== null && at >= use.addressAt) {
    use.address = these.clientIp
    use.addressAt = at
  }
  if (these.agent !== undefined && at >= use.agentAt) {
    use.agent = these.agent
    use.agentAt = at
  }
  for (const scope of these.requiredScopes) {
    use.scopes ??= new Set()
    use.scopes.add(scope)
  }
}

/** null: nothing is known. */
function circumstancesOf(
  { clientIp, requiredScopes }: Question,
  agent: string | undefined,
): Circumstances | null {
  if (clientIp === null && agent === undefined && requiredScopes.length === 0) return null
  return {
    clientIp,
    agent: agent !== undefined && agent.length > longestAgent ? agent.slice(0, longestAgent) : agent,
    requiredScopes,
  }
}

const longestAgent = 200

/** Without the whole head of a request that its parts would keep in memory. */
function kept({ clientIp, agent, requiredScopes }: Circumstances): Circumstances {
  const own = agent === undefined ? undefined : Buffer.from(agent, 'utf8').toString('utf8')
  return { clientIp, agent: own, requiredScopes }
}

const none = 0
/** Stands for circumstances without a number of their own, which is odd. */
const unnumbered = 2

/**
 * Circumstances by number, which is all that is put down beside the facts at each use: most uses are like many others.
 * Known as long as uses that are to be taken refer to them.
 */
function createCircumstances(mostNumbered: number) {
  type Known = { readonly these: Circumstances; readonly number: number; holders: number }
  const byNumber = new Map<number, Known>()
  let last: Known | null = null

  function knownAs(these: Circumstances): Known | null {
    const number = hashOf(these) | 1
    const known = byNumber.get(number)
    // Another has it by chance.
    if (known) return areSame(known.these, these) ? known : null
    if (byNumber.size >= mostNumbered) return null
    const fresh = { these: kept(these), number, holders: 0 }
    byNumber.set(number, fresh)
    return fresh
  }

  return {
    /** To be held at once, or forgotten. */
    numberOf(these: Circumstances): number {
      if (last === null || !areSame(last.these, these)) last = knownAs(these)
      return last?.number ?? unnumbered
    },
    hold(number: number): void {
      const known = byNumber.get(number)
      if (known) known.holders += 1
    },
    /** @returns what it stands for; null: nothing */
    release(number: number): Circumstances | null {
      const known = byNumber.get(number)
      if (!known) return null
      known.holders -= 1
      if (known.holders === 0) {
        byNumber.delete(number)
        if (last === known) last = null
      }
      return known.these
    },
  }
}

function areSame(a: Circumstances, b: Circumstances): boolean {
  return (
    a.agent === b.agent && areEqual(a.clientIp, b.clientIp) && areEqual(a.requiredScopes, b.requiredScopes)
  )
}

function areEqual<T>(a: readonly T[] | null, b: readonly T[] | null): boolean {
  if (a === b) return true
  if (a === null || b === null || a.length !== b.length) return false
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false
  return true
}

function hashOf({ clientIp, agent, requiredScopes }: Circumstances): number {
  let hash = 0
  for (const word of clientIp ?? []) hash = Math.imul(hash ^ (hash >>> 15) ^ word, 0xc2b2ae35)
  for (const text of agent === undefined ? requiredScopes : [agent, ...requiredScopes]) {
    hash = Math.imul(hash ^ (hash >>> 15) ^ text.length, 0x85ebca6b)
    for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x5bd1e995)
  }
  return hash ^ (hash >>> 16)
}

function addRefusal(refusals: Map<string, Refusal>, one: Refusal) {
  const key = `${one.tokenId} ${one.code}`
  const known = refusals.get(key)
  if (known) known.count += one.count
  else if (refusals.size < mostRefusals) refusals.set(key, { ...one })
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
    agent: agent ?? null,
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
