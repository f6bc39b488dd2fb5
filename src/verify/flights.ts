// Reads from the database on behalf of many: requests for one secret share a read, reads for many secrets share a
// query. Bounded: what cannot be read soon is refused, so that misses never take the hits down with them.
import { Problem } from '../http/problem.ts'
import type { Facts } from '../policy/facts.ts'
import type { Fence } from './fence.ts'
import type { Sabotage } from './replicas.ts'

/** One query for many digests; resolves to what was found, by digest as a latin1 string. */
export type ReadFacts = (digests: readonly Buffer[]) => Promise<ReadonlyMap<string, Facts>>

export type Flights = { read(key: string, digests: readonly Buffer[]): Promise<Facts | null> }

type Waiting = {
  readonly digests: readonly Buffer[]
  readonly since: number
  readonly resolve: (facts: Facts | null) => void
  readonly reject: (error: Error) => void
}

const mostInQuery = 128
const queriesAtOnce = 2
const mostWaiting = 4_000
const longestWaitMs = 700

export function createFlights(
  readFacts: ReadFacts,
  fence: Fence,
  monotonic: () => number,
  sabotage: ReadonlySet<Sabotage>,
): Flights {
  const shared = new Map<string, { mark: number; promise: Promise<Facts | null> }>()
  const queue: Waiting[] = []
  let flying = 0
  let scheduled = false

  function schedule(): void {
    if (scheduled || flying >= queriesAtOnce || queue.length === 0) return
    scheduled = true
    setImmediate(fly)
  }

  async function fly(): Promise<void> {
    scheduled = false
    const batch = freshOnes(queue.splice(0, mostInQuery))
    if (batch.length === 0) return schedule()
    flying += 1
    schedule()
    try {
      const found = await readFacts(batch.flatMap((one) => one.digests))
      for (const one of batch) one.resolve(pick(found, one.digests))
    } catch (error) {
      for (const one of batch) one.reject(error as Error)
    } finally {
      flying -= 1
      schedule()
    }
  }

  function freshOnes(batch: readonly Waiting[]): Waiting[] {
    const now = monotonic()
    return batch.filter((one) => {
      const fresh = now - one.since < longestWaitMs
      if (!fresh) one.reject(overloaded())
      return fresh
    })
  }

  function enqueue(digests: readonly Buffer[]): Promise<Facts | null> {
    if (queue.length >= mostWaiting) return Promise.reject(overloaded())
    return new Promise((resolve, reject) => {
      queue.push({ digests, since: monotonic(), resolve, reject })
      schedule()
    })
  }

  return {
    read(key, digests) {
      const present = shared.get(key)
      // A request that began after a change must not be answered by a read that began before it.
      if (present && (sabotage.has('shared-flights') || fence.unchangedSince(present.mark)))
        return present.promise
      const flight = { mark: fence.mark(), promise: enqueue(digests) }
      shared.set(key, flight)
      const over = () => {
        if (shared.get(key) === flight) shared.delete(key)
      }
      flight.promise.then(over, over)
      return flight.promise
    },
  }
}

function pick(found: ReadonlyMap<string, Facts>, digests: readonly Buffer[]): Facts | null {
  for (const digest of digests) {
    const facts = found.get(digest.toString('latin1'))
    if (facts) return facts
  }
  return null
}

function overloaded(): Problem {
  return new Problem('unavailable', 'Too many tokens are being looked up at once. Try again.')
}
