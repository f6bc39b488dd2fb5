// The first admin token: on an empty embedded store into a file, on PostgreSQL by `latchkey bootstrap`.

import { sql } from 'kysely'
import { latchkeyItself } from './audit/events.ts'
import type { Change } from './db/change.ts'
import type { Db } from './db/tables.ts'
import { ownScopes } from './identity/own-scopes.ts'
import type { KeyRing } from './token/key-ring.ts'
import { provision } from './token/provision.ts'

const body = {
  name: 'admin',
  description: 'The first token. Use it to make narrower ones, then keep it away.',
  type: 'service',
  subject: 'admin',
  scopes: ownScopes.map((scope) => scope.name),
  expireAt: null,
} as const

export type Bootstrap = {
  readonly change: Change
  readonly ring: KeyRing
  readonly tokenPrefix: string
  readonly now: () => number
}

/**
 * Makes an admin token. `first`: only if there is no token yet, however many try at once.
 * @param keep is given the secret before it counts, so that no token comes to be that nobody holds
 * @returns the secret, or null when there are tokens already
 */
export function makeAdminToken(
  { change, ring, tokenPrefix, now }: Bootstrap,
  { first, keep }: { first: boolean; keep?: (secret: string) => Promise<unknown> },
): Promise<string | null> {
  const mint = { ring, prefix: tokenPrefix, neverAllowed: true }
  return change(async (trx) => {
    await sql`lock table digest_key in share row exclusive mode`.execute(trx)
    if (first && (await hasTokens(trx))) return null
    const wanted = { ...body, scopes: [...body.scopes] }
    const { secret } = await provision(trx, wanted, null, latchkeyItself, mint, new Date(now()))
    await keep?.(secret)
    return secret
  })
}

async function hasTokens(db: Db): Promise<boolean> {
  return (await db.selectFrom('token').select('id').limit(1).executeTakeFirst()) !== undefined
}
