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
  let text = `${kind}_`
  // 128 bits in 26 digits of 5: two zeros go before.
  let bits = 0
  let pending = 2
  for (const byte of v7(nextOf(now), new Uint8Array(16))) {
    bits = (bits << 8) | byte
    pending += 8
    while (pending >= 5) {
      pending -= 5
      text += crockford[(bits >> pending) & 31]
    }
    bits &= (1 << pending) - 1
  }
  return text
}
