// IP restrictions: is an address within a list of addresses and CIDRs? The comparing is node:net's.
import { BlockList, isIP } from 'node:net'
import type { Token } from './verdict.ts'

/** The address, or null for anything that is not exactly one: nothing, a name, an IPv6 zone. */
export function readAddress(text: string | undefined): string | null {
  if (text === undefined || text.includes('%')) return null
  const version = isIP(text)
  if (version === 0) return null
  return version === 6 ? (mappedFour(text) ?? text) : text
}

/** An IPv4 address that arrived on an IPv6 socket is still that IPv4 address, in whichever way it is written. */
function mappedFour(address: string): string | null {
  const { hostname } = new URL(`http://[${address}]`)
  const words = /^\[::ffff:([0-9a-f]+):([0-9a-f]+)\]$/.exec(hostname)?.slice(1)
  if (!words) return null
  return words.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]).join('.')
}

/** Apart, because node's lists take every IPv4 address to be in ::/0. */
type Ranges = { readonly ipv4: BlockList; readonly ipv6: BlockList }

const compiled = new WeakMap<Token, Ranges | null>()

/** Whether a token may be used from there. @param address as readAddress gave it; null: not known */
export function mayCallFrom(token: Token, address: string | null): boolean {
  if (token.ipRestriction === null) return true
  if (address === null) return false
  const ranges = rangesOf(token, token.ipRestriction)
  return ranges?.[family(address)].check(address, family(address)) ?? false
}

function rangesOf(token: Token, restriction: string): Ranges | null {
  const known = compiled.get(token)
  if (known !== undefined) return known
  const ranges = compile(restriction)
  compiled.set(token, ranges)
  return ranges
}

/** null when any part of it cannot be read: then nowhere is allowed. */
function compile(restriction: string): Ranges | null {
  const ranges = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const text of restriction.split(/[\s,]+/)) {
    const [address = '', bits] = text.split('/')
    if (readAddress(address) !== address || !/^\d{1,3}$/.test(bits ?? '0')) return null
    const length = family(address) === 'ipv4' ? 32 : 128
    if (Number(bits ?? length) > length) return null
    ranges[family(address)].addSubnet(address, Number(bits ?? length), family(address))
  }
  return ranges
}

const family = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4')
