// What this replica forgets, told to whoever listens here: client libraries that remember verdicts themselves. A
// listener that was away for a while hears what it missed, or that it has missed too much.
import type { Invalidation } from '../db/change.ts'

export type FeedEvent =
  | { readonly kind: 'forget'; readonly id: string; readonly what: readonly Invalidation[] }
  /** Everything must go: what happened is not known, or is about everything. */
  | { readonly kind: 'reset'; readonly id: string }

export type Feed = {
  publish(what: readonly Invalidation[]): void
  publishReset(): void
  /** @param since the id of the last event heard; what came after it is told at once, or a reset @returns the way out */
  subscribe(since: string | null, hear: (event: FeedEvent, missed: boolean) => void): () => void
}

const remembered = 4_096

/** @param self names this replica: events of another one's feed mean nothing here */
export function createFeed(self: string): Feed {
  const listeners = new Set<(event: FeedEvent, missed: boolean) => void>()
  const recent: FeedEvent[] = []
  let count = 0

  function add(make: (id: string) => FeedEvent): void {
    count += 1
    const event = make(`${self}.${count}`)
    recent.push(event)
    if (recent.length > remembered) recent.shift()
    for (const hear of listeners) hear(event, false)
  }

  const publishReset = () => add((id) => ({ kind: 'reset', id }))

  function missed(since: string | null): readonly FeedEvent[] {
    const [replica, number] = since?.split('.') ?? []
    const behind = count - Number(number)
    if (replica === self && behind >= 0 && behind <= recent.length)
      return recent.slice(recent.length - behind)
    return [{ kind: 'reset', id: `${self}.${count}` }]
  }

  return {
    publish(changed) {
      // Listeners remember verdicts about tokens; which route needs what, they do not hear from here.
      const what = changed.filter((one) => one.kind !== 'catalog')
      if (what.some((one) => one.kind === 'scopes')) publishReset()
      else if (what.length > 0) add((id) => ({ kind: 'forget', id, what }))
    },
    publishReset,
    subscribe(since, hear) {
      for (const event of missed(since)) hear(event, true)
      listeners.add(hear)
      return () => listeners.delete(hear)
    },
  }
}
