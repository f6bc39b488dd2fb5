// What is published, as far as it may be believed now: without the lease, nothing that memory has (verify/lease.ts). A
// route that became narrower a moment ago must not be passed as what it was.
import type { Live, Snapshot } from '../catalog/live.ts'
import { Problem } from '../http/problem.ts'
import type { Lease } from '../verify/lease.ts'

/** @returns what gives it at once where it can; rejects with Problem unavailable where it cannot be known */
export function createPublishedNow(live: Live, lease: Lease): () => Snapshot | Promise<Snapshot> {
  const wait = async (): Promise<Snapshot> => {
    if (!(await lease.wait())) throw unavailable()
    const snapshot = await live.current()
    if (lease.holds()) return snapshot
    throw unavailable()
  }
  return () => (lease.holds() ? live.peek() : null) ?? wait()
}

const unavailable = () =>
  new Problem('unavailable', 'This replica cannot know at the moment what is published. Try again.')
