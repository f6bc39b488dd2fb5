// The Idempotency-Key of a request to our API, and who may have an answer that was kept.
import type { FastifyRequest } from 'fastify'
import Type from 'typebox'
import type { Trx } from '../db/tables.ts'
import { type TokenPrincipal, tokenPrincipal } from '../guard/principal.ts'
import { declaredNow } from './declared.ts'
import { refuseWider } from './grants.ts'
import { readIdempotencyKey, retryKey } from './idempotency-key.ts'
import type { KeyRing } from './key-ring.ts'
import type { Retry } from './once.ts'
import { tokenById } from './queries.ts'
import { boundsOf } from './rotate.ts'
import { visible } from './visible.ts'

export const RetryHeaders = Type.Object({
  'idempotency-key': Type.Optional(
    Type.String({
      description:
        'A new one for each request: a UUID of version 4, or 22 and more random characters of A-Z a-z 0-9 _ -. Sent again with the same request within ten minutes, the answer is the same, with Idempotency-Replayed: true.',
      examples: ['8e03978e-40d5-43dd-bc93-6894a57f9324'],
    }),
  ),
})

export type Retries = {
  /** null: without a key. @throws Problem when the key is too easily guessed */
  of(request: FastifyRequest): Retry | null
}

export function createRetries(ring: KeyRing): Retries {
  const server = ring.subkey('idempotency')
  return {
    of(request) {
      const given = readIdempotencyKey(request.headers['idempotency-key'])
      if (given === null) return null
      const key = retryKey(given, tokenPrincipal(request).facts.tokenId, server)
      const path = request.url.split('?', 1)[0]!
      return { key, fingerprint: key.fingerprint(request.method, path, request.body) }
    },
  }
}

/** What the caller was given once it may be given again only while it could still have it made. @throws Problem */
export async function refuseReplay(trx: Trx, tokenId: string, caller: TokenPrincipal): Promise<void> {
  const row = visible(await tokenById(trx, tokenId), caller)
  if (row.id !== caller.facts.tokenId) refuseWider(boundsOf(row), await declaredNow(trx), caller)
}
