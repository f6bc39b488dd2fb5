// warm1MSeconds: how long a new replica takes to remember all live tokens, from listening to what its log says.
import { type Figure, notMeasured } from './lib/statistics.ts'
import type { World } from './lib/world.ts'

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
