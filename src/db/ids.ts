// Ids of rows: they say what they are and sort by time. Opaque to clients.
import { randomInt } from 'node:crypto'
import { v7 } from 'uuid'

export type IdKind = 'tok' | 'svc' | 'sec' | 'evt' | 'req' | 'key' | 'rep' | 'pol'

let last = { msecs: 0, seq: 0 }

/** Ids of one millisecond follow one another, so that a list shows a cause before its effect. */
function nextOf(msecs: number): { msecs: number; seq: number } {
  const seq = msecs === last.msecs ? last.seq + 1 : randomInt(2 ** 31)
  last = { msecs, seq }
  return last
}

const crockford = '0123456789abcdefghjkmnpqrstvwxyz'

/** `<kind>_` + a UUIDv7 in lower-case Crockford base32 (26 characters). @param now epoch milliseconds */
export function newId(kind: IdKind, now: number): string {
  const bytes = v7(nextOf(now), new Uint8Array(16))
  let bits = 0n
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte)
  let text = ''
  for (let shift = 125n; shift >= 0n; shift -= 5n) text += crockford[Number((bits >> shift) & 31n)]
  return `${kind}_${text}`
}
