// The records themselves: a dense array of fixed size records, slots 0 to size - 1, in chunks of typed arrays.
// It packs and unpacks words and knows no key lookup, no counting of references and no eviction: that is store.ts.
// All that a check reads and writes of a token is in its record: with tokens drawn at random out of a million, each
// further place costs a miss of the caches and of the page tables, half a microsecond together (decision 0024).

import type { Facts, TokenType } from '../../policy/facts.ts'
import { markOf, Subjects } from './subjects.ts'
import { unpackTokenId } from './token-id.ts'

// Chunks, so that growing never copies a record and a store for a thousand tokens stays small.
const CHUNK_BITS = 11
const CHUNK = 1 << CHUNK_BITS

// 32 words: two cache lines, which the processor fetches as a pair.
const RECORD_BITS = 5
const RECORD = 1 << RECORD_BITS
const KEY = 0
const TOKEN_ID = 8
const CREATED = 12
const EXPIRE = 13
/** The upper 16 bits of both times. */
const TIMES = 14
/** The grant in the lower 24 bits, then the flags. */
const GRANT = 15
/** The origin in the lower 24 bits, then what Subjects knows the subject by. */
const ORIGIN = 16
const USES = 17
/** The lower 32 bits of epoch milliseconds: 49 days, for what is taken within seconds. */
const USED_AT = 18
const CIRCUMSTANCES = 19
/** To the end of the record: 48 bytes. */
const SUBJECT_AT = 20 * 4

const SUBJECT_SHIFT = 24
const TYPE_SHIFT = 24
const STATE_SHIFT = 26
const ENDS_FLAG = 1 << 29
const ENDS_OTHER_FLAG = 1 << 30

// By name, so that the compiler asks for a forgotten one. Zero, what fresh memory holds, does not mean active.
const typeCodes: Record<TokenType, number> = { personal: 0, service: 1, federated: 2 }
const stateCodes: Record<Facts['state'], number> = {
  revoked: 0,
  disabled: 1,
  subject_disabled: 2,
  active: 3,
  rotated: 4,
}
const types = byCode(typeCodes)
const states = byCode(stateCodes)

// Times are 48 bits, good until the year 10889; all ones mean never.
const NEVER = 2 ** 48 - 1

