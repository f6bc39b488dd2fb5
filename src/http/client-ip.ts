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

let last: ClientIp = { text: '', address: null }

/** Requests come over few connections, so this is mostly the address of the one before. */
function direct(text: string): ClientIp {
  if (text !== last.text) last = { text: text.slice(0, 64), address: parseAddress(text) }
  return last
}
