// PURE: which addresses are on the public internet. An issuer's name is chosen by whoever makes a policy, and answered
// by its owner's name server; neither may have Latchkey fetch from the inside (server-side request forgery).
import { type Address, contains, parseAddress, parseRange, type Range } from '../../policy/network.ts'

const ranges = (text: string): Range[] => text.split(/\s+/).map((one) => parseRange(one)!)

/** IANA's special-purpose registries: private, shared, loopback, link-local (cloud metadata), documentation, multicast. */
const specialV4 = ranges(
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3',
)
/** Of IPv6 only global unicast, and in it neither tunnels (they carry any IPv4 address) nor documentation. */
const globalV6 = ranges('2000::/3')
const specialV6 = ranges('2001::/23 2001:db8::/32 2002::/16 3fff::/20')
const loopback = ranges('127.0.0.0/8 ::1')

const within = (list: readonly Range[], address: Address) => list.some((range) => contains(range, address))

/** An IPv4 address in IPv6 clothing (::ffff:10.0.0.1) is its IPv4 address (policy/network.ts). */
export function isPublicAddress(text: string): boolean {
  const address = parseAddress(text)
  if (address === null) return false
  return address.length === 1
    ? !within(specialV4, address)
    : within(globalV6, address) && !within(specialV6, address)
}

export function isLoopbackAddress(text: string): boolean {
  const address = parseAddress(text)
  return address !== null && within(loopback, address)
}
