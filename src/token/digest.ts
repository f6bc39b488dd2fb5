// HMAC-SHA-256 (RFC 2104, FIPS 180-4) of a secret, as eight words, for the hot path: the two key blocks are hashed once per key,
// and nothing is allocated per call. node:crypto makes a native object for each HMAC, which costs twice the time and
// leaves work for the garbage collector; a test holds this against node:crypto. Which key is key-ring.ts's business.
import { createHash } from 'node:crypto'

export type Digester = {
  /** Writes the 32 bytes as eight little-endian words. `secret` is ASCII, at most 119 characters. */
  into(secret: string, words: Int32Array): void
}

const blockBytes = 64
const longest = 2 * blockBytes - 9

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4 §4.2.2).
const constants = Int32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)))
const initial = Int32Array.from(primes(8), (prime) => fraction(Math.sqrt(prime)))

export function createDigester(key: Buffer): Digester {
  const padded = Buffer.alloc(blockBytes)
  ;(key.length > blockBytes ? createHash('sha256').update(key).digest() : key).copy(padded)
  const inner = midstate(padded, 0x36)
  const outer = midstate(padded, 0x5c)
  const schedule = new Int32Array(64)
  const state = new Int32Array(8)
  return {
    into(secret, words) {
      const { length } = secret
      if (length > longest) throw new RangeError('The secret is too long')
      copy(inner, state)
      let at = 0
      for (; length - at >= blockBytes; at += blockBytes) {
        for (let word = 0; word < 16; word++) schedule[word] = bigEndian(secret, at + word * 4)
        compress(state, schedule)
      }
      lastBlocks(secret, at, state, schedule)
      copy(state, schedule)
      copy(outer, state)
      // Eight words of the inner hash, the end mark, and the length of key block and hash together in bits.
      schedule[8] = 0x80000000 | 0
      for (let word = 9; word < 15; word++) schedule[word] = 0
      schedule[15] = (blockBytes + 32) * 8
      compress(state, schedule)
      for (let word = 0; word < 8; word++) words[word] = swapped(state[word]!)
    },
  }
}

/** Eight words; `set` and `fill` leave compiled code for it, which costs more than the words. */
function copy(from: Int32Array, to: Int32Array): void {
  for (let word = 0; word < 8; word++) to[word] = from[word]!
}

/** The rest of the message, its end mark and its length: one block, or two when the length does not fit any more. */
function lastBlocks(secret: string, at: number, state: Int32Array, schedule: Int32Array): void {
  const rest = secret.length - at
  for (let word = 0; word < 16; word++)
    schedule[word] = word * 4 < rest ? bigEndian(secret, at + word * 4) : 0
  schedule[rest >>> 2]! |= 0x80 << (24 - (rest & 3) * 8)
  if (rest > blockBytes - 9) {
    compress(state, schedule)
    schedule.fill(0, 0, 15)
  }
  schedule[15] = (blockBytes + secret.length) * 8
  compress(state, schedule)
}

/** Four characters as one word; past the end, zeros (charCodeAt gives NaN there, and NaN | 0 is 0). */
function bigEndian(text: string, at: number): number {
  return (
    (text.charCodeAt(at) << 24) |
    (text.charCodeAt(at + 1) << 16) |
    (text.charCodeAt(at + 2) << 8) |
    text.charCodeAt(at + 3)
  )
}

const swapped = (word: number) =>
  (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)

function midstate(key: Buffer, pad: number): Int32Array {
  const state = Int32Array.from(initial)
  const schedule = new Int32Array(64)
  for (let word = 0; word < 16; word++) schedule[word] = key.readInt32BE(word * 4) ^ (pad * 0x01010101)
  compress(state, schedule)
  return state
}

/** One round of SHA-256 over the 16 words in `w`, whose other 48 are scratch (FIPS 180-4 §6.2.2). */
function compress(state: Int32Array, w: Int32Array): void {
  for (let t = 16; t < 64; t++) {
    const a = w[t - 15]!
    const b = w[t - 2]!
    const s0 = ((a >>> 7) | (a << 25)) ^ ((a >>> 18) | (a << 14)) ^ (a >>> 3)
    const s1 = ((b >>> 17) | (b << 15)) ^ ((b >>> 19) | (b << 13)) ^ (b >>> 10)
    w[t] = (w[t - 16]! + s0 + w[t - 7]! + s1) | 0
  }
  let a = state[0]!
  let b = state[1]!
  let c = state[2]!
  let d = state[3]!
  let e = state[4]!
  let f = state[5]!
  let g = state[6]!
  let h = state[7]!
  for (let t = 0; t < 64; t++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + constants[t]! + w[t]!) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  state[0]! += a
  state[1]! += b
  state[2]! += c
  state[3]! += d
  state[4]! += e
  state[5]! += f
  state[6]! += g
  state[7]! += h
}

function primes(count: number): number[] {
  const found: number[] = []
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n)
  return found
}

function fraction(root: number): number {
  return Math.floor((root - Math.floor(root)) * 2 ** 32) | 0
}
