// A change asked for over the REST API: made only if its maker is still entitled when it commits.
import type { FastifyRequest } from 'fastify'
import type { Change, Work } from '../db/change.ts'
import { Problem } from '../http/problem.ts'
import { holdLive } from '../token/queries.ts'

export type Write = <T>(request: FastifyRequest, work: Work<T>) => Promise<T>

export function createWrite(change: Change, now: () => number): Write {
  return (request, work) =>
    change(async (trx, invalidate) => {
      const { principal } = request
      if (principal?.kind === 'token' && !(await holdLive(trx, principal.facts.tokenId, new Date(now())))) {
        throw new Problem('invalid-token', 'The token has just been revoked or has ended.')
      }
      return work(trx, invalidate)
    })
}
