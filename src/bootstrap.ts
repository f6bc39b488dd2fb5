// The first admin token: on an empty embedded store into a file, on PostgreSQL by `latchkey bootstrap`.

import { latchkeyItself } from './audit/events.ts'
import type { Change } from './db/change.ts'
import type { Db } from './db/tables.ts'
import { writeAdminToken } from './embedded-files.ts'
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

/** @returns the secret */
export async function makeAdminToken(
  change: Change,
  ring: KeyRing,
  prefix: string,
  now: Date,
): Promise<string> {
  const mint = { ring, prefix, neverAllowed: true }
  const { secret } = await change((trx) =>
    provision(trx, { ...body, scopes: [...body.scopes] }, null, latchkeyItself, mint, now),
  )
  return secret
}

export async function hasTokens(db: Db): Promise<boolean> {
  return (await db.selectFrom('token').select('id').limit(1).executeTakeFirst()) !== undefined
}

/** @returns the file, or null when the store has tokens already */
export async function firstAdminToken(
  change: Change,
  ring: KeyRing,
  { dataDir, tokenPrefix }: { dataDir: string; tokenPrefix: string },
  now: () => number,
): Promise<string | null> {
  if (await change((trx) => hasTokens(trx))) return null
  return writeAdminToken(dataDir, await makeAdminToken(change, ring, tokenPrefix, new Date(now())))
}
