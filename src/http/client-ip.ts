// Where a request comes from: the socket's address, or what trusted proxies say about it.
import { type Address, contains, parseAddress, type Range } from '../policy/network.ts'
import type { RequestHead } from './plain-request.ts'

export type ClientIp = { readonly text: string; readonly address: Address | null }

/**
 * Walks X-Forwarded-For from the right, hop by hop, for as long as the hop is a trusted proxy: whatever a
 * client wrote stands further left. An unreadable hop ends the walk with a null address, which IP-bound tokens refuse.
 * @param isPeerTrusted whoever is connected has shown to be a gateway, whatever its address
 */
export function clientIp(request: RequestHead, trusted: readonly Range[], isPeerTrusted = false): ClientIp {
  let hop = direct(request.socket.remoteAddress ?? '')
  if (!isPeerTrusted && (trusted.length === 0 || !isTrusted(hop, trusted))) return hop
  const chain = String(request.headers['x-forwarded-for'] ?? '').split(',')
  do {
    const next = chain.pop()?.trim()
    if (!next) break
    hop = direct(next)
  } while (isTrusted(hop, trusted))
  return hop
}

export const isTrustedPeer = (request: RequestHead, trusted: readonly Range[]): boolean =>
  trusted.length > 0 && isTrusted(direct(request.socket.remoteAddress ?? ''), trusted)

export function isTrusted({ address }: ClientIp, trusted: readonly Range[]): boolean {
  return address !== null && trusted.some((range) => contains(range, address))
}

const mostKnown = 1_000
const known = new Map<string, ClientIp>()

/** Requests come over few connections, and clients send more than one. */
function direct(text: string): ClientIp {
  let one = known.get(text)
  if (one === undefined) {
    one = { text: text.slice(0, 64), address: parseAddress(text) }
    if (text.length > 64) return one
    if (known.size >= mostKnown) known.clear()
    known.set(text, one)
  }
  return one
}
