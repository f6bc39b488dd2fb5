// What memory knows about tokens: facts by the digest of a secret, at most `capacity` of them, the least recently
// looked for making room. Plain data: no clock, no lease, no SQL. Whether memory may be believed is the lease's
// business, what may enter it the fill fence's, and what the facts mean policy's.

import type { Facts } from '../../policy/facts.ts'
import { Clock } from './clock.ts'
import { Interned } from './interned.ts'
import { assertTime, hashTokenId, Records } from './records.ts'
import { MAX_SLOTS, SlotIndex } from './slot-index.ts'
import { packTokenId } from './token-id.ts'

/** The 32 bytes of a secret's stored digest, as eight words. All of them are compared. */
export type Key = Int32Array

/** Two kinds of things that repeat together. One object for each pair costs a token 4 bytes instead of 8. */
type Grant = {
  readonly audience: readonly string[]
  readonly scopes: readonly string[]
}
type Origin = { readonly team: string | null; readonly ranges: readonly string[] }

export type Uses = {
  readonly tokenId: string
  readonly count: number
  readonly at: number
  /** Those of the last use that had any; 0: none had. */
  readonly circumstances: number
}

/**
 * A slot is where a record lies *now*, not a handle: the next `set` or delete may put another record there. Take
 * what you need before you give up control; never keep a slot across an `await`.
 */
export type FactStore = {
  /** The slot of this key, or -1. Counts as a use. */
  find(key: Key): number
  /** Its three lists are frozen and shared by equal tokens: the same object, so work on it can be kept per object. */
  read(slot: number): Facts
  /**
   * @param at epoch milliseconds
   * @param circumstances 32 bits that stand for them; 0: none, and those put down before stay
   * @returns those put down before since uses were taken; 0: none
   */
  countUse(slot: number, at: number, circumstances: number): number
  /** What was counted, of at most so many tokens; what was longest ago counted first comes first. @param now epoch milliseconds */
  takeUses(most: number, now: number): Uses[]
  /** Throws a RangeError, and changes nothing, for facts that would not read back exactly as they were given. */
  set(key: Key, facts: Facts): void
  delete(key: Key): boolean
  /** Makes room for so many at once, which is faster than growing; more than the capacity is never kept. */
  reserve(tokens: number): void
  /** Forgets all secrets of this token and says how many. Throws for what is not a token id. */
  deleteToken(tokenId: string): number
  /** Forgets all tokens of this subject and says how many. */
  deleteSubject(subject: string): number
  clear(): void
  readonly size: number
  /** Of typed arrays; shared lists come on top. */
  readonly bytes: number
  /** How many distinct things the records share. */
  readonly shared: { readonly grants: number; readonly origins: number }
  /** How many distinct subjects did not fit into their records. */
  readonly subjectsElsewhere: number
}

/** Of records that go faster than their uses are taken: what comes on top is lost, instead of memory without bound. */
const mostOrphaned = 250_000

