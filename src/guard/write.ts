// A change asked for over the REST API: made only if its maker is still entitled when it commits.
import type { FastifyRequest } from 'fastify'
import type { Acknowledge, Change, Invalidation } from '../db/change.ts'
import type { Trx } from '../db/tables.ts'
import { holdMaker, lockToken, type TokenRow } from '../token/queries.ts'
import { factsWithin } from '../verify/lookup.ts'
import { bearerSecret } from './authorization.ts'
import { readmit } from './guard.ts'

export type WriteOptions = {
  /** The token that is going to be changed, if it is one: the work gets it locked. Who may see it, is the work's business. */
  readonly target?: string
  readonly acknowledge?: Acknowledge
}

/** @param target as locked by this transaction; undefined: there is none */
type Work<T> = (
  trx: Trx,
  invalidate: (what: Invalidation) => void,
  target: TokenRow | undefined,
) => Promise<T>

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
      const maker = principal?.kind === 'token' ? principal.facts.tokenId : null
      // It was admitted a moment ago, and may have been revoked, narrowed or rotated since.
      const secret = maker === null ? null : bearerSecret(request.headers.authorization)
      // Asked for together, done in this order: everybody locks the maker before the target.
      const [, facts, row] = await Promise.all([
        maker === null ? null : holdMaker(trx, maker, maker === target),
        secret === null ? null : factsWithin(trx, digests(secret)),
        target === undefined ? undefined : lockToken(trx, target),
      ])
      if (maker !== null) readmit(request, facts, issuer, now())
      return work(trx, invalidate, row)
    }, acknowledge)
}
