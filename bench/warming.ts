// warm1MSeconds: how long a new replica takes to remember all live tokens, from listening to what its log says.
import { type Figure, notMeasured, ratioOf } from './lib/statistics.ts'
import { type World, warmed } from './lib/world.ts'

/** @param starts so many replicas, one after the other */
export async function warm1MSeconds(world: World, starts: number): Promise<Figure> {
  const seconds: number[] = []
  for (let start = 0; start < starts; start++) {
    const replica = await world.replica({ isCold: true, pinned: false })
    try {
      const ms = await warmed(replica)
      if (ms === null) return notMeasured('the replica did not warm its memory')
      seconds.push((ms / 1000) * (1_000_000 / world.tokens))
    } finally {
      await replica.stop()
    }
  }
  const tokens = world.tokens.toLocaleString('en')
  return ratioOf(
    seconds,
    undefined,
    world.tokens === 1_000_000 ? `${tokens} tokens` : `scaled up from ${tokens}`,
  )
}