export function createFactStore({ capacity }: { capacity: number }): FactStore {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity >= MAX_SLOTS) {
    throw new RangeError(`the capacity is a whole number from 1 to ${MAX_SLOTS - 1}`)
  }
  const records = new Records()
  const byKey = new SlotIndex(capacity, (slot) => records.keyHash(slot))
  const byTokenId = new SlotIndex(capacity, (slot) => records.tokenIdHash(slot))
  const grants = new Interned<Grant>()
  const origins = new Interned<Origin>()
  const clock = new Clock(capacity)
  const idWords = new Int32Array(4)
  // Slots with uses to take, from `taken` on. A record may have moved or gone since: what is there now has its own count.
  let used: number[] = []
  let taken = 0
  // Of records that had to go before their uses were taken.
  const orphaned: Uses[] = []
  let lastUse = 0

  const grant = (slot: number): Grant => grants.value(records.grant(slot))
  const origin = (slot: number): Origin => origins.value(records.origin(slot))

  function slotOf(key: Key): number {
    const hash = key[0]!
    const index = byKey.of(hash)
    for (let at = index.first(hash); at >= 0; at = index.next(at, hash)) {
      const slot = index.slotAt(at)
      if (records.hasKey(slot, key)) return slot
    }
    return -1
  }

  function slotOfToken(): number {
    const hash = hashTokenId(idWords[0]!, idWords[1]!, idWords[2]!, idWords[3]!)
    const index = byTokenId.of(hash)
    for (let at = index.first(hash); at >= 0; at = index.next(at, hash)) {
      const slot = index.slotAt(at)
      if (records.hasTokenId(slot, idWords)) return slot
    }
    return -1
  }

  function link(slot: number): void {
    const keyHash = records.keyHash(slot)
    const tokenIdHash = records.tokenIdHash(slot)
    byKey.of(keyHash).add(slot, keyHash)
    byTokenId.of(tokenIdHash).add(slot, tokenIdHash)
  }

  /** Nothing refers to this slot any more, and it to nothing; its words are still there. */
  function unlink(slot: number): void {
    const [keyHash, tokenIdHash] = [records.keyHash(slot), records.tokenIdHash(slot)]
    byKey.of(keyHash).remove(slot, keyHash)
    byTokenId.of(tokenIdHash).remove(slot, tokenIdHash)
    keepUses(slot)
    records.release(slot)
    grants.release(records.grant(slot))
    origins.release(records.origin(slot))
  }

  function keepUses(slot: number): void {
    const uses = records.takeUses(slot, lastUse)
    if (uses.count > 0 && orphaned.length < mostOrphaned)
      orphaned.push({ tokenId: records.tokenId(slot), ...uses })
  }

  /** The last record fills the gap, so that records stay dense, and memory can be given back. */
  function remove(slot: number): void {
    unlink(slot)
    const last = records.size - 1
    if (slot !== last) {
      const [keyHash, tokenIdHash] = [records.keyHash(last), records.tokenIdHash(last)]
      byKey.of(keyHash).move(last, slot, keyHash)
      byTokenId.of(tokenIdHash).move(last, slot, tokenIdHash)
      records.copy(last, slot)
      if (records.uses(slot) > 0) used.push(slot)
    }
    clock.move(last, slot)
    records.shrink()
  }

  function freeSlot(): number {
    if (records.size < capacity) return records.grow()
    const victim = clock.victim()
    unlink(victim)
    return victim
  }

  function set(key: Key, facts: Facts): void {
    if (key.length !== 8) throw new RangeError('a key is eight words')
    assertTime(facts.createdAt)
    assertTime(facts.expireAt)
    assertTime(facts.endsAt)
    packTokenId(facts.tokenId, idWords)
    const known = slotOf(key)
    const grant = grants.acquire(lastGrantKey(facts), makeGrant, facts)
    const origin = origins.acquire(lastOriginKey(facts), makeOrigin, facts)
    if (known >= 0) unlink(known)
    const slot = known >= 0 ? known : freeSlot()
    records.write(slot, key, idWords, facts, grant, origin)
    link(slot)
  }

  return {
    find(key) {
      const slot = slotOf(key)
      if (slot >= 0) clock.touch(slot)
      return slot
    },
    read: (slot) => ({
      tokenId: records.tokenId(slot),
      type: records.type(slot),
      subject: records.subject(slot),
      team: origin(slot).team,
      audience: grant(slot).audience,
      scopes: grant(slot).scopes,
      ranges: origin(slot).ranges,
      createdAt: records.createdAt(slot),
      expireAt: records.expireAt(slot),
      endsAt: records.endsAt(slot),
      endsVersion: records.endsVersion(slot),
      state: records.state(slot),
    }),
    countUse(slot, at, circumstances) {
      lastUse = at
      if (records.uses(slot) === 0) used.push(slot)
      return records.countUse(slot, at, circumstances)
    },
    takeUses(most, now) {
      const uses = orphaned.splice(0, most)
      for (; taken < used.length && uses.length < most; taken++) {
        const slot = used[taken]!
        const its = slot < records.size ? records.takeUses(slot, now) : nothing
        if (its.count > 0) uses.push({ tokenId: records.tokenId(slot), ...its })
      }
      // Not each time: there may be a million of them.
      if (taken * 2 >= used.length) {
        used = used.slice(taken)
        taken = 0
      }
      return uses
    },
    set,
    delete(key) {
      const slot = slotOf(key)
      if (slot >= 0) remove(slot)
      return slot >= 0
    },
    reserve(tokens) {
      for (const index of [byKey, byTokenId]) index.reserve(Math.min(tokens, capacity))
    },
    deleteToken(tokenId) {
      packTokenId(tokenId, idWords)
      let deleted = 0
      for (let slot = slotOfToken(); slot >= 0; slot = slotOfToken()) {
        remove(slot)
        deleted++
      }
      return deleted
    },
    // A scan: an index by subject would cost every token 8 bytes for what happens a few times a day.
    deleteSubject(subject) {
      let deleted = 0
      // Downwards: what fills a gap comes from the end, which has been looked at.
      for (let slot = records.size; ; deleted++) {
        slot = records.lastOf(subject, slot)
        if (slot < 0) return deleted
        remove(slot)
      }
    },
    clear() {
      for (const slot of used) if (slot < records.size) keepUses(slot)
      used = []
      taken = 0
      for (const part of [byKey, byTokenId, records, grants, origins, clock]) part.clear()
    },
    get size() {
      return records.size
    },
    get bytes() {
      return byKey.bytes + byTokenId.bytes + records.bytes + clock.bytes
    },
    get shared() {
      return { grants: grants.size, origins: origins.size }
    },
    get subjectsElsewhere() {
      return records.subjectsElsewhere
    },
  }
}

const nothing = { count: 0, at: 0, circumstances: 0 }
const none: readonly string[] = Object.freeze([])

/** A warm-up brings thousands in a row that share their very lists; their key is then the same string. */
function keptWhileSame(same: (a: Facts, b: Facts) => boolean, make: (facts: Facts) => string) {
  let last: { facts: Facts; key: string } | null = null
  return (facts: Facts): string => {
    if (last === null || !same(last.facts, facts)) last = { facts, key: make(facts) }
    return last.key
  }
}
const lastGrantKey = keptWhileSame(
  (a, b) => a.scopes === b.scopes && a.audience === b.audience,
  (facts) => grantKey(facts),
)
const lastOriginKey = keptWhileSame(
  (a, b) => a.team === b.team && a.ranges === b.ranges,
  (facts) => originKey(facts),
)

const frozen = (list: readonly string[]) => (list.length === 0 ? none : Object.freeze([...list]))

// Each string with its length before it: a team's name may contain any separator, and two different sets must
// never look alike. JSON says the same in twice the time.
const grantKey = ({ audience, scopes }: Facts) => `${listKey(audience)}|${listKey(scopes)}`
// Most have a team and no ranges, or neither; no other key begins with `=`.
function originKey({ team, ranges }: Facts): string {
  if (ranges.length === 0) return team === null ? '' : `=${team}`
  return `${listKey(team === null ? [] : [team])}|${listKey(ranges)}`
}

function listKey(list: readonly string[]): string {
  let key = ''
  for (const text of list) key += `${text.length}:${text}`
  return key
}

function makeGrant({ audience, scopes }: Facts): Grant {
  return { audience: frozen(audience), scopes: frozen(scopes) }
}

function makeOrigin({ team, ranges }: Facts): Origin {
  return { team, ranges: frozen(ranges) }
}
