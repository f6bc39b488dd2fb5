// A change asked for over the REST API: made only if its maker is still entitled when it commits.
import type { FastifyRequest } from 'fastify'
import type { Acknowledge, Change, Work } from '../db/change.ts'
import { holdMaker } from '../token/queries.ts'
import { factsById } from '../verify/lookup.ts'
import { readmit } from './guard.ts'

export type WriteOptions = {
  /** The token that is going to be changed, if it is one. */
  readonly target?: string
  readonly acknowledge?: Acknowledge
}

export type Write = <T>(request: FastifyRequest, work: Work<T>, options?: WriteOptions) => Promise<T>

/** @param now epoch milliseconds */
export function createWrite(change: Change, issuer: string, now: () => number): Write {
  return (request, work, { target, acknowledge = 'effective' } = {}) =>
    change(async (trx, invalidate) => {
      const { principal } = request
      if (principal?.kind === 'token') {
        const { tokenId } = principal.facts
        await holdMaker(trx, tokenId, tokenId === target)
        // It was admitted a moment ago, and may have been revoked or narrowed since.
        readmit(request, await factsById(trx, tokenId), issuer, now())
      }
      return work(trx, invalidate)
    }, acknowledge)
}
