// For how long this replica may answer "active": the lease. It counts on the monotonic clock from before the heartbeat
// that earned it was sent, so a frozen, cut off or slow replica finds it over. Who grants it is replicas.ts (or, with
// one process and no other, nobody needs to).

export type Lease = {
  /** To be asked before memory is believed, and again after anything was waited for. */
  holds(): boolean
  /** Resolves to whether the lease is held, at once or within the time a request is worth holding up. */
  wait(): Promise<boolean>
}

export type GrantedLease = Lease & {
  /** @param sentAt when the heartbeat was sent, monotonic milliseconds @param clockAtSent the same by the clock */
  grant(sentAt: number, clockAtSent: number): void
  drop(): void
}

export const leaseMs = 2_000
export const holdMs = 1_000
/** More requests than these are not worth holding: they are told at once. */
const mostWaiting = 10_000

/** The two clocks may part by so much, which is more than they drift or are corrected by at once. */
const mostApartMs = 1_000

/**
 * A machine that sleeps may stop the monotonic clock meanwhile; afterwards the other one is ahead, and what the lease
 * still says is not to be believed.
 * @param monotonic milliseconds that never go back @param clock milliseconds of the day's time
 */
export function createLease(monotonic: () => number, clock: () => number = Date.now): GrantedLease {
  let until = Number.NEGATIVE_INFINITY
  let apart = 0
  let waiting = new Set<(held: boolean) => void>()
  const holds = () => {
    const at = monotonic()
    return at < until && Math.abs(clock() - at - apart) < mostApartMs
  }
  return {
    holds,
    grant(sentAt, clockAtSent) {
      until = Math.max(until, sentAt + leaseMs)
      apart = clockAtSent - sentAt
      if (!holds()) return
      const released = waiting
      waiting = new Set()
      for (const resolve of released) resolve(true)
    },
    drop() {
      until = Number.NEGATIVE_INFINITY
    },
    wait() {
      if (holds()) return Promise.resolve(true)
      if (waiting.size >= mostWaiting) return Promise.resolve(false)
      return new Promise((resolve) => {
        const settle = (held: boolean) => {
          clearTimeout(timer)
          waiting.delete(settle)
          resolve(held)
        }
        const timer = setTimeout(() => settle(holds()), holdMs)
        waiting.add(settle)
      })
    },
  }
}

/** One process is its own witness: what it forgets is forgotten everywhere. */
export const soleLease: Lease = { holds: () => true, wait: () => Promise.resolve(true) }
