// Ids of rows are UUIDs of version 7 (RFC 9562 §5.7) in Crockford's digits, and sort as they were made.
import fc from 'fast-check'
import t from 'tap'
import { version } from 'uuid'
import { newId } from '../../src/db/ids.ts'

const digits = '0123456789abcdefghjkmnpqrstvwxyz'

/** Arithmetic of another kind than the one that is tested. */
function uuidOf(id: string): string {
  let bits = 0n
  for (const digit of id.slice(4)) bits = bits * 32n + BigInt(digits.indexOf(digit))
  const hex = bits.toString(16).padStart(32, '0')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

t.test('an id is a UUIDv7 of its time, in 26 digits', async () => {
  const times = fc.integer({ min: 0, max: 2 ** 48 - 1 })
  fc.assert(
    fc.property(times, (now) => {
      const id = newId('tok', now)
      const uuid = uuidOf(id)
      return (
        /^tok_[0-7][0-9a-hjkmnp-tv-z]{25}$/.test(id) &&
        version(uuid) === 7 &&
        Number.parseInt(uuid.replace('-', '').slice(0, 12), 16) === now
      )
    }),
  )
})

t.test('ids sort as they were made, also within a millisecond', async (t) => {
  const ids = Array.from({ length: 3_000 }, (_, i) => newId('evt', 1_780_000_000_000 + (i >> 8)))
  t.strictSame(ids.toSorted(), ids)
  t.equal(new Set(ids).size, ids.length)
})
