// From when to when a replica held no lease, so that its checks were refused: told once at each end, for whoever reads
// the log after an outage. What a lease is, is lease.ts's.
import { type GrantedLease, leaseMs } from './lease.ts'

export type WatchedLease = GrantedLease & {
  /** To be called now and then: that a lease runs out, nobody says. */
  look(): void
}

export type LeaseTelling = {
  lost(): void
  /** @param lostForMs from when it ran out, whenever that was noticed */
  back(lostForMs: number): void
}

export function watchLease(lease: GrantedLease, monotonic: () => number, tell: LeaseTelling): WatchedLease {
  let end = Number.NEGATIVE_INFINITY
  let lostAt: number | null = null
  function look(): void {
    if (end === Number.NEGATIVE_INFINITY || lostAt !== null || lease.holds()) return
    lostAt = Math.min(end, monotonic())
    tell.lost()
  }
  return {
    ...lease,
    look,
    grant(sentAt, clockAtSent) {
      look()
      end = Math.max(end, sentAt + leaseMs)
      lease.grant(sentAt, clockAtSent)
      if (lostAt === null || !lease.holds()) return
      tell.back(Math.round(monotonic() - lostAt))
      lostAt = null
    },
    // Given up at a stop, it is not lost.
    drop() {
      end = Number.NEGATIVE_INFINITY
      lostAt = null
      lease.drop()
    },
  }
}
