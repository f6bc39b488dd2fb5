// warm1MSeconds: how long a new replica takes to remember all live tokens, from listening to what its log says.
import { setTimeout as wait } from 'node:timers/promises'
import { type Figure, notMeasured } from './lib/statistics.ts'
import type { Replica, World } from './lib/world.ts'

const longestMs = 60_000

/** Resolves to how long it took after it was ready; null: this build does not warm its memory. */
export async function warmed(replica: Replica): Promise<number | null> {
  const start = performance.now()
  // A build without it says nothing; one with it says so within seconds, whatever there is to load.
  for (; performance.now() - start < longestMs; await wait(10)) {
    if (replica.child.output().includes('memory is warm')) return performance.now() - start
    if (replica.child.output().includes('could not be warmed')) return null
  }
  return null
}

export function warm1MSeconds(world: World, ms: number | null): Figure {
  if (ms === null) return notMeasured('the replica did not warm its memory')
  const seconds = ms / 1000
  if (world.tokens === 1_000_000) return { value: seconds, n: 1, note: '1,000,000 tokens' }
  const scaled = (seconds * 1_000_000) / world.tokens
  return {
    value: scaled,
    n: 1,
    note: `scaled up from ${world.tokens.toLocaleString('en')} in ${seconds.toFixed(2)} s`,
  }
}
