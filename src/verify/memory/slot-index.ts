// A hash index from 32-bit hashes to small integers (slots): open addressing, linear probing, four bytes a cell.
// It does not know what a slot holds. A cell carries eight bits of the hash, which spares most looks at records
// that do not match; they prove nothing, so the caller compares whatever a probe returns in full.

/** A cell is 8 bits of hash and 24 of slot + 1 (zero means empty). */
export const MAX_SLOTS = 0xffffff - 1

const MIN_CELLS = 16
const MAX_LOAD = 3 / 4
const HASH_SPACE = 2 ** 32
const SHARD_SLOTS = 4096
/** Four standard deviations of what hashes put into one shard. */
const UNEVENNESS = 1 + 4 / Math.sqrt(SHARD_SLOTS)

/**
 * A table for each few thousand slots, by the upper bits of the hash: so growing moves some thousand slots at a
 * time. One table for a million would stop the process for a quarter of a second.
 */
export class SlotIndex {
  readonly #shards: readonly Shard[]
  readonly #shift: number

  /** `hashOf` must keep answering for every slot in the index: deletion and growth ask again. */
  constructor(maxSlots: number, hashOf: (slot: number) => number) {
    if (maxSlots > MAX_SLOTS) throw new RangeError(`at most ${MAX_SLOTS} slots can be indexed`)
    const bits = Math.max(0, Math.floor(Math.log2(maxSlots / SHARD_SLOTS)))
    const expected = maxSlots / 2 ** bits
    this.#shards = Array.from({ length: 2 ** bits }, () => new Shard(expected, bits, hashOf))
    this.#shift = 32 - bits
  }

  get bytes(): number {
    return this.#shards.reduce((sum, shard) => sum + shard.bytes, 0)
  }

  /** Where to look for this hash, and to add, move and remove slots that have it. */
  of(hash: number): Shard {
    // Shifting by 32 is shifting by nothing, in JavaScript.
    return this.#shards[this.#shift === 32 ? 0 : hash >>> this.#shift]!
  }

  /** Room for so many at once: growing step by step moves each slot twice. */
  reserve(slots: number): void {
    for (const shard of this.#shards) shard.reserve(slots / this.#shards.length)
  }

  clear(): void {
    for (const shard of this.#shards) shard.clear()
  }
}

export class Shard {
  readonly #hashOf: (slot: number) => number
  readonly #shift: number
  readonly #expectedCells: number
  #cells = new Uint32Array(MIN_CELLS)
  #scale = MIN_CELLS / HASH_SPACE
  #count = 0

  constructor(expectedSlots: number, shift: number, hashOf: (slot: number) => number) {
    this.#hashOf = hashOf
    this.#shift = shift
    this.#expectedCells = Math.max(MIN_CELLS, Math.ceil((expectedSlots * UNEVENNESS) / MAX_LOAD))
  }

  get bytes(): number {
    return this.#cells.byteLength
  }

  reserve(slots: number): void {
    const size = Math.min(this.#expectedCells, Math.ceil((slots * UNEVENNESS) / MAX_LOAD))
    if (size > this.#cells.length) this.#resize(size)
  }

  /** The first cell whose slot may have this hash, or -1. */
  first(hash: number): number {
    return this.#probe(this.#home(hash), hash)
  }

  /** The next such cell after `at`, or -1. */
  next(at: number, hash: number): number {
    return this.#probe(this.#after(at), hash)
  }

  slotAt(at: number): number {
    return (this.#cells[at]! & 0xffffff) - 1
  }

  add(slot: number, hash: number): void {
    if (this.#count + 1 > this.#cells.length * MAX_LOAD) this.#resize(this.#nextSize())
    this.#insert(slot, hash)
    this.#count++
  }

  /** Closes the gap instead of leaving a tombstone, so probes stay short however many tokens come and go. */
  remove(slot: number, hash: number): void {
    let hole = this.#cellOf(slot, hash)
    for (let at = this.#after(hole); this.#cells[at] !== 0; at = this.#after(at)) {
      const home = this.#home(this.#hashOf(this.slotAt(at)))
      if (this.#distance(home, at) < this.#distance(hole, at)) continue
      this.#cells[hole] = this.#cells[at]!
      hole = at
    }
    this.#cells[hole] = 0
    this.#count--
    const cells = this.#cells.length
    if (cells > MIN_CELLS && this.#count * 6 < cells) this.#resize(Math.max(MIN_CELLS, cells >>> 1))
  }

  /** What was slot `from` is now slot `to`; the hash is that of both. */
  move(from: number, to: number, hash: number): void {
    const at = this.#cellOf(from, hash)
    this.#cells[at] = cell(to, hash)
  }

  clear(): void {
    this.#cells = new Uint32Array(MIN_CELLS)
    this.#scale = MIN_CELLS / HASH_SPACE
    this.#count = 0
  }

  #probe(start: number, hash: number): number {
    const cells = this.#cells
    const tag = hash & 0xff
    let at = start
    for (let found = cells[at]!; found !== 0; found = cells[at]!) {
      if (found >>> 24 === tag) return at
      if (++at === cells.length) at = 0
    }
    return -1
  }

  /** The rest of the hash as a fraction of the table, so that any size will do. */
  #home(hash: number): number {
    return (((hash << this.#shift) >>> 0) * this.#scale) >>> 0
  }

  #after(at: number): number {
    return at + 1 === this.#cells.length ? 0 : at + 1
  }

  #distance(from: number, to: number): number {
    return to >= from ? to - from : to - from + this.#cells.length
  }

  #cellOf(slot: number, hash: number): number {
    for (let at = this.first(hash); at >= 0; at = this.next(at, hash)) {
      if (this.slotAt(at) === slot) return at
    }
    throw new Error(`slot ${slot} is not in the index`)
  }

  #insert(slot: number, hash: number): void {
    let at = this.#home(hash)
    while (this.#cells[at] !== 0) at = this.#after(at)
    this.#cells[at] = cell(slot, hash)
  }

  /** Ends at what a full store needs: powers of two would waste up to half of it. */
  #nextSize(): number {
    const larger = Math.ceil(this.#cells.length * 1.5)
    return this.#cells.length < this.#expectedCells ? Math.min(larger, this.#expectedCells) : larger
  }

  #resize(size: number): void {
    const old = this.#cells
    this.#cells = new Uint32Array(size)
    this.#scale = size / HASH_SPACE
    for (const found of old) {
      if (found === 0) continue
      const slot = (found & 0xffffff) - 1
      this.#insert(slot, this.#hashOf(slot))
    }
  }
}

function cell(slot: number, hash: number): number {
  return (((hash & 0xff) << 24) | (slot + 1)) >>> 0
}
