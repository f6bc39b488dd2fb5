// Which slot makes room for the next: the CLOCK algorithm, one bit for each slot. A use sets the bit; the hand
// clears bits on its way and takes the first slot without one. New records start without: a warm-up that nobody
// asks for does not drive out what is in use, and the hand has just passed them, so they come last.

export class Clock {
  readonly #capacity: number
  readonly #used: Int32Array
  #hand = 0

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#used = new Int32Array((capacity + 31) >>> 5)
  }

  get bytes(): number {
    return this.#used.byteLength
  }

  touch(slot: number): void {
    this.#used[slot >>> 5]! |= 1 << (slot & 31)
  }

  /** The next slot to go, when all are taken. Its bit is clear. */
  victim(): number {
    for (;;) {
      const slot = this.#hand
      this.#hand = slot + 1 === this.#capacity ? 0 : slot + 1
      if (!this.#isUsed(slot)) return slot
      this.#used[slot >>> 5]! &= ~(1 << (slot & 31))
    }
  }

  /** The record of slot `from` now lies in `to`, and `from` is empty. */
  move(from: number, to: number): void {
    const used = this.#isUsed(from)
    this.#used[from >>> 5]! &= ~(1 << (from & 31))
    if (used && from !== to) this.touch(to)
    else this.#used[to >>> 5]! &= ~(1 << (to & 31))
  }

  clear(): void {
    this.#used.fill(0)
    this.#hand = 0
  }

  #isUsed(slot: number): boolean {
    return (this.#used[slot >>> 5]! & (1 << (slot & 31))) !== 0
  }
}