export class Records {
  #words: Int32Array[] = []
  /** The same memory. */
  #bytes: Buffer[] = []
  /** A hash of each subject, apart: looking for all tokens of one reads 2 bytes for each instead of a cache line. */
  #marks: Uint16Array[] = []
  readonly #subjects = new Subjects(RECORD * 4 - SUBJECT_AT)
  /** Few secrets have an end of their own (only those rotated out, during their grace period). */
  readonly #ends = new Map<number, number>()
  /** As few have another's to end. */
  readonly #endsVersions = new Map<number, number>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#words.length * CHUNK * (RECORD * 4 + 2)
  }

  /** How many distinct subjects lie outside of the records. */
  get subjectsElsewhere(): number {
    return this.#subjects.size
  }

  /** Adds a slot at the end; its content is to be written. */
  grow(): number {
    if (this.#size === this.#words.length << CHUNK_BITS) {
      const words = new Int32Array(CHUNK << RECORD_BITS)
      this.#words.push(words)
      this.#bytes.push(Buffer.from(words.buffer))
      this.#marks.push(new Uint16Array(CHUNK))
    }
    return this.#size++
  }

  /** Drops the last slot. A whole spare chunk is kept, so that a size going up and down at its edge costs nothing. */
  shrink(): void {
    this.#size--
    this.#ends.delete(this.#size)
    this.#endsVersions.delete(this.#size)
    if (this.#words.length << CHUNK_BITS < this.#size + 2 * CHUNK) return
    for (const chunks of [this.#words, this.#bytes, this.#marks]) chunks.pop()
  }

  /** @param grant and `origin`: what the record refers to by number */
  write(
    slot: number,
    key: Int32Array,
    tokenId: Int32Array,
    facts: Facts,
    grant: number,
    origin: number,
  ): void {
    const created = facts.createdAt
    const expire = facts.expireAt ?? NEVER
    const words = this.#wordsOf(slot)
    const at = wordAt(slot)
    words.set(key, at + KEY)
    words.set(tokenId, at + TOKEN_ID)
    words[at + CREATED] = created
    words[at + EXPIRE] = expire
    words[at + TIMES] = (high(created) << 16) | high(expire)
    words[at + GRANT] =
      grant |
      (typeCodes[facts.type] << TYPE_SHIFT) |
      (stateCodes[facts.state] << STATE_SHIFT) |
      (facts.endsAt === null ? 0 : ENDS_FLAG) |
      (facts.endsVersion === null ? 0 : ENDS_OTHER_FLAG)
    keep(this.#ends, slot, facts.endsAt)
    keep(this.#endsVersions, slot, facts.endsVersion)
    const subject = this.#subjects.write(this.#bytesOf(slot), subjectAt(slot), facts.subject)
    words[at + ORIGIN] = origin | (subject << SUBJECT_SHIFT)
    words[at + USES] = 0
    words[at + CIRCUMSTANCES] = 0
    this.#marks[slot >>> CHUNK_BITS]![slot & (CHUNK - 1)] = markOf(facts.subject)
  }

  /** What was written is needed no more; its words are still there. */
  release(slot: number): void {
    this.#subjects.release(this.#bytesOf(slot), subjectAt(slot), this.#subjectCode(slot))
  }

  /**
   * @param at epoch milliseconds
   * @param circumstances a number for them; 0: none, and those put down before stay
   * @returns those put down before, 0: none
   */
  countUse(slot: number, at: number, circumstances: number): number {
    const words = this.#wordsOf(slot)
    const record = wordAt(slot)
    words[record + USED_AT] = at
    words[record + USES]! += 1
    const before = words[record + CIRCUMSTANCES]!
    if (circumstances !== 0) words[record + CIRCUMSTANCES] = circumstances
    return before
  }

  uses(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot) + USES]!
  }

  /** What was counted, which begins anew, and so do the circumstances. @param now within 24 days of the last use, either way */
  takeUses(slot: number, now: number): { count: number; at: number; circumstances: number } {
    const words = this.#wordsOf(slot)
    const record = wordAt(slot)
    const [count, circumstances] = [words[record + USES]!, words[record + CIRCUMSTANCES]!]
    words[record + USES] = 0
    words[record + CIRCUMSTANCES] = 0
    return { count, at: now - ((now - words[record + USED_AT]!) | 0), circumstances }
  }

  copy(from: number, to: number): void {
    this.#wordsOf(to).set(this.#wordsOf(from).subarray(wordAt(from), wordAt(from) + RECORD), wordAt(to))
    this.#marks[to >>> CHUNK_BITS]![to & (CHUNK - 1)] = this.#marks[from >>> CHUNK_BITS]![from & (CHUNK - 1)]!
    for (const one of [this.#ends, this.#endsVersions]) keep(one, to, one.get(from) ?? null)
  }

  clear(): void {
    this.#words = []
    this.#bytes = []
    this.#marks = []
    for (const part of [this.#subjects, this.#ends, this.#endsVersions]) part.clear()
    this.#size = 0
  }

  /** The last slot of this subject below `end`, or -1. A million are looked through in a millisecond. */
  lastOf(subject: string, end: number): number {
    const mark = markOf(subject)
    for (let chunk = (end - 1) >> CHUNK_BITS, below = end; chunk >= 0; below = chunk-- << CHUNK_BITS) {
      const marks = this.#marks[chunk]!
      const first = chunk << CHUNK_BITS
      let at = below - first
      while (at > 0) {
        at = marks.lastIndexOf(mark, at - 1)
        if (at < 0) break
        if (this.subject(first + at) === subject) return first + at
      }
    }
    return -1
  }

  /** All 256 bits: a prefix that matches proves nothing. */
  hasKey(slot: number, key: Int32Array): boolean {
    const words = this.#wordsOf(slot)
    const at = wordAt(slot)
    return (
      words[at] === key[0] &&
      words[at + 1] === key[1] &&
      words[at + 2] === key[2] &&
      words[at + 3] === key[3] &&
      words[at + 4] === key[4] &&
      words[at + 5] === key[5] &&
      words[at + 6] === key[6] &&
      words[at + 7] === key[7]
    )
  }

  hasTokenId(slot: number, id: Int32Array): boolean {
    const words = this.#wordsOf(slot)
    const at = wordAt(slot) + TOKEN_ID
    return (
      words[at] === id[0] && words[at + 1] === id[1] && words[at + 2] === id[2] && words[at + 3] === id[3]
    )
  }

  keyHash(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot)]!
  }

  tokenIdHash(slot: number): number {
    const words = this.#wordsOf(slot)
    const at = wordAt(slot) + TOKEN_ID
    return hashTokenId(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!)
  }

  subject(slot: number): string {
    return this.#subjects.read(this.#bytesOf(slot), subjectAt(slot), this.#subjectCode(slot))
  }

  origin(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot) + ORIGIN]! & 0xffffff
  }

  grant(slot: number): number {
    return this.#flags(slot) & 0xffffff
  }

  type(slot: number): TokenType {
    return types[(this.#flags(slot) >>> TYPE_SHIFT) & 3]!
  }

  state(slot: number): Facts['state'] {
    return states[(this.#flags(slot) >>> STATE_SHIFT) & 7]!
  }

  tokenId(slot: number): string {
    const words = this.#wordsOf(slot)
    const at = wordAt(slot) + TOKEN_ID
    return unpackTokenId(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!)
  }

  createdAt(slot: number): number {
    const words = this.#wordsOf(slot)
    const at = wordAt(slot)
    return (words[at + TIMES]! >>> 16) * 2 ** 32 + (words[at + CREATED]! >>> 0)
  }

  expireAt(slot: number): number | null {
    const words = this.#wordsOf(slot)
    const at = wordAt(slot)
    const time = (words[at + TIMES]! & 0xffff) * 2 ** 32 + (words[at + EXPIRE]! >>> 0)
    return time === NEVER ? null : time
  }

  endsAt(slot: number): number | null {
    return this.#flags(slot) & ENDS_FLAG ? this.#ends.get(slot)! : null
  }

  endsVersion(slot: number): number | null {
    return this.#flags(slot) & ENDS_OTHER_FLAG ? this.#endsVersions.get(slot)! : null
  }

  #wordsOf(slot: number): Int32Array {
    return this.#words[slot >>> CHUNK_BITS]!
  }

  #bytesOf(slot: number): Buffer {
    return this.#bytes[slot >>> CHUNK_BITS]!
  }

  #subjectCode(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot) + ORIGIN]! >>> SUBJECT_SHIFT
  }

  #flags(slot: number): number {
    return this.#wordsOf(slot)[wordAt(slot) + GRANT]!
  }
}

/** All 128 bits, well mixed: half of a UUIDv7 is random, but ids made otherwise must not pile up either. */
export function hashTokenId(a: number, b: number, c: number, d: number): number {
  let hash = Math.imul(d ^ (d >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ c ^ ((hash ^ c) >>> 15), 0xc2b2ae35)
  hash = Math.imul(hash ^ b ^ ((hash ^ b) >>> 13), 0x85ebca6b)
  hash = Math.imul(hash ^ a ^ ((hash ^ a) >>> 15), 0xc2b2ae35)
  return hash ^ (hash >>> 16)
}

export function assertTime(time: number | null): void {
  if (time === null || (Number.isInteger(time) && time >= 0 && time < NEVER)) return
  throw new RangeError('a time is a whole number of epoch milliseconds before the year 10889')
}

function keep(numbers: Map<number, number>, slot: number, number: number | null): void {
  if (number === null) numbers.delete(slot)
  else numbers.set(slot, number)
}

function byCode<Name extends string>(codes: Record<Name, number>): readonly Name[] {
  const names = Object.keys(codes) as Name[]
  return names.sort((a, b) => codes[a] - codes[b])
}

const wordAt = (slot: number) => (slot & (CHUNK - 1)) << RECORD_BITS
const subjectAt = (slot: number) => wordAt(slot) * 4 + SUBJECT_AT
const high = (time: number) => Math.floor(time / 2 ** 32)
