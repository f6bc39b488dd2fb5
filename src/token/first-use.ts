// Ends the secret before, once the new one has been found good. Checking never writes: the check is noted here, and
// within a moment one change ends what was noted, everywhere.
import { sql } from 'kysely'
import { latchkeyItself } from '../audit/events.ts'
import { record } from '../audit/record.ts'
import type { Change } from '../db/change.ts'
import type { Trx } from '../db/tables.ts'
import type { Facts } from '../policy/facts.ts'

export type FirstUses = {
  /** To be told of a check that found a token good whose facts have an `endsVersion`. */
  note(facts: Facts): void
  /** Ends what was noted until now. Rejects when it cannot; then it is tried again by itself. */
  flush(): Promise<void>
  stop(): void
}

const soonMs = 100
const againMs = 1_000
/** What one message can name to the other replicas; named by none, everything would have to be forgotten. */
const mostAtOnce = 100

/** @param now epoch milliseconds */
export function createFirstUses(
  change: Change,
  now: () => number,
  onTrouble: (error: Error) => void,
): FirstUses {
  /** The version to end, by token. */
  const noted = new Map<string, number>()
  let timer: NodeJS.Timeout | null = null

  async function flush(): Promise<void> {
    while (noted.size > 0) {
      const part = [...noted].slice(0, mostAtOnce).sort(([a], [b]) => (a < b ? -1 : 1))
      await change(async (trx, invalidate) => {
        for (const [tokenId, version] of part) {
          if (await endPrevious(trx, tokenId, version, new Date(now())))
            invalidate({ kind: 'token', id: tokenId })
        }
      })
      for (const [tokenId, version] of part) if (noted.get(tokenId) === version) noted.delete(tokenId)
    }
  }

  function flushIn(ms: number): void {
    timer ??= setTimeout(() => {
      flush()
        .then(() => null, onTrouble)
        .finally(() => {
          timer = null
          if (noted.size > 0) flushIn(againMs)
        })
    }, ms).unref()
  }

  return {
    note({ tokenId, endsVersion }) {
      if (endsVersion === null) return
      noted.set(tokenId, endsVersion)
      flushIn(soonMs)
    },
    flush,
    stop() {
      if (timer) clearTimeout(timer)
    },
  }
}

/** @returns false: another replica was first, or the token was rotated again and waits for the use of another secret */
async function endPrevious(trx: Trx, tokenId: string, version: number, now: Date): Promise<boolean> {
  const token = await trx
    .updateTable('token')
    .set({ first_use_ends: null })
    .where('id', '=', tokenId)
    .where('first_use_ends', '=', version)
    .returning('subject')
    .executeTakeFirst()
  if (!token) return false
  const { numUpdatedRows } = await trx
    .updateTable('token_secret')
    .set({ ended: true, ends_at: sql<Date>`least(ends_at, ${now}::timestamptz)` })
    .where('token_id', '=', tokenId)
    .where('version', '=', version)
    .where('ended', '=', false)
    .executeTakeFirst()
  if (numUpdatedRows === 0n) return true
  const detail = { secretVersion: version }
  const event = { action: 'token.secret_ended' as const, tokenId, subject: token.subject, detail }
  await record(trx, event, latchkeyItself, now)
  return true
}
