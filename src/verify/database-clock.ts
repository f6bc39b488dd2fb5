// The database's clock, by which tokens end on all replicas: read with each heartbeat, and carried on by the monotonic
// clock in between.

export type DatabaseClock = {
  /** @param databaseNow what it said, epoch milliseconds @param askedAt when it was asked, monotonic milliseconds */
  read(databaseNow: number, askedAt: number): void
  /** Epoch milliseconds; until it was read, by this machine's clock. */
  now(): number
}

export function createDatabaseClock(monotonic: () => number): DatabaseClock {
  let offset: number | null = null
  return {
    read(databaseNow, askedAt) {
      // It was read at some time since then, and most times soon: a commit that was slow must not move ours.
      const [least, most] = [databaseNow - monotonic(), databaseNow - askedAt]
      offset = Math.min(most, Math.max(least, offset ?? (least + most) / 2))
    },
    now: () => (offset === null ? Date.now() : Math.round(monotonic() + offset)),
  }
}
