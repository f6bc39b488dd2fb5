// Commits a change and makes it effective: whatever was remembered and is true no more is forgotten before the
// change is acknowledged.
import type { Change, Invalidation } from '../db/change.ts'
import type { Db } from '../db/tables.ts'

/** PostgreSQL's "try again": serialization failure and deadlock. */
const again = new Set(['40001', '40P01'])
const mostTries = 4

export function createChange(db: Db, forgetCredentials: () => void): Change {
  return async (work) => {
    for (let tries = 1; ; tries++) {
      const touched: Invalidation[] = []
      try {
        const value = await db.transaction().execute((trx) => work(trx, (what) => touched.push(what)))
        if (touched.some((what) => what.kind === 'services')) forgetCredentials()
        return value
      } catch (error) {
        if (tries === mostTries || !again.has((error as { code?: string }).code ?? '')) throw error
      }
    }
  }
}
