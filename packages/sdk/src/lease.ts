// For how long verdicts may be answered from memory: as long as Latchkey keeps telling us what to forget. Each beat of
// its stream extends the lease from when the beat was *sent*, so one that was held up on the way brings less, or nothing.

export type Lease = {
  holds(): boolean
  /** Milliseconds that a beat brings; a replica of Latchkey that did not hear of a change is silent after as long. */
  readonly lengthMs: number
  /** A connection is about to be asked for. Its beats come from one clock, which is not ours. */
  opening(): void
  /** @param at when it was sent, milliseconds of the sender's clock @param lengthMs for how long it counts */
  beat(at: number, lengthMs: number): void
  drop(): void
}

/** How much two steady clocks may run apart: each is slewed by at most 500 ppm. */
const drift = 0.001
const usualLengthMs = 2_000
/** Our own two clocks may part by so much on one connection. */
const mostApartMs = 1_000

/**
 * A machine that sleeps may stop the monotonic clock meanwhile; the other one is ahead then, and nothing is believed until
 * another connection.
 * @param monotonic milliseconds that never go back @param clock milliseconds of the day's time
 */
export function createLease(monotonic: () => number, clock: () => number = Date.now): Lease {
  let until = Number.NEGATIVE_INFINITY
  let lengthMs = usualLengthMs
  let openedAt = 0
  let firstAt: number | null = null
  let apart = clock() - monotonic()

  /** The first beat was sent after we asked for it, and a later one as much later as the sender's clock says. */
  function sentAt(at: number): number {
    firstAt ??= at
    return Math.min(openedAt + (at - firstAt) * (1 - drift), monotonic())
  }

  const haveParted = () => Math.abs(clock() - monotonic() - apart) >= mostApartMs

  return {
    holds: () => monotonic() < until && !haveParted(),
    get lengthMs() {
      return lengthMs
    },
    opening() {
      // What the connection before has brought does not outlive the sleep either.
      if (haveParted()) until = Number.NEGATIVE_INFINITY
      openedAt = monotonic()
      apart = clock() - openedAt
      firstAt = null
    },
    beat(at, length) {
      lengthMs = length
      until = Math.max(until, sentAt(at) + length)
    },
    drop() {
      until = Number.NEGATIVE_INFINITY
    },
  }
}
