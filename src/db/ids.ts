// Ids of rows: they say what they are and sort by time. Opaque to clients.
import { v7 } from 'uuid'

export type IdKind = 'tok' | 'svc' | 'sec' | 'evt' | 'req' | 'key' | 'rep'

const crockford = '0123456789abcdefghjkmnpqrstvwxyz'

/** `<kind>_` + a UUIDv7 in lower-case Crockford base32 (26 characters). @param now epoch milliseconds */
export function newId(kind: IdKind, now: number): string {
  const bytes = v7({ msecs: now }, new Uint8Array(16))
  let bits = 0n
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte)
  let text = ''
  for (let shift = 125n; shift >= 0n; shift -= 5n) text += crockford[Number((bits >> shift) & 31n)]
  return `${kind}_${text}`
}
