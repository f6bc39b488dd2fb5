// Single flight: calls about one secret that come at the same time share one question to Latchkey.
import type { Fence } from './fence.ts'

export type Flights<T> = { share(key: string, begin: (askedAt: number) => Promise<T>): Promise<T> }

/** A call joins only a question that is as good as its own: asked just now, with nothing forgotten since. */
const joinableMs = 250

export function createFlights<T>(fence: Pick<Fence, 'quietSince'>, monotonic: () => number): Flights<T> {
  const flying = new Map<string, { askedAt: number; promise: Promise<T> }>()
  return {
    share(key, begin) {
      const askedAt = monotonic()
      const present = flying.get(key)
      if (present && askedAt - present.askedAt < joinableMs && fence.quietSince(present.askedAt)) {
        return present.promise
      }
      const flight = { askedAt, promise: begin(askedAt) }
      flying.set(key, flight)
      const land = () => {
        if (flying.get(key) === flight) flying.delete(key)
      }
      flight.promise.then(land, land)
      return flight.promise
    },
  }
}
