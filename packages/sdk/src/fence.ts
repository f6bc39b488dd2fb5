// Keeps an answer that a revocation overtook out of memory. An answer may be kept only if, since one lease before it
// was asked for, nothing was forgotten that concerns it. The extra lease is for the other replicas of Latchkey: we hear
// of a change from one, and may ask another that has not heard of it yet; after one lease it has, or is silent.
import type { Token } from './verdict.ts'

/** What Latchkey says is no longer true. */
export type Forgotten = { readonly tokens: readonly string[]; readonly subjects: readonly string[] }

export type Fence = {
  raise(what: Forgotten): void
  raiseAll(): void
  /** @param token null: known to be none, or none that is good @param askedAt monotonic milliseconds */
  admits(token: Token | null, askedAt: number): boolean
  /** Whether nothing at all was forgotten since. */
  quietSince(at: number): boolean
}

/** More than these within a lease or two count as everything. */
const mostRemembered = 4_096

/** @param graceMs the present length of a lease */
export function createFence(monotonic: () => number, graceMs: () => number): Fence {
  const raisedAt = new Map<string, number>()
  let allAt = Number.NEGATIVE_INFINITY
  let lastAt = Number.NEGATIVE_INFINITY

  function raiseOne(id: string): void {
    raisedAt.delete(id)
    raisedAt.set(id, lastAt)
    if (raisedAt.size <= mostRemembered) return
    allAt = lastAt
    raisedAt.clear()
  }

  const passed = (raised: number | undefined, askedAt: number) =>
    raised === undefined || askedAt - graceMs() > raised

  return {
    raise({ tokens, subjects }) {
      lastAt = monotonic()
      for (const id of tokens) raiseOne(`token ${id}`)
      for (const id of subjects) raiseOne(`subject ${id}`)
    },
    raiseAll() {
      lastAt = allAt = monotonic()
      raisedAt.clear()
    },
    admits(token, askedAt) {
      // Of a refusal it is not known what would make it untrue.
      if (token === null) return passed(lastAt, askedAt)
      const raised = [allAt, raisedAt.get(`token ${token.id}`), raisedAt.get(`subject ${token.subject}`)]
      return raised.every((at) => passed(at, askedAt))
    },
    quietSince: (at) => at > lastAt,
  }
}
