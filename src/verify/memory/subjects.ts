// A subject within its token's record: as bytes of Latin-1 in the record itself, on the cache lines that a check reads
// anyway. One that is longer than the room there, or written otherwise, is kept once, beside, and counted.

import { Interned } from './interned.ts'

/** In place of a length: the number of a subject that lies elsewhere. */
const ELSEWHERE = 0xff

export class Subjects {
  readonly #room: number
  readonly #elsewhere = new Interned<string>()

  /** @param room bytes in each record, 4 to 254 */
  constructor(room: number) {
    this.#room = room
  }

  /** How many distinct ones did not fit. */
  get size(): number {
    return this.#elsewhere.size
  }

  /** @returns what `read` and `release` want to know, 8 bits; to be released */
  write(bytes: Buffer, at: number, subject: string): number {
    if (subject.length <= this.#room && writeLatin1(bytes, at, subject)) return subject.length
    const number = this.#elsewhere.acquire(subject, String, subject)
    bytes.writeUInt32LE(number, at)
    return ELSEWHERE
  }

  read(bytes: Buffer, at: number, code: number): string {
    if (code === ELSEWHERE) return this.#elsewhere.value(bytes.readUInt32LE(at))
    return bytes.toString('latin1', at, at + code)
  }

  release(bytes: Buffer, at: number, code: number): void {
    if (code === ELSEWHERE) this.#elsewhere.release(bytes.readUInt32LE(at))
  }

  clear(): void {
    this.#elsewhere.clear()
  }
}

/** Character by character: for a text this short, what the buffer's own way costs before it begins is ten times as much. */
function writeLatin1(bytes: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0xff) return false
    bytes[at + i] = code
  }
  return true
}

/** 16 bits of hash, for looking through many: it spares most comparisons, and proves nothing. */
export function markOf(subject: string): number {
  let hash = subject.length
  for (let i = 0; i < subject.length; i++) {
    hash = Math.imul(hash ^ subject.charCodeAt(i), 0x5bd1e995)
    hash ^= hash >>> 15
  }
  return (hash ^ (hash >>> 16)) & 0xffff
}
