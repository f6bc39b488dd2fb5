// Keeps a read that began before a change from putting what it saw into memory after it. Without it one in four
// such races leaves a revoked token active for ever (measured, reliability M6). Pure bookkeeping.
import type { Invalidation } from '../db/change.ts'
import type { Facts } from '../policy/facts.ts'

/** A point in the order of changes, taken before a read begins. */
export type Mark = number

export type Fence = {
  mark(): Mark
  /** To be called when facts are forgotten, before anything else can be read. */
  raise(what: Invalidation): void
  /** After everything was forgotten: nothing that was read before counts. */
  raiseAll(): void
  /** Whether these facts, read since `mark`, may be remembered. */
  admits(facts: Facts, mark: Mark): boolean
  /** Whether anything at all has happened since. A request that begins after a change must not share an older read. */
  unchangedSince(mark: Mark): boolean
}

/** A read that is overtaken by more changes than these is not remembered; reads take milliseconds. */
const remembered = 4_096

export function createFence(): Fence {
  const recent: Invalidation[] = []
  let count = 0
  let allAt = 0
  return {
    mark: () => count,
    raise(what) {
      recent[count % remembered] = what
      count += 1
      if (what.kind === 'scopes') allAt = count
    },
    raiseAll() {
      count += 1
      allAt = count
    },
    admits(facts, mark) {
      if (mark < allAt || count - mark > remembered) return false
      for (let at = mark; at < count; at++) {
        if (concerns(recent[at % remembered]!, facts)) return false
      }
      return true
    },
    unchangedSince: (mark) => mark === count,
  }
}

function concerns(what: Invalidation, facts: Facts): boolean {
  if (what.kind === 'token') return what.id === facts.tokenId
  return what.kind === 'subject' && what.id === facts.subject
}
