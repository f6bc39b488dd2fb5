// A hash index from 32-bit hashes to small integers (slots): open addressing, linear probing, four bytes a cell.
// It does not know what a slot holds. A cell carries eight bits of the hash, which spares most looks at records
// that do not match; they prove nothing, so the caller compares whatever a probe returns in full.

/** A cell is 8 bits of hash and 24 of slot + 1 (zero means empty). */
export const MAX_SLOTS = 0xffffff - 1

const MIN_CELLS = 16
const MAX_LOAD = 2 / 3
const HASH_SPACE = 2 ** 32

export class SlotIndex {
  readonly #hashOf: (slot: number) => number
  readonly #maxCells: number
  #cells = new Uint32Array(MIN_CELLS)
  #scale = MIN_CELLS / HASH_SPACE
  #count = 0

  /** `hashOf` must keep answering for every slot in the index: deletion and growth ask again. */
  constructor(maxSlots: number, hashOf: (slot: number) => number) {
    if (maxSlots > MAX_SLOTS) throw new RangeError(`at most ${MAX_SLOTS} slots can be indexed`)
    this.#hashOf = hashOf
    // Exactly as large as its bound needs: powers of two would waste up to half of it.
    this.#maxCells = Math.max(MIN_CELLS, Math.ceil(maxSlots / MAX_LOAD) + 1)
  }

  get bytes(): number {
    return this.#cells.byteLength
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
    const cells = this.#cells.length
    if (this.#count + 1 > cells * MAX_LOAD) this.#resize(Math.min(Math.ceil(cells * 1.5), this.#maxCells))
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

  /** The hash as a fraction of the table: any size will do, and growing keeps neighbours neighbours. */
  #home(hash: number): number {
    return ((hash >>> 0) * this.#scale) >>> 0
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

  /**
   * In the order of slots, not of cells: then the records are read one after the other, and a million take tens of
   * milliseconds instead of hundreds.
   */
  #resize(size: number): void {
    const live = this.#liveSlots()
    this.#cells = new Uint32Array(size)
    this.#scale = size / HASH_SPACE
    for (let slot = 0; slot < live.length; slot++) {
      if (live[slot] === 1) this.#insert(slot, this.#hashOf(slot))
    }
  }

  #liveSlots(): Uint8Array {
    let last = 0
    for (const found of this.#cells) last = Math.max(last, found & 0xffffff)
    const live = new Uint8Array(last)
    for (const found of this.#cells) if (found !== 0) live[(found & 0xffffff) - 1] = 1
    return live
  }
}

function cell(slot: number, hash: number): number {
  return (((hash & 0xff) << 24) | (slot + 1)) >>> 0
}
