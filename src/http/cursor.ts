// Where a list goes on: an opaque, authenticated cursor that is good for one list of one caller only.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { Problem } from './problem.ts'

export type Cursors = {
  /** @param list what the cursor belongs to: the caller and all filters */
  seal(after: string, list: string): string
  /** @throws Problem when the cursor was not made here, for this list */
  open(cursor: string, list: string): string
}

const tagLength = 16

export function createCursors(key: Buffer): Cursors {
  const tag = (after: string, list: string) =>
    createHmac('sha256', key).update(`${after.length}:${after}${list}`).digest().subarray(0, tagLength)
  return {
    seal: (after, list) => Buffer.concat([tag(after, list), Buffer.from(after)]).toString('base64url'),
    open(cursor, list) {
      const bytes = Buffer.from(cursor, 'base64url')
      const after = bytes.subarray(tagLength).toString()
      if (bytes.length > tagLength && timingSafeEqual(bytes.subarray(0, tagLength), tag(after, list)))
        return after
      const detail = 'Is not a cursor of this list. Begin again without it; do not change filters on the way.'
      throw new Problem('validation-failed', `cursor: ${detail}`, {
        errors: [{ parameter: 'cursor', detail }],
      })
    },
  }
}
