// A change asked for over the REST API: made only if its maker is still entitled when it commits.
import type { FastifyRequest } from 'fastify'
import type { Acknowledge, Change, Work } from '../db/change.ts'
import { holdMaker } from '../token/queries.ts'
import { factsWithin } from '../verify/lookup.ts'
import { bearerSecret } from './authorization.ts'
import { readmit } from './guard.ts'

export type WriteOptions = {
  /** The token that is going to be changed, if it is one. */
  readonly target?: string
  readonly acknowledge?: Acknowledge
}

export type Write = <T>(request: FastifyRequest, work: Work<T>, options?: WriteOptions) => Promise<T>

/** @param digests under which a secret may be stored @param now epoch milliseconds */
export function createWrite(
  change: Change,
  issuer: string,
  digests: (secret: string) => readonly Buffer[],
  now: () => number,
): Write {
  return (request, work, { target, acknowledge = 'effective' } = {}) =>
    change(async (trx, invalidate) => {
      const { principal } = request
      if (principal?.kind === 'token') {
        const { tokenId } = principal.facts
        await holdMaker(trx, tokenId, tokenId === target)
        // It was admitted a moment ago, and may have been revoked, narrowed or rotated since.
        const secret = bearerSecret(request.headers.authorization)
        const facts = secret === null ? null : await factsWithin(trx, digests(secret))
        readmit(request, facts, issuer, now())
      }
      return work(trx, invalidate)
    }, acknowledge)
}
