// Subjects by number: each distinct one kept once, counted, outside the JavaScript heap. There may be as many
// subjects as tokens, and a million small strings would be marked one by one at every full collection.
// How strings lie in memory is string-log.ts; who refers to a subject is the caller's.

import { randomInt } from 'node:crypto'
import { SlotIndex } from './slot-index.ts'
import { StringLog } from './string-log.ts'

// Three words for each id: where its string is, how many refer to it, its hash. An id with no references is free,
// and its first word is then the next free id + 1.
const STRIDE = 3
const POSITION = 0
const REFERENCES = 1
const HASH = 2
const INITIAL_IDS = 16

export class Subjects {
  readonly #index: SlotIndex
  readonly #log = new StringLog({
    isAt: (id, position) => this.references(id) > 0 && this.#columns[id * STRIDE + POSITION] === position,
    moved: (id, position) => {
      this.#columns[id * STRIDE + POSITION] = position
    },
  })
  // Names may be chosen by users: without a secret in the hash, someone could choose a thousand that collide.
  readonly #seed = randomInt(2 ** 31)
  #columns = new Uint32Array(INITIAL_IDS * STRIDE)
  #used = 0
  #nextFree = 0
  #size = 0

  constructor(maxSubjects: number) {
    this.#index = new SlotIndex(maxSubjects, (id) => this.#columns[id * STRIDE + HASH]!)
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#index.bytes + this.#columns.byteLength + this.#log.bytes
  }

  /** The id of a subject that someone refers to, or -1. */
  find(subject: string): number {
    return this.#find(subject, this.#hash(subject))
  }

  /** The id of this subject, new if nobody refers to it yet; to be released. */
  acquire(subject: string): number {
    const hash = this.#hash(subject)
    const known = this.#find(subject, hash)
    if (known >= 0) {
      this.#columns[known * STRIDE + REFERENCES]!++
      return known
    }
    const id = this.#nextFree > 0 ? this.#nextFree - 1 : this.#used
    const position = this.#log.append(id, subject)
    this.#take(id)
    this.#columns[id * STRIDE + POSITION] = position
    this.#columns[id * STRIDE + REFERENCES] = 1
    this.#columns[id * STRIDE + HASH] = hash
    this.#index.of(hash).add(id, hash)
    this.#size++
    return id
  }

  references(id: number): number {
    return this.#columns[id * STRIDE + REFERENCES]!
  }

  read(id: number): string {
    return this.#log.read(this.#columns[id * STRIDE + POSITION]!)
  }

  release(id: number): void {
    const at = id * STRIDE
    if (--this.#columns[at + REFERENCES]! > 0) return
    const hash = this.#columns[at + HASH]!
    this.#index.of(hash).remove(id, hash)
    this.#log.free(this.#columns[at + POSITION]!)
    this.#columns[at + POSITION] = this.#nextFree
    this.#nextFree = id + 1
    this.#size--
  }

  clear(): void {
    this.#index.clear()
    this.#log.clear()
    this.#columns = new Uint32Array(INITIAL_IDS * STRIDE)
    this.#used = this.#nextFree = this.#size = 0
  }

  #find(subject: string, hash: number): number {
    const index = this.#index.of(hash)
    for (let at = index.first(hash); at >= 0; at = index.next(at, hash)) {
      const id = index.slotAt(at)
      if (this.#columns[id * STRIDE + HASH] === hash && this.read(id) === subject) return id
    }
    return -1
  }

  #hash(subject: string): number {
    let hash = this.#seed
    for (let i = 0; i < subject.length; i++) {
      hash = Math.imul(hash ^ subject.charCodeAt(i), 0x5bd1e995)
      hash ^= hash >>> 15
    }
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    return (hash ^ (hash >>> 16)) >>> 0
  }

  #take(id: number): void {
    if (this.#nextFree > 0) {
      this.#nextFree = this.#columns[id * STRIDE + POSITION]!
      return
    }
    this.#used++
    if (this.#used * STRIDE <= this.#columns.length) return
    const larger = new Uint32Array(Math.ceil(this.#used * 1.5) * STRIDE)
    larger.set(this.#columns)
    this.#columns = larger
  }
}
