// What is known of secrets, for seconds, under a hash of each: bounded, least recently used first out. When it may be
// believed is the lease's to say, what may enter the fence's.
import { hash } from 'node:crypto'
import type { Forgotten } from './fence.ts'
import type { Reason, Token } from './verdict.ts'

/** Facts to judge by, or the reason why every question is refused. */
export type Known = { readonly token: Token } | { readonly token: null; readonly reason: Reason }

export type Memory = {
  get(key: string): Known | undefined
  set(key: string, known: Known): void
  forget(what: Forgotten): void
  clear(): void
}

export type MemoryLimits = { readonly goodMs: number; readonly refusedMs: number; readonly most: number }

/** The secret itself is kept nowhere. */
export const keyOf = (secret: string): string => hash('sha256', secret, 'base64')

export function createMemory({ goodMs, refusedMs, most }: MemoryLimits, monotonic: () => number): Memory {
  const entries = new Map<string, { known: Known; until: number }>()
  return {
    get(key) {
      const entry = entries.get(key)
      if (!entry) return undefined
      entries.delete(key)
      if (monotonic() >= entry.until) return undefined
      entries.set(key, entry)
      return entry.known
    },
    set(key, known) {
      entries.delete(key)
      entries.set(key, { known, until: monotonic() + (known.token ? goodMs : refusedMs) })
      if (entries.size > most) entries.delete(entries.keys().next().value!)
    },
    forget(what) {
      const tokens = new Set(what.tokens)
      const subjects = new Set(what.subjects)
      for (const [key, { known }] of entries) {
        const { token } = known
        // A token that was refused may have been mended by this: which one is not known.
        if (!token || tokens.has(token.id) || subjects.has(token.subject)) entries.delete(key)
      }
    },
    clear: () => entries.clear(),
  }
}
