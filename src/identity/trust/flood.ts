// Keeps those who present what is worthless from being much work: each address may fail so often, then waits.
import { LRUCache } from 'lru-cache'

export type Flood = {
  /** Whether one more try is admitted; it counts until it is given back. */
  take(address: string): boolean
  /** It was a good one. */
  giveBack(address: string): void
}

const mostAddresses = 10_000

/** @param burst so many at once @param perSecond so many more as time goes by @param now milliseconds */
export function createFlood(burst: number, perSecond: number, now: () => number): Flood {
  const buckets = new LRUCache<string, { left: number; at: number }>({ max: mostAddresses })

  function refilled(address: string) {
    const bucket = buckets.get(address) ?? { left: burst, at: now() }
    const elapsed = Math.max(0, now() - bucket.at)
    bucket.left = Math.min(burst, bucket.left + (elapsed * perSecond) / 1_000)
    bucket.at = now()
    buckets.set(address, bucket)
    return bucket
  }

  return {
    take(address) {
      const bucket = refilled(address)
      if (bucket.left < 1) return false
      bucket.left -= 1
      return true
    },
    giveBack(address) {
      refilled(address).left += 1
    },
  }
}
