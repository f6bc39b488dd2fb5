// A change asked for over the REST API: made only if its maker is still entitled when it commits.
import type { FastifyRequest } from 'fastify'
import type { Acknowledge, Change, Work } from '../db/change.ts'
import { Problem } from '../http/problem.ts'
import { holdLive } from '../token/queries.ts'

export type WriteOptions = {
  /** The token that is going to be changed, if it is one. */
  readonly target?: string
  readonly acknowledge?: Acknowledge
}

export type Write = <T>(request: FastifyRequest, work: Work<T>, options?: WriteOptions) => Promise<T>

export function createWrite(change: Change, now: () => number): Write {
  return (request, work, { target, acknowledge = 'effective' } = {}) =>
    change(async (trx, invalidate) => {
      const maker = request.principal?.kind === 'token' ? request.principal.facts.tokenId : null
      if (maker !== null && !(await holdLive(trx, maker, new Date(now()), maker === target))) {
        throw new Problem('invalid-token', 'The token has just been revoked or has ended.')
      }
      return work(trx, invalidate)
    }, acknowledge)
}
