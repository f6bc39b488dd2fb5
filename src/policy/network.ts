// IP addresses and ranges: parse, normalise, contain. Numeric throughout, because text comparison and
// half-parsed forms are how CIDR checks are bypassed. Who the caller is decides src/http/client-ip.ts.
import { isIP } from 'node:net'

/** IPv4: one 32-bit word; IPv6: four. An IPv4-mapped IPv6 address is its IPv4 address. */
export type Address = readonly number[]
export type Range = { readonly base: Address; readonly prefix: number }

/** Returns null for anything that is not exactly one address (no zone, no brackets, no octal, no port). */
export function parseAddress(text: string): Address | null {
  const family = isIP(text)
  if (family === 4) return [fourWords(text)]
  if (family !== 6 || text.includes('%')) return null
  const words = sixWords(text)
  return isMapped(words) ? [words[3]!] : words
}

/** An address or a CIDR, host bits cleared; null when it is neither. */
export function parseRange(text: string): Range | null {
  const slash = text.indexOf('/')
  const address = slash < 0 ? text : text.slice(0, slash)
  const family = isIP(address)
  const base = parseAddress(address)
  if (!base) return null
  const bits = base.length * 32
  if (slash < 0) return { base, prefix: bits }
  const digits = text.slice(slash + 1)
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits)) return null
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8; a shorter prefix would reach outside the mapped block.
  const prefix = Number(digits) - (family === 6 && base.length === 1 ? 96 : 0)
  if (prefix < 0 || prefix > bits) return null
  return { base: base.map((word, index) => masked(word, prefix - index * 32)), prefix }
}

/** RFC 5952 text of a range; a single address has no `/32` or `/128`. */
export function formatRange({ base, prefix }: Range): string {
  const address = base.length === 1 ? formatFour(base[0]!) : formatSix(base)
  return prefix === base.length * 32 ? address : `${address}/${prefix}`
}

export function contains({ base, prefix }: Range, address: Address): boolean {
  if (base.length !== address.length) return false
  for (let index = 0, left = prefix; left > 0; index++, left -= 32) {
    if (masked(address[index]!, left) !== base[index]) return false
  }
  return true
}

/** Whether every address of `inner` is in `outer`. */
export function covers(outer: Range, inner: Range): boolean {
  return outer.prefix <= inner.prefix && contains(outer, inner.base)
}

const compiled = new WeakMap<readonly string[], readonly Range[]>()

/** Whether the address is in one of the normalised ranges. The parsed form is kept per list object. */
export function withinAny(ranges: readonly string[], address: Address): boolean {
  let parsed = compiled.get(ranges)
  if (!parsed) {
    parsed = ranges.map((range) => {
      const one = parseRange(range)
      if (!one) throw new Error('A stored IP range cannot be read')
      return one
    })
    compiled.set(ranges, parsed)
  }
  return parsed.some((range) => contains(range, address))
}

function masked(word: number, bits: number): number {
  if (bits <= 0) return 0
  return bits >= 32 ? word : (word & (-1 << (32 - bits))) >>> 0
}

function fourWords(text: string): number {
  return text.split('.').reduce((word, octet) => ((word << 8) | Number(octet)) >>> 0, 0)
}

function sixWords(text: string): number[] {
  const dotted = text.lastIndexOf(':') + 1
  const plain = text.includes('.') ? text.slice(0, dotted) + hexPair(fourWords(text.slice(dotted))) : text
  const [head = '', tail] = plain.split('::')
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const all = [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right]
  return [0, 2, 4, 6].map((index) => ((all[index]! << 16) | all[index + 1]!) >>> 0)
}

const hexPair = (word: number) => `${(word >>> 16).toString(16)}:${(word & 0xffff).toString(16)}`
const groups = (text: string) =>
  text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16))
const isMapped = (words: readonly number[]) => words[0] === 0 && words[1] === 0 && words[2] === 0xffff
const formatFour = (word: number) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255).join('.')

function formatSix(words: Address): string {
  const all = words.flatMap((word) => [word >>> 16, word & 0xffff])
  const gap = longestZeros(all)
  if (gap.length < 2) return all.map((group) => group.toString(16)).join(':')
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(':')
  return `${hex(all.slice(0, gap.start))}::${hex(all.slice(gap.start + gap.length))}`
}

function longestZeros(all: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 }
  for (let start = 0; start < all.length; start++) {
    let end = start
    while (all[end] === 0) end++
    if (end - start > best.length) best = { start, length: end - start }
  }
  return best
}
