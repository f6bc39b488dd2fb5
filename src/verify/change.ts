// Commits a change and makes it effective: whatever was remembered and is true no more is forgotten, here and on
// every other replica, before the change is acknowledged.
import type { Change, Invalidation } from '../db/change.ts'
import { isRefusal, planIsStale } from '../db/preparing-client.ts'
import type { Db, Trx } from '../db/tables.ts'
import { transactOn } from '../db/transact.ts'
import { Problem } from '../http/problem.ts'
import { type Announced, FormerServer, type Replicas } from './replicas.ts'

export type ChangeDependencies = {
  /** On connections of its own, so that neither checks nor lists can keep a revoke waiting. */
  readonly db: Db
  /** null: there is one process, and nobody to tell. */
  readonly replicas: Pick<Replicas, 'admit' | 'announce' | 'withdraw' | 'settled'> | null
  readonly forget: (what: readonly Invalidation[]) => void
}

/** PostgreSQL's "try again": serialization failure and deadlock; and a plan from before an upgrade. */
const again = new Set(['40001', '40P01', planIsStale])
const mostTries = 4

export function createChange({ db, replicas, forget }: ChangeDependencies): Change {
  const transact = transactOn(db)
  const change: Change = async (work, acknowledge = 'effective') => {
    let silent = false
    for (let tries = 1; ; tries++) {
      const touched: Invalidation[] = []
      let announced: Announced | null = null
      try {
        const announce = async (trx: Trx) => {
          if (!replicas || touched.length === 0) return
          announced = await replicas
            .announce(trx, touched, silent)
            .catch((error) => Promise.reject(isRefusal(error) ? new CannotAnnounce(error) : error))
        }
        const value = await transact(async (trx) => {
          await replicas?.admit(trx)
          return work(trx, (what) => touched.push(what))
        }, announce)
        forget(touched)
        if (replicas && announced) {
          const settled = replicas.settled(announced)
          if (acknowledge === 'effective') await settled
        }
        return value
      } catch (error) {
        if (announced) replicas!.withdraw(announced)
        // Whether it was committed may be unknown; forgetting too much does no harm.
        forget(touched)
        if (replicas && isGone(error) && acknowledge === 'effective') {
          await change(async (_trx, invalidate) => invalidate({ kind: 'catalog' }))
          throw error
        }
        const code = (error as { code?: string }).code ?? ''
        const mayPass =
          again.has(code) || error instanceof FormerServer || (!silent && isAnnouncement(error, code))
        if (tries === mostTries || !mayPass) throw error
        silent ||= isAnnouncement(error, code)
      }
    }
  }
  return change
}

/**
 * What is not there may have been removed just now, by a removal whose answer was lost: "not found" tells whoever repeats it
 * that it is done. Replicas hear announcements in commit order, so once they have heard another, that one is over too.
 */
const isGone = (error: unknown) => error instanceof Problem && error.code === 'not-found'

/** A connection that is lost meanwhile is none: the commit was sent along, and may have been done. */
class CannotAnnounce extends Error {
  readonly code: string
  constructor(cause: Error & { code?: string }) {
    super('The change could not be announced', { cause })
    this.code = cause.code ?? ''
  }
}

/** 54000 at commit: the server's queue of notifications is full. */
const isAnnouncement = (error: unknown, code: string) => error instanceof CannotAnnounce || code === '54000'
